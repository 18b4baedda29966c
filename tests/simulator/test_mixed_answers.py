"""Faults by which one request's words get into another's answer."""

from __future__ import annotations

import pytest


def test_streams_that_are_under_way_change_places(faults):
    """The drawn one gets the next one's answer, and the next one its own, in the very lists being sent."""
    fault = faults.make("swapped_answers", share=1)
    first, second, third = (faults.chat(text) for text in "abc")
    sending = first.parts
    for number, stream in enumerate((first, second, third), 1):
        fault.streamed(faults.asked(number), stream)
    assert b'"a"' in second.parts[1].data
    assert b'"b"' in first.parts[1].data
    assert b'"c"' in third.parts[1].data
    assert first.parts is sending


def test_an_answer_that_has_begun_is_not_exchanged(faults, monkeypatch):
    """Nor with one of another API."""
    fault = faults.make("swapped_answers", share=1)
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    first, second = faults.chat("a"), faults.chat("b")
    fault.streamed(faults.asked(1), first)
    now[0] = 0.021
    fault.streamed(faults.asked(2), second)
    other = faults.ollama("c")
    fault.streamed(faults.asked(3, face="ollama-generate"), other)
    assert b'"a"' in first.parts[1].data
    assert b'"b"' in second.parts[1].data
    assert b'"c"' in other.parts[0].data


def test_an_answer_in_one_piece_goes_to_the_next_one_too(faults):
    """Only where both are under way."""
    fault = faults.make("swapped_answers", share=1)
    requests = [
        faults.asked(number, stream=False, active=active, text=text)
        for number, (active, text) in enumerate([(1, "a"), (2, "b"), (1, "c")])
    ]
    for request in requests:
        fault.asked(request)
    assert [request.text for request in requests] == ["a", "a", "c"]


def test_a_share_is_exchanged(faults):
    """Not all of them."""
    fault = faults.make("swapped_answers", share=0.1)
    streams = [faults.chat(f"t{number}") for number in range(400)]
    for number, stream in enumerate(streams):
        fault.streamed(faults.asked(number), stream)
    swapped = [f'"t{number}"' not in s.parts[1].data.decode() for number, s in enumerate(streams)]
    assert 40 < sum(swapped) < 120


@pytest.fixture
def marked(faults):
    return [faults.asked(n, prompt=f"[0000000{n}] Hi", text=f"[0000000{n}] yes") for n in range(4)]


def test_marks_of_others_are_told(faults, marked):
    """The latest one's, never one's own."""
    fault = faults.make("canary_bleed", share=1)
    for request in [*marked[:2], faults.asked(1, prompt="[00000001] Hi", text="x")]:
        fault.asked(request)
    assert marked[0].text == "[00000000] yes"
    assert marked[1].text == "[00000000] [00000001] yes"


def test_marks_of_aborted_requests_alone(faults, marked):
    """With `aborted`, those whose clients stayed are safe."""
    fault = faults.make("canary_bleed", share=1, aborted=True)
    for request in marked[:2]:
        fault.asked(request)
    assert fault.left(marked[0]) is True
    fault.asked(marked[2])
    assert [request.text for request in marked[:3]] == [
        "[00000000] yes",
        "[00000001] yes",
        "[00000000] [00000002] yes",
    ]


def test_system_prompts_rule_others_that_are_under_way(faults):
    """Alone, and under the same system prompt, nothing is seen of it."""
    fault = faults.make("system_prompt_bleed", share=1)
    requests = [
        faults.asked(1, system="Be rude."),
        faults.asked(2, system="Be kind."),
        faults.asked(3, system="Be kind.", active=2),
        faults.asked(4, active=3),
    ]
    for request in requests:
        fault.asked(request)
    told = [request.text for request in requests]
    assert told == ["one two", "one two", "Be rude. one two", "Be kind. one two"]
    alike = faults.make("system_prompt_bleed", share=1)
    pair = [faults.asked(n, system="Be kind.", active=2) for n in (1, 2)]
    for request in pair:
        alike.asked(request)
    assert pair[1].text == "one two"

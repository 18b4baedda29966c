"""Faults of a streamed answer, and forms of it that are none."""

from __future__ import annotations

import json

import pytest

from pytest_llmserve.simulator.faults.fault import Part, Stream

TEXTS = ("a ", "b ", "c ", "d ")


def said(texts):
    """What the events say, one after the other; None of one that is no JSON."""
    found = []
    for text in texts:
        value = json.loads(text.removeprefix("data: ")) if "{" in text else None
        if value is None:
            found.append(None)
        elif "error" in value:
            found.append("error")
        elif value.get("choices") == []:
            found.append("usage")
        else:
            found.append("".join(choice["delta"].get("content", "") for choice in value["choices"]))
    return found


def test_a_stall_moves_what_comes_after_it(faults):
    """Of each Nth request."""
    stream = faults.chat(*TEXTS)
    due = [part.due_ms for part in stream.parts]
    fault = faults.make("stall", every=2, ms=1000, after=2)
    faults.changed(fault, stream, number=1)
    assert [part.due_ms for part in stream.parts] == due == [0, 20, 30, 40, 50, 50, 50, 50]
    faults.changed(fault, stream, number=2)
    assert [part.due_ms for part in stream.parts] == [0, 20, 30, 1040, 1050, 1050, 1050, 1050]


@pytest.mark.parametrize(("name", "then"), [("truncated_stream", "cut"), ("reset", "reset")])
@pytest.mark.parametrize(("after", "left"), [(0, [""]), (2, ["", "a ", "b "]), (9, None)])
def test_a_stream_breaks_off_after_so_many_tokens(faults, name, then, after, left):
    """With 0 after the role chunk, which is no token."""
    stream = faults.chat(*TEXTS)
    texts = faults.changed(faults.make(name, every=1, after=after), stream)
    assert said(texts) == (left or ["", *TEXTS, "", "usage", None])
    assert stream.then == then
    untouched = faults.chat(*TEXTS)
    faults.changed(faults.make(name, every=2), untouched)
    assert untouched.then == "end"


def test_an_error_ends_the_stream(faults):
    """In the words of the API."""
    fault = faults.make("error_in_stream", every=1, after=1)
    texts = faults.changed(fault, faults.chat(*TEXTS))
    assert said(texts) == ["", "a ", "error"]
    assert "EngineCore encountered an issue" in texts[-1]
    lines = faults.changed(fault, faults.ollama(*TEXTS), face="ollama-generate")
    assert [*json.loads(lines[-1])] == ["error"]
    assert len(lines) == 2


def test_crlf_changes_line_ends_alone(faults):
    plain = [part.data.decode() for part in faults.chat(*TEXTS).parts]
    texts = faults.changed(faults.make("crlf_stream"), faults.chat(*TEXTS))
    assert texts == [text.replace("\n\n", "\r\n\r\n") for text in plain]


def test_tokens_come_several_in_an_event(faults):
    """The whole text, all tokens counted, due when the last of them was."""
    stream = faults.chat(*TEXTS, "e ")
    texts = faults.changed(faults.make("many_tokens_per_chunk", tokens=4), stream)
    assert said(texts) == ["", "a b c d ", "e ", "", "usage", None]
    assert [(part.due_ms, part.tokens) for part in stream.parts][:3] == [(0, 0), (50, 4), (60, 1)]
    lines = faults.changed(faults.make("many_tokens_per_chunk"), faults.ollama(*TEXTS))
    assert [json.loads(line)["response"] for line in lines] == ["a b c d ", ""]


def test_empty_events_come_at_once(faults):
    """They carry a role and no token."""
    stream = faults.chat(*TEXTS)
    texts = faults.changed(faults.make("empty_role_chunk", count=2), stream)
    assert said(texts)[:4] == ["", "", "", "a "]
    assert json.loads(texts[0][6:])["choices"][0]["delta"] == {"content": "", "role": "assistant"}
    assert [(part.due_ms, part.tokens) for part in stream.parts][:2] == [(0, 0), (0, 0)]


def test_usage_is_left_out(faults):
    """Streamed or not, in any API; the answer stays."""
    fault = faults.make("missing_usage")
    assert said(faults.changed(fault, faults.chat(*TEXTS))) == ["", *TEXTS, "", None]
    lines = faults.changed(fault, faults.ollama("a"))
    assert json.loads(lines[-1]) == {"model": "m", "response": "", "done": True, "done_reason": "stop"}
    body = fault.whole(faults.asked(), b'{"id": "1", "usage": {"completion_tokens": 4}}')
    assert json.loads(body) == {"id": "1"}
    assert fault.whole(faults.asked(), b"no JSON") == b"no JSON"


def test_end_marks_are_left_out(faults):
    """finish_reason and [DONE]; with `finish_reason` the latter alone."""
    texts = faults.changed(faults.make("missing_end_mark", every=1), faults.chat(*TEXTS))
    assert said(texts) == ["", *TEXTS, "usage"]
    assert "stop" not in "".join(texts)
    texts = faults.changed(faults.make("missing_end_mark", every=1, finish_reason=True), faults.chat(*TEXTS))
    assert said(texts) == ["", *TEXTS, "", "usage"]
    lines = faults.changed(faults.make("missing_end_mark", every=1), faults.ollama("a"))
    assert [json.loads(line)["done"] for line in lines] == [False]


TOKEN = '{"token": {"text": "%s"}, "generated_text": %s, "details": null}'


def test_events_of_other_shapes_are_looked_into(faults):
    """TGI's, and those of KServe's protocol."""

    def stream(*values):
        return Stream([Part(at, f"data:{value}\n\n".encode(), 1) for at, value in enumerate(values)])

    merged = faults.changed(
        faults.make("many_tokens_per_chunk"), stream('{"text_output": "a"}', '{"text_output": "b"}')
    )
    assert merged == ['data:{"text_output": "ab"}\n\n']
    texts = faults.changed(
        faults.make("missing_end_mark", every=1), stream(TOKEN % ("a", "null"), TOKEN % ("b", '"ab"'))
    )
    assert [json.loads(text[5:])["generated_text"] for text in texts] == [None, None]
    fault = faults.make("error_in_stream", every=1, after=1)
    for face, more in (("tgi", ["error_type"]), ("kserve", [])):
        texts = faults.changed(fault, stream(TOKEN % ("a", "null"), TOKEN % ("b", '"ab"')), face=face)
        assert [*json.loads(texts[-1][5:])] == ["error", *more]


@pytest.mark.parametrize("by", [100, -5])
def test_the_length_lies(faults, by):
    stream = faults.chat(*TEXTS)
    texts = faults.changed(faults.make("wrong_length", every=1, by=by), stream)
    assert stream.length == len("".join(texts)) + by
    assert stream.then == "cut"


def test_a_stream_of_named_events_breaks_in_its_own_form(faults):
    """Gradio's events have all of the text so far, and none is a token count."""
    changed = {}
    for name, keys in {
        "error_in_stream": {"every": 1, "after": 1},
        "many_tokens_per_chunk": {"tokens": 2},
        "missing_end_mark": {"every": 1},
        "empty_role_chunk": {"count": 1},
        "missing_usage": {},
    }.items():
        texts = faults.changed(faults.make(name, **keys), faults.gradio("a ", "data: ", "c"), face="gradio")
        changed[name] = [tuple(text.strip().split("\ndata: ", 1)) for text in texts]
    a, ab, abc = (("event: generating", json.dumps([text])) for text in ("a ", "a data: ", "a data: c"))
    end = ("event: complete", '["a data: c"]')
    error = changed.pop("error_in_stream")
    assert error[0] == a
    assert error[1][0] == "event: error"
    assert json.loads(error[1][1])["error"].startswith("EngineCore encountered an issue")
    assert changed == {
        "many_tokens_per_chunk": [ab, abc, end],
        "missing_end_mark": [a, ab, abc],
        "empty_role_chunk": [("event: generating", '[""]'), a, ab, abc, end],
        "missing_usage": [a, ab, abc, end],
    }

"""The light load beside hostile inputs: there when called, over when told."""

from __future__ import annotations

import threading
import time

import msgspec
import pytest

from pytest_llmserve.domain.survival import Neighbour
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.measure.neighbours import Neighbours, ended_before, overlapping, why_failed


@pytest.fixture
def beside(mock_server):
    """``beside("--hang")`` -> neighbours of a mock server, stopped with the test."""
    made = []

    def start(*options, limit_s=10.0):
        target = target_from_url(mock_server(*options).url)
        target = msgspec.structs.replace(target, api="openai-chat", model="mock")
        made.append(Neighbours(target, {"max_tokens": 4}, limit_s))
        return made[-1]

    yield start
    for each in made:
        each.stop()


def test_a_question_is_under_way_when_a_case_begins(beside):
    """Called before each of some short cases, one overlaps with every one of them, and is answered."""
    neighbours = beside("--ttft-ms", 20)
    for _ in range(3):
        neighbours.call(10.0)
        begun_ns = time.monotonic_ns()
        end_ns = begun_ns + 1
        met = overlapping(neighbours.over(end_ns), begun_ns, end_ns)
        assert [each.outcome for each in met] == ["ok"]


def test_one_that_is_not_answered_in_time_is_told(beside):
    """By its outcome."""
    neighbours = beside("--hang", limit_s=0.3)
    neighbours.call(0.3)
    now_ns = time.monotonic_ns()
    assert [each.outcome for each in neighbours.over(now_ns)] in (["timed_out"], [None])


def test_stop_ends_the_thread_at_once_whatever_is_under_way(beside):
    neighbours = beside("--hang", limit_s=60.0)
    neighbours.call(60.0)
    began = time.monotonic()
    neighbours.stop()
    assert time.monotonic() - began < 5
    assert not [t for t in threading.enumerate() if t.name == "llmserve-neighbours" and t.is_alive()]


def test_at_rest_nothing_is_asked_until_the_next_call(beside):
    neighbours = beside("--ttft-ms", 20)
    neighbours.call(10.0)
    neighbours.rest()
    asked = len(neighbours.over(time.monotonic_ns()))
    time.sleep(0.6)  # more than twice the time from question to question
    assert len(neighbours.over(time.monotonic_ns())) == asked == 1
    neighbours.call(10.0)
    assert len(neighbours.over(time.monotonic_ns())) == 2


class Tardy(Neighbours):
    """Its thread loses the processor just after it has decided to end."""

    def _begin(self):
        goes_on = super()._begin()
        if not goes_on:
            time.sleep(0.6)
        return goes_on


def test_a_call_at_the_very_end_of_a_thread_begins_another_and_only_one(beside, monkeypatch):
    """And `stop` knows of it."""
    neighbours = beside("--ttft-ms", 1)
    neighbours.__class__ = Tardy
    monkeypatch.setattr("pytest_llmserve.measure.neighbours._IDLE_S", 0.1)
    neighbours.call(10.0)
    first = neighbours._thread
    deadline = time.monotonic() + 5
    while neighbours._thread is first and time.monotonic() < deadline:
        time.sleep(0.005)
    monkeypatch.undo()
    neighbours.call(10.0)
    assert first.is_alive()
    first.join(5)
    neighbours.call(10.0)
    assert [t.name for t in threading.enumerate()].count("llmserve-neighbours") == 1
    neighbours.stop()
    assert not [t for t in threading.enumerate() if t.name == "llmserve-neighbours" and t.is_alive()]


def test_those_under_way_are_told_from_those_before_and_after():
    """The very instants count as meeting; one without an end is under way still."""
    times = {1: (0, 9), 2: (0, 10), 3: (20, 30), 4: (21, 30), 5: (5, None)}
    all_of = tuple(
        Neighbour(id=i, begun_ns=b, end_ns=e, outcome=None if e is None else "ok")
        for i, (b, e) in times.items()
    )
    assert [each.id for each in overlapping(all_of, 10, 20)] == [2, 3, 5]
    assert [each.id for each in ended_before(all_of, 10)] == [1]


def test_what_failed_is_said_in_words():
    """Its error, or else its outcome and status; or that there was none in time."""
    said = [
        why_failed(None, 2.0),
        why_failed(Neighbour(id=1, begun_ns=0), 2.0),
        why_failed(
            Neighbour(id=1, begun_ns=0, end_ns=1, outcome="http_5xx", status=500, error="500: oh"), 2.0
        ),
        why_failed(Neighbour(id=1, begun_ns=0, end_ns=1, outcome="http_5xx", status=500), 2.0),
    ]
    assert said == ["it was never asked", "no answer within 2 s", "500: oh", "http_5xx, status 500"]

"""For how long a server had not answered, on literal stamps."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_llmserve.domain.exchange import COMPLETE, TIME_LIMIT
from pytest_llmserve.domain.outcome import OK, TIMED_OUT
from pytest_llmserve.measure.asking import patience_s, silence_ns
from pytest_llmserve.serve.heard import Heard

S = 1_000_000_000


def run(*ended, start_s=10, rounds=None):
    """(outcome, end in s) of each request."""
    records = [SimpleNamespace(outcome=outcome, end_ns=int(end_s * S)) for outcome, end_s in ended]
    return SimpleNamespace(everything=records, start_ns=start_s * S, rounds=rounds)


def heard(*ended):
    """(how, status, asked, ended) of each question, in s."""
    found = Heard()
    for how, status, asked_s, end_s in ended:
        found.ended(how, status, int(asked_s * S), int(end_s * S))
    return found


@pytest.mark.parametrize(
    ("runs", "asked", "silent_s"),
    [
        ([run((OK, 12), (TIMED_OUT, 15))], heard(), 3),
        ([run((TIMED_OUT, 15), (OK, 16))], heard(), None),
        ([run((OK, 12), (TIMED_OUT, 13))], heard(), None),
        ([run((TIMED_OUT, 15))], heard(), 5),
        ([run((OK, 12), (TIMED_OUT, 15))], heard((COMPLETE, 200, 16, 17)), None),
        ([run((OK, 12), (TIMED_OUT, 15))], heard((TIME_LIMIT, None, 16, 18)), 6),
        ([run((OK, 30))], heard((TIME_LIMIT, None, 16, 18)), None),
        ([], heard((TIME_LIMIT, None, 16, 18), (TIME_LIMIT, 200, 18, 20)), 4),
        ([], heard((TIME_LIMIT, None, 1, 8)), None),  # before this test
        ([], heard((COMPLETE, 503, 16, 19)), None),
        ([], heard(), None),
        ([run((TIMED_OUT, 15), rounds=4)], heard(), None),  # of a comparison, with another server perhaps
    ],
)
def test_silence_lasts_from_the_last_answer_to_the_end_of_the_last_question(runs, asked, silent_s):
    """Of loads and of what a test asks by itself alike; the test began at 9 s."""
    found = silence_ns(runs, asked, 9 * S)
    assert found == (None if silent_s is None else silent_s * S)


def test_a_slow_server_gets_more_time_for_one_more_prompt():
    """Twice what it took for any before, half a minute at most."""
    slow = SimpleNamespace(ok=[SimpleNamespace(e2e_ms=4000.0)])
    assert [patience_s([], 0.1), patience_s([slow], 0.1), patience_s([slow], 6), patience_s([], 60)] == [
        5,
        8,
        12,
        30,
    ]

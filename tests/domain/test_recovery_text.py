"""How a server came back, in a sentence."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.recovery import Before, recovery_of

MS, S = 1_000_000, 1_000_000_000
BACK = "812 ms after its end, and took no connection for 640 ms of it"


@pytest.mark.parametrize(
    ("before", "said", "right", "what"),
    [
        (Before(text="hi"), "hi", True, f"the server answered as before {BACK}"),
        (
            Before(text="hi"),
            "h" * 70,
            False,
            f"the server answered {BACK}, but not as before: '{'h' * 60}...' instead of 'hi'",
        ),
        (
            Before(),
            "anything",
            True,
            f"the server answered {BACK}; whether as before is not known: it was not asked before",
        ),
    ],
)
def test_an_answer_is_held_against_the_one_before(before, said, right, what):
    """Where that is known; else any answer is right, and the sentence says so."""
    found = recovery_of(before, 30 * S, 640 * MS, 812 * MS, said, "")
    assert (found.down_ms, found.answers_ms, found.right, found.what) == (640, 812, right, what)


@pytest.mark.parametrize(
    ("down_ns", "what"),
    [
        (None, "the server took no connection within 30 s of its end: connection refused"),
        (5, "the server did not answer within 30 s of its end: connection refused"),
    ],
)
def test_a_server_that_does_not_come_back_is_not_right(down_ns, what):
    """With what was seen last."""
    found = recovery_of(Before(), 30 * S, down_ns, None, None, "connection refused")
    assert (found.answers_ms, found.right, found.what) == (None, False, what)

"""Which word an answer gets: the first rule that fits decides."""

from __future__ import annotations

import pytest

from pytest_llmserve.dialects.tally import Tally, conclude
from pytest_llmserve.domain.exchange import (
    CLOSED_EARLY,
    COMPLETE,
    CONNECTION_RESET,
    NOT_HTTP,
    TIME_LIMIT,
    Ending,
)

EVERY_FAULT = Tally(
    200,
    began=True,
    streamed=True,
    needs_end_mark=True,
    frames=1,
    server_error="said",
    fault="bad",
    torn="torn",
    missed="missed",
)


@pytest.mark.parametrize(
    ("healed", "how", "outcome"),
    [
        ((), NOT_HTTP, "server_error_in_stream"),
        (("server_error",), NOT_HTTP, "malformed"),
        (("server_error",), TIME_LIMIT, "timed_out"),
        (("server_error",), CONNECTION_RESET, "malformed"),
        (("server_error", "fault"), CONNECTION_RESET, "cut_off"),
        (("server_error", "fault"), CLOSED_EARLY, "cut_off"),
        (("server_error", "fault"), COMPLETE, "cut_off"),
        (("server_error", "fault", "torn"), COMPLETE, "cut_off"),
    ],
)
def test_the_cause_goes_before_what_follows_from_it(healed: tuple[str, ...], how: str, outcome: str) -> None:
    fields = {name: getattr(EVERY_FAULT, name) for name in EVERY_FAULT.__struct_fields__}
    tally = Tally(**{**fields, **dict.fromkeys(healed)})
    assert conclude(tally, Ending(how))[0] == outcome


def test_only_tokens_make_an_answer() -> None:
    ended = {"began": True, "streamed": True, "needs_end_mark": True, "frames": 2, "ended": True}
    assert conclude(Tally(200, **ended), Ending(COMPLETE))[0] == "malformed"
    assert conclude(Tally(200, **ended, token_ns=[1]), Ending(COMPLETE)) == ("ok", None)


def test_answers_share_nothing() -> None:
    first, second = Tally(200), Tally(200)
    first.token_ns.append(1)
    first.texts.append("a")
    assert (second.token_ns, second.texts) == ([], [])

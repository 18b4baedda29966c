"""How a server came back after a restart or a crash: what its answers were before and after. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from pytest_llmserve.domain.units import NS_PER_MS, NS_PER_S, duration_text, ms_text

_SHOWN_CHARS = 60
ITS_END, ITS_START = "its end", "its start"


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """What a server had answered to the same question, asked twice.

    Attributes:
        params: fields of the request that it took.
        text: its answer; None = it is not known, or was not the same twice.
        unknown: why there is no such answer, a clause.
    """

    params: dict[str, Any] = msgspec.field(default_factory=dict)
    text: str | None = None
    unknown: str = "it was not asked before"


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """How a server came back.

    Attributes:
        down_ms: from its end until it took connections; None = it did not in time.
        answers_ms: from its end until it answered as before, or, where that is not known or not so, at
            all; None = it did not in time.
        right: it answers as before, or, where its answers before are not known, at all.
        what: all of it in a sentence.
    """

    down_ms: float | None
    answers_ms: float | None
    right: bool
    what: str


def recovery_of(
    before: Before,
    within_ns: int,
    down_ns: int | None,
    answered_ns: int | None,
    said: str | None,
    last: str,
    since: str = ITS_END,
) -> Recovery:
    """What is to be said of a server's return.

    Args:
        before: its answers before.
        within_ns: how long it was waited for.
        down_ns: from its end until it took connections, or None.
        answered_ns: until the answer that is judged, or None.
        said: the text of that answer.
        last: the last fault seen, or why there was no use in waiting.
        since: from when on it was waited for.
    """
    down_ms = None if down_ns is None else down_ns / NS_PER_MS
    if down_ns is None or answered_ns is None:
        did = "took no connection" if down_ns is None else "did not answer"
        what = f"the server {did} within {duration_text(within_ns)} of {since}: {last}"
        return Recovery(down_ms=down_ms, answers_ms=None, right=False, what=what)
    answers_ms = answered_ns / NS_PER_MS
    down = ms_text(down_ns / NS_PER_MS)
    after = f"{ms_text(answers_ms)} after its end, and took no connection for {down} of it"
    right = before.text is None or said == before.text
    if before.text is None:
        what = f"the server answered {after}; whether as before is not known: {before.unknown}"
    elif right:
        what = f"the server answered as before {after}"
    else:
        what = (
            f"the server answered {after}, but not as before: {_shown(said)} instead of {_shown(before.text)}"
        )
    return Recovery(down_ms=down_ms, answers_ms=answers_ms, right=right, what=what)


def _shown(text: str | None) -> str:
    text = text or ""
    return repr(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "...")


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which a test waited until its server, which it had ended as a rule, answered again.

    Attributes:
        began_ns, ended_ns: monotonic clock; it ended when the server answered or the wait was over.
        down_ms, answers_ms, right: as of the `Recovery`.
    """

    began_ns: int
    ended_ns: int
    down_ms: float | None
    answers_ms: float | None
    right: bool

    @property
    def what(self) -> str:
        """For people; the words of no answer are in it."""
        if self.down_ms is None:
            return "the server took no connection in time"
        down = f"the server took no connection for {ms_text(self.down_ms)}"
        if self.answers_ms is None:
            return f"{down}, and did not answer in time"
        return down if self.right else f"{down}, and did not answer as before"

    def as_json(self, zero_ns: int) -> dict[str, Any]:
        """For reports; times in seconds from `zero_ns` on."""
        return {
            "at_s": round((self.began_ns - zero_ns) / NS_PER_S, 3),
            "until_s": round((self.ended_ns - zero_ns) / NS_PER_S, 3),
            "down_ms": None if self.down_ms is None else round(self.down_ms, 3),
            "answers_ms": None if self.answers_ms is None else round(self.answers_ms, 3),
            "right": self.right,
            "what": self.what,
        }

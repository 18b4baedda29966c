"""What was seen of one answer, and the one word for how it ended."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pytest_llmserve.dialects.piece import Piece
from pytest_llmserve.domain.exchange import (
    COMPLETE,
    CONNECTION_RESET,
    NOT_HTTP,
    TIME_LIMIT,
    Decoded,
    Ending,
)
from pytest_llmserve.domain.outcome import (
    CUT_OFF,
    MALFORMED,
    OK,
    RESET,
    SERVER_ERROR_IN_STREAM,
    TIMED_OUT,
)


class Tally(msgspec.Struct):
    """Lives as long as one answer; everything seen of it so far.

    Attributes:
        status: HTTP status, 0 when no header came.
        began: a byte of the body arrived.
        streamed: the answer came in parts.
        frames: events, lines or bodies read.
        ended: finish_reason or another end mark was seen.
        usage: the server's last count of output tokens, or None.
        server_error, fault, torn, missed: the first sentence of its kind: an error the server
            reported, bytes the API does not allow, data that stops in the middle, no answer found.
        misses: pieces in which no answer was found.
    """

    status: int
    began: bool = False
    streamed: bool = False
    needs_end_mark: bool = False
    frames: int = 0
    ended: bool = False
    done: bool = False
    finish_reason: str | None = None
    usage: int | None = None
    server_error: str | None = None
    fault: str | None = None
    torn: str | None = None
    missed: str | None = None
    misses: int = 0
    texts: list[str] = []
    token_ns: list[int] = []

    def add(self, stamp_ns: int, piece: Piece) -> str:
        """Take one piece that arrived at `stamp_ns`; return its text."""
        self.frames += 1
        if piece.token:
            self.token_ns.append(stamp_ns)
        if piece.finish_reason is not None:
            self.finish_reason = piece.finish_reason
            self.ended = True
            if piece.finish_reason == "error":
                self.server_error = self.server_error or "the server gave finish_reason 'error'"
        if piece.ended:
            self.ended = True
        if piece.output_tokens is not None:
            self.usage = piece.output_tokens
        if piece.error is not None:
            self.server_error = self.server_error or piece.error
        if piece.missed is not None:
            self.missed = self.missed or piece.missed
            self.misses += 1
        if piece.torn is not None:
            self.torn = self.torn or piece.torn
        if piece.keeps is not None:
            self.texts[:] = ["".join(self.texts)[: piece.keeps]]
        if piece.text:
            self.texts.append(piece.text)
        return piece.text

    def add_many(self, stamps_ns: Sequence[int], said: Sequence[str | Piece]) -> None:
        """Take what one event each said; a text stands for a piece with nothing but that token."""
        try:
            text = "".join(said)  # type: ignore[arg-type]  # tried: nearly always they are all texts
        except TypeError:
            for stamp_ns, piece in zip(stamps_ns, said, strict=True):
                self.add(stamp_ns, Piece(piece, token=True) if isinstance(piece, str) else piece)
            return
        self.frames += len(said)
        self.token_ns.extend(stamps_ns)
        self.texts.append(text)

    def decoded(self, ending: Ending) -> Decoded:
        """The whole answer, judged."""
        outcome, error = conclude(self, ending)
        tokens, source = self._output_tokens()
        return Decoded(
            outcome=outcome,
            error=error,
            text="".join(self.texts),
            token_ns=tuple(self.token_ns),
            output_tokens=tokens,
            tokens_from=source,
            finish_reason=self.finish_reason,
            says_nothing=outcome == MALFORMED and self._has_form(),
        )

    def _has_form(self) -> bool:
        """Something was read, and where an answer belongs there was a place for it."""
        pieces = self.frames - self.done  # [DONE] is no piece
        return self.fault is None and self.frames > 0 and (not self.misses or self.misses < pieces)

    def _output_tokens(self) -> tuple[int | None, str | None]:
        # Some servers fill usage with zeros whatever they generate: no count at all.
        if self.usage is not None and self.usage > 0:
            return self.usage, "usage"
        if self.streamed and self.token_ns:
            return len(self.token_ns), "estimated"
        return None, None


def conclude(tally: Tally, ending: Ending) -> tuple[str, str | None]:
    """One word of `domain.outcome` and its sentence. The first rule that fits decides.

    An error the server reports explains what follows it, so it goes before a cut; bytes
    that the API does not allow go before a cut, as they were there first.
    """
    if tally.server_error is not None:
        return SERVER_ERROR_IN_STREAM, tally.server_error
    if ending.how == NOT_HTTP:
        return MALFORMED, ending.detail or "the answer is not HTTP"
    if ending.how == TIME_LIMIT:
        return TIMED_OUT, _with(f"no full answer within the time limit, {_so_far(tally)}", ending)
    if tally.fault is not None:
        return MALFORMED, tally.fault
    if ending.how != COMPLETE:
        return _broken(tally, ending)
    if tally.torn is not None:
        return CUT_OFF, tally.torn
    if tally.streamed and tally.frames and tally.needs_end_mark and not tally.ended:
        return CUT_OFF, f"the stream ended without a finish_reason or an end mark, {_so_far(tally)}"
    if not tally.token_ns:
        return MALFORMED, tally.missed or _empty(tally)
    return OK, None


def _broken(tally: Tally, ending: Ending) -> tuple[str, str]:
    how = "was reset" if ending.how == CONNECTION_RESET else "was closed"
    if not tally.began:
        return RESET, _with(f"the connection {how} before the answer began", ending)
    place = "behind the end mark, before the body's end" if tally.ended else "in the middle of the answer"
    return CUT_OFF, _with(f"the connection {how} {place}, {_so_far(tally)}", ending)


def _empty(tally: Tally) -> str:
    finish = f", finish_reason {tally.finish_reason!r}" if tally.finish_reason is not None else ""
    what = "no body" if not tally.began else "no text, reasoning or tool call"
    return f"empty answer: status {tally.status} with {what}{finish}"


def _so_far(tally: Tally) -> str:
    if not tally.began:
        return "before the answer began" if tally.status else "before any answer"
    count = len(tally.token_ns)
    return f"after {count} token chunk{'' if count == 1 else 's'}"


def _with(sentence: str, ending: Ending) -> str:
    return f"{sentence}: {ending.detail}" if ending.detail else sentence

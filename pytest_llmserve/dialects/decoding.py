"""The decoder all dialects share: unpacks, frames, asks the dialect's reader, keeps the tally."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from pytest_llmserve.dialects.errors import one_line, sentence_from_body
from pytest_llmserve.dialects.framing import (
    WHOLE,
    Framing,
    LineSplitter,
    declared,
    framing,
    is_json,
    lines_or_whole,
    sniff,
    whole_lines,
)
from pytest_llmserve.dialects.piece import (
    SHOWN_CHARS,
    Piece,
    Reader,
    ReadNamed,
    Unreadable,
    parse_json,
    shown,
)
from pytest_llmserve.dialects.sse import EventSplitter, whole_events
from pytest_llmserve.dialects.tally import Tally
from pytest_llmserve.dialects.unpack import Unpacker, unpacker
from pytest_llmserve.domain.exchange import COMPLETE, Decoded, Decoder, Ending
from pytest_llmserve.domain.outcome import HTTP_4XX, HTTP_5XX

_MANY = 4  # fewer are not worth a second look
_ERROR_BODY_BYTES = 65_536  # enough for any sentence; a proxy's error page may be endless


def make_decoder(reader: Reader, status: int, headers: Sequence[tuple[str, str]]) -> Decoder:
    """The decoder for an answer with this status and these headers.

    Args:
        reader: the dialect's own part, made for this answer.
        status: HTTP status; 0 when the connection ended before a header came.
        headers: (lower-case name, value) pairs.
    """
    if status >= 400:
        return ErrorDecoder(status, headers)
    return AnswerDecoder(reader, status, headers)


class AnswerDecoder:
    """Decodes the body of an answer that is not an error. Lives as long as that answer.

    JSON lines that are called JSON are known when a second line begins behind a whole first one; their
    stamps are those of their bytes all the same.
    """

    def __init__(self, reader: Reader, status: int, headers: Sequence[tuple[str, str]]) -> None:
        self._reader = reader
        self._read_event = reader.event
        # Once an answer: to ask a protocol's isinstance would cost as much as all the rest.
        self._read_named: ReadNamed | None = getattr(reader, "named", None)
        self._tally = Tally(status)
        self._content_type = header(headers, "content-type")
        self._unpacker: Unpacker | None = None
        self._framing: Framing | None = None
        self._head = b""
        self._held: list[tuple[int, bytes]] = []
        self._last_ns = 0
        self._deaf = False
        if 300 <= status < 400:
            self._refuse(_redirect(status, headers))
        try:
            self._unpacker = unpacker(every(headers, "content-encoding"))
        except Unreadable as error:
            self._refuse(str(error))
        kind = declared(self._content_type, reader.takes_lines)
        if kind is not None:
            self._frame_as(kind)

    def feed(self, stamp_ns: int, data: bytes) -> str:
        """Take bytes that arrived at `stamp_ns`; return the answer text they completed.

        An unstreamed answer completes nothing before `finish`.
        """
        if not data:
            return ""
        self._tally.began = True
        self._last_ns = stamp_ns
        if self._deaf:
            return ""
        if self._unpacker is not None:
            try:
                data = self._unpacker.feed(data)
            except Unreadable as error:
                self._refuse(str(error))
                return ""
        if self._framing is None:
            return self._recognise(stamp_ns, data)
        frames = self._framing.feed(data)
        if len(frames) == 1:
            return self._take(stamp_ns, *frames[0])
        return "".join([self._take(stamp_ns, name, event) for name, event in frames])

    def feed_many(self, stamps_ns: Sequence[int], pieces: Sequence[bytes]) -> None:
        """Take many pieces at once: the same as `feed` for each, at a quarter of its cost.

        A server writes an event, or a line, with one write, and one read brings it: such pieces are
        read together. What is left when they end so no longer is fed piece by piece.
        """
        at, count = 0, len(pieces)
        while at < count and (not at or not self._takes_many()):  # the first may bear a byte order mark
            self.feed(stamps_ns[at], pieces[at])
            at += 1
        # Usually only the last piece holds more: the end marks.
        for end in (count, count - 1):
            if end - at >= _MANY and self._take_many(stamps_ns[at:end], pieces[at:end]):
                at = end
        while at < count:
            self.feed(stamps_ns[at], pieces[at])
            at += 1

    def _takes_many(self) -> bool:
        """True once the body is known to be plain events or lines, and between two of them."""
        plain = self._unpacker is None and not self._deaf and not self._tally.done
        return plain and isinstance(self._framing, EventSplitter | LineSplitter) and self._framing.idle

    def _take_many(self, stamps_ns: Sequence[int], pieces: Sequence[bytes]) -> bool:
        """Read one event out of each piece; False, with nothing taken, unless all are alike."""
        if not self._takes_many():
            return False
        joined = whole_lines if isinstance(self._framing, LineSplitter) else whole_events
        events = joined(pieces)
        said = None if events is None else self._reader.events(events)
        if said is None:
            return False
        self._tally.add_many(stamps_ns, said)
        self._last_ns = stamps_ns[-1]
        return True

    def finish(self, ending: Ending) -> Decoded:
        """Say what the answer was. Called once, after the last `feed`."""
        tally = self._tally
        if self._held:
            self._settle(self._form_of_all())
        if self._framing is None and self._head and not self._deaf:
            self._leave_unrecognised(ending)
        if self._unpacker is not None and tally.began and not self._deaf:
            tally.torn = self._unpacker.torn()
        left = self._framing.close() if self._framing is not None and not self._deaf else None
        if left is not None and self._framing is not None:
            if self._framing.streamed:
                self._take_unended(*left)
            else:
                self._take_whole(left[1], ending)
        tally.needs_end_mark = self._reader.needs_end_mark
        if tally.streamed and tally.began and not tally.frames and tally.missed is None:
            tally.missed = "empty answer: an event stream without any event"
        return self._judged(ending)

    def _judged(self, ending: Ending) -> Decoded:
        """The whole answer, all of it taken."""
        return self._tally.decoded(ending)

    def _refuse(self, sentence: str) -> None:
        """Keep the first fault and read no further."""
        self._tally.fault = self._tally.fault or sentence
        self._deaf = True

    def _frame_as(self, kind: str) -> Framing:
        self._framing = made = framing(kind)
        self._tally.streamed = made.streamed
        return made

    def _recognise(self, stamp_ns: int, data: bytes) -> str:
        """Hold bytes back until they show which form the body has."""
        if self._held:
            return self._hold(stamp_ns, data)
        # Blanks before the body are a keep-alive of some servers: kept, they would pile up.
        self._head = (self._head + data).lstrip()
        kind = sniff(self._head, is_json(self._content_type))
        if kind is None:
            return ""
        if not kind:
            if len(self._head) >= 4 * SHOWN_CHARS:  # enough to show them, whatever the alphabet
                self._refuse(self._unknown_form())
            return ""
        head, self._head = self._head, b""
        if kind == WHOLE and self._reader.takes_lines and head[:1] == b"{":
            return self._hold(stamp_ns, head)
        frames = self._frame_as(kind).feed(head)
        return "".join([self._take(stamp_ns, name, event) for name, event in frames])

    def _hold(self, stamp_ns: int, data: bytes) -> str:
        """Keep pieces, each with its stamp, until it shows which of two forms they have."""
        self._held.append((stamp_ns, data))
        # Only a line end, or what comes behind one, can tell.
        if b"\n" not in data and b"\n" not in self._held[-2:][0][1]:
            return ""
        kind = self._form(self._held_bytes())
        return "" if kind is None else self._settle(kind)

    def _held_bytes(self) -> bytes:
        return b"".join([piece for _, piece in self._held])

    def _form(self, head: bytes) -> str | None:
        """The form of what is held; None while that cannot be known."""
        return lines_or_whole(head)

    def _form_of_all(self) -> str:
        """The form of what is held at the end of the body, where nothing else has shown."""
        return WHOLE

    def _settle(self, kind: str) -> str:
        """Read what was held in that form."""
        held, self._held = self._held, []
        made = self._frame_as(kind)
        return "".join(
            [self._take(stamp_ns, *frame) for stamp_ns, piece in held for frame in made.feed(piece)]
        )

    def _leave_unrecognised(self, ending: Ending) -> None:
        # A beginning too short to tell is the fault of a cut, if there was one.
        undecided = sniff(self._head, is_json(self._content_type)) is None
        if ending.how == COMPLETE or not undecided:
            self._refuse(self._unknown_form())

    def _unknown_form(self) -> str:
        label = self._content_type or "no Content-Type"
        return f"neither an event stream nor JSON ({one_line(label)}): {shown(self._head)}"

    def _take(self, stamp_ns: int, name: bytes, data: bytes) -> str:
        """Take one event or line."""
        tally = self._tally
        if tally.done:
            return ""
        if name and self._read_named is not None:
            return self._read(stamp_ns, data, partial(self._read_named, name))
        if data[:1] != b"{" or name == b"error":
            stripped = data.strip()
            if name == b"error":
                tally.frames += 1
                tally.server_error = tally.server_error or sentence_from_body(stripped)
                return ""
            if not stripped:  # a keep-alive
                return ""
            if stripped == b"[DONE]":
                tally.frames += 1
                tally.ended = tally.done = True
                return ""
        return self._read(stamp_ns, data, self._read_event)

    def _read(self, stamp_ns: int, data: bytes, read: Callable[[bytes], Piece]) -> str:
        tally = self._tally
        try:
            piece = read(data)
        except Unreadable as error:
            tally.frames += 1
            tally.fault = tally.fault or f"event {tally.frames}: {error}"
            return ""
        return tally.add(stamp_ns, piece)

    def _take_unended(self, name: bytes, data: bytes) -> None:
        """Take the last event, which no blank line ended, when it is complete in itself."""
        complete = name == b"error" or data.strip() in (b"", b"[DONE]")  # half an error is one too
        if not complete and not self._tally.done:
            try:
                parse_json(data)
            except Unreadable:
                self._tally.torn = self._tally.torn or f"the stream ended inside an event: {shown(data)}"
                return
        self._take(self._last_ns, name, data)

    def _take_whole(self, data: bytes, ending: Ending) -> None:
        try:
            piece = self._reader.body(data)
        except Unreadable as error:
            # Half a body is no JSON: the cut is the fault, not the bytes.
            if ending.how == COMPLETE and self._tally.torn is None:
                self._tally.fault = self._tally.fault or str(error)
            return
        self._tally.add(self._last_ns, piece)


class ErrorDecoder:
    """Decodes an answer with status 400 or above: only its reason is wanted."""

    def __init__(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        self._status = status
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        self._unreadable: str | None = None
        self._unpacker: Unpacker | None = None
        try:
            self._unpacker = unpacker(every(headers, "content-encoding"))
        except Unreadable as error:
            self._unreadable = str(error)

    def feed(self, stamp_ns: int, data: bytes) -> str:  # noqa: ARG002
        """Keep the beginning of the body; an error has no answer text."""
        if self._unreadable is not None or self._size_bytes >= _ERROR_BODY_BYTES:
            return ""
        if self._unpacker is not None:
            try:
                data = self._unpacker.feed(data)
            except Unreadable as error:
                self._unreadable = str(error)
                return ""
        self._pieces.append(data)
        self._size_bytes += len(data)
        return ""

    def feed_many(self, stamps_ns: Sequence[int], pieces: Sequence[bytes]) -> None:
        """Keep the beginning of the body."""
        for stamp_ns, piece in zip(stamps_ns, pieces, strict=True):
            self.feed(stamp_ns, piece)

    def finish(self, ending: Ending) -> Decoded:
        """The status decides the outcome, however the transport ended."""
        body = b"".join(self._pieces)[:_ERROR_BODY_BYTES]
        reason = self._unreadable or (sentence_from_body(body) if body.strip() else "no body")
        cut = f" ({ending.detail or ending.how})" if ending.how != COMPLETE else ""
        outcome = HTTP_5XX if self._status >= 500 else HTTP_4XX
        return Decoded(outcome=outcome, error=f"{self._status}: {reason}{cut}")


def header(headers: Sequence[tuple[str, str]], name: str) -> str:
    """The value of a header, "" when absent."""
    return next((value for key, value in headers if key == name), "")


def every(headers: Sequence[tuple[str, str]], name: str) -> str:
    """The values of all headers of this name as one list (RFC 9110, 5.3), "" when absent."""
    return ", ".join(value for key, value in headers if key == name)


def _redirect(status: int, headers: Sequence[tuple[str, str]]) -> str:
    where = one_line(header(headers, "location")) or "nowhere"
    return f"redirect {status} to {where}: give the final URL as the endpoint"

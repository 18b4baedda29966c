"""Server-sent events out of bytes cut anywhere.

Rules: WHATWG HTML, section 9.2 "Server-sent events". Lines end with LF, CRLF or CR and with
nothing else: U+2028 and U+0085 may stand raw inside JSON.
"""

from __future__ import annotations

from collections.abc import Sequence

Frame = tuple[bytes, bytes]
"""(event name, data). The name is empty for an unnamed event."""

_BOM = b"\xef\xbb\xbf"


def whole_events(pieces: Sequence[bytes]) -> bytes | None:
    """The data of pieces of which each is one event, `data: {...}` and a blank line: a line each.

    Each may bear a name, `event: ...` before its data, but not that of an error. Of the space behind
    `data:` all have one or none.

    Returns:
        JSON lines, one for each piece in their order; None when a piece is anything else.
    """
    stream = b"".join(pieces)
    lines = stream.split(b"\n")
    named = stream.startswith(b"event: ")
    step = 3 if named else 2
    names, events = (lines[:-1:step], lines[named:-1:step])
    if any(lines[step - 1 :: step]) or lines[-1] or b"\r" in stream:
        return None
    if named and not all(name.startswith(b"event: ") and name != b"event: error" for name in set(names)):
        return None
    sizes = map(_named_size, names, events) if named else [len(event) + 2 for event in events]
    if list(sizes) != list(map(len, pieces)):
        return None
    field = b"data:" if events[:1] and events[0].startswith(b"data:{") else b"data: "
    data = [event[len(field) :] for event in events if event.startswith(field + b"{")]
    return b"\n".join(data) if len(data) == len(events) else None


def _named_size(name: bytes, data: bytes) -> int:
    return len(name) + len(data) + 3


class EventSplitter:
    """Splits the bytes of one stream into events. Lives as long as the stream.

    Attributes:
        idle: between two events, nothing kept back.
    """

    streamed = True

    def __init__(self) -> None:
        self.idle = True
        self._started = False
        self._rest: list[bytes] = []  # the beginning of a line, without any line end
        self._after_cr = False
        self._name = b""
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> Sequence[Frame]:
        """Take the next bytes; return the events they completed."""
        # The usual case: a server writes one event with one write, and one read brings it.
        if self.idle and data[-2:] == b"\n\n" and b"\r" not in data:
            named = data.find(b"\n") + 1 if data[:7] == b"event: " else 0
            if data[named : named + 5] == b"data:" and data.find(b"\n", named) == len(data) - 2:
                self._started = True
                start = named + 5 + (data[named + 5 : named + 6] == b" ")
                return ((data[7 : named - 1] if named else b"", data[start:-2]),)
        events: list[Frame] = []
        for line in self._lines(data):
            self._take(line, events)
        self.idle = not (self._rest or self._after_cr or self._name or self._data)
        return events

    def close(self) -> Frame | None:
        """The event that was begun and not ended by a blank line, or None.

        The standard drops it. Many servers leave out the last blank line, so the caller
        takes it when it is complete in itself.
        """
        if self._rest:
            self._take(b"".join(self._rest), [])
            self._rest = []
        return (self._name, b"\n".join(self._data)) if self._data else None

    def _lines(self, data: bytes) -> list[bytes]:
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")  # the second half of a CRLF
        if b"\n" not in data and b"\r" not in data:
            if data:
                self._rest.append(data)
            return []
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        if self._rest:
            lines[0] = b"".join((*self._rest, lines[0]))
        rest = lines.pop()
        self._rest = [rest] if rest else []
        return lines

    def _take(self, line: bytes, events: list[Frame]) -> None:
        if not self._started:
            self._started = True
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                events.append((self._name, b"\n".join(self._data)))
                self._data = []
            self._name = b""
            return
        field, _, value = line.partition(b":")  # a comment has an empty field name
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
        elif field == b"event":
            self._name = value.removeprefix(b" ")

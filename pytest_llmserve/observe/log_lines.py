"""From the bytes of a log to lines of text. Pure."""

from __future__ import annotations

import re

LONGEST_BYTES = 65_536
"""So much of a line is kept while its end has not come."""
SHOWN_CHARS = 300
_BEFORE_CHARS = 60

# Control sequences, as colours and cursor movements are; window titles and links; two-character escapes.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[@-Z\\^_])")


class LineSplitter:
    """Puts lines together that come in pieces. Mutable: holds the line whose end has not come.

    A line ends at a line feed or a carriage return: a progress bar is a row of short lines. Only line feeds
    are counted.

    Attributes:
        count: lines that have ended.
        cut: those of them whose end was thrown away unread, as they were too long.
    """

    def __init__(self) -> None:
        self.count = 0
        self.cut = 0
        self._rest = b""
        self._dropping = False

    def begin_within(self, rest: bytes, drop: bool) -> None:
        """Go on from the middle of a line of which `rest` is known; `drop` = that line is nobody's."""
        self._rest, self._dropping = (b"", True) if drop else (rest, False)

    def feed(self, data: bytes) -> str:
        """The lines that end with these bytes, each with its line feed; empty when none does."""
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if end == 0:
            self._keep(data)
            return ""
        ended = self._rest + (data[_first_end(data) : end] if self._dropping else data[:end])
        self._rest, self._dropping = b"", False
        self.count += data.count(b"\n", 0, end)
        self._keep(data[end:])
        return plain_text(ended)

    def end(self) -> str:
        """The line whose end has not come, as far as it is known: it counts as ended here."""
        rest, self._rest = self._rest, b""
        self.count += bool(rest)
        return plain_text(rest + b"\n") if rest else ""

    def _keep(self, data: bytes) -> None:
        if self._dropping:
            return
        self._rest += data
        if len(self._rest) > LONGEST_BYTES:
            self._rest, self._dropping = self._rest[:LONGEST_BYTES], True
            self.cut += 1


def _first_end(data: bytes) -> int:
    return min(at for at in (data.find(b"\n"), data.find(b"\r")) if at >= 0)


def plain_text(lines: bytes) -> str:
    """Whole lines as text: line ends made one, colours and NUL taken out, bad bytes replaced."""
    text = lines.decode("utf-8", "replace")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    # A file cut to nothing under a writer that goes on at its old place has a hole before the next line.
    return text.replace("\0", "") if "\0" in text else text


def cut_line(line: str, at: int = 0) -> str:
    """A line that is long is cut around `at`."""
    if len(line) <= SHOWN_CHARS:
        return line
    begin = 0 if at < SHOWN_CHARS - _BEFORE_CHARS else at - _BEFORE_CHARS
    end = begin + SHOWN_CHARS
    text = ("\u2026" if begin else "") + line[begin:end] + ("\u2026" if end < len(line) else "")
    return f"{text} ({len(line)} characters)"


def shown(text: str) -> str:
    """A line as it is shown: what does not print is replaced."""
    return "".join(c if c.isprintable() else " " if c == "\t" else "\ufffd" for c in text).strip()

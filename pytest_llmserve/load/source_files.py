"""Reads files of prompts line by line, or item by item, so that a large one is not read to its end for a few.

What is wrong is told with the file and the line.
"""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pytest_llmserve.domain.errors import SetupError

_CHUNK_BYTES = 1 << 20
_LONGEST_CHARS = 1 << 26
"""Of one item of a JSON list: 64 million characters."""
_NEAR_END_CHARS = 16
_HEAD_BYTES = 4096
_BLANKS = " \t\r\n"


def fault(path: Path, line: int | None, why: str) -> SetupError:
    """What is wrong with a file, at which line."""
    where = "" if line is None else f", line {line}"
    return SetupError(f"prompts {path}{where}: {why}")


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file, from 1, each with its end; a `.gz` is unpacked.

    Raises:
        SetupError: it cannot be read, or a line is not UTF-8.
    """
    for number, raw in enumerate(_raw_lines(path), 1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _not_utf8(path, number, raw[error.start]) from None
        yield number, line.removeprefix("\ufeff") if number == 1 else line


def rows_of(path: Path) -> Iterator[tuple[int, Any]]:
    """The values of a file of JSON lines, or the items of its one JSON list, each with its line.

    Raises:
        SetupError: it cannot be read, or one is no JSON.
    """
    if _is_list(path):
        yield from _Items(path)
        return
    for number, line in lines_of(path):
        if not line.strip(_BLANKS):
            continue
        try:
            yield number, json.loads(line.rstrip(_BLANKS))
        except (ValueError, RecursionError) as error:
            why = _not_json(error, len(line.rstrip(_BLANKS)))
            raise fault(path, number, f"not JSON: {why}; write one JSON object a line, or one list") from None


def _not_json(error: Exception, chars: int) -> str:
    """What is wrong with a line of so many characters."""
    if not isinstance(error, json.JSONDecodeError):
        return "nested too deep" if isinstance(error, RecursionError) else str(error)
    if error.pos >= chars:
        return f"the line ends too early ({error.msg})"
    return f"{error.msg} at character {error.pos + 1}"


def _is_list(path: Path) -> bool:
    with _faults_told(path), _opened(path) as file:
        head = file.read(_HEAD_BYTES).removeprefix(codecs.BOM_UTF8)
    return head.lstrip(_BLANKS.encode()).startswith(b"[")


def _raw_lines(path: Path) -> Iterator[bytes]:
    with _faults_told(path), _opened(path) as file:
        yield from file


def _opened(path: Path) -> BinaryIO:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


@contextmanager
def _faults_told(path: Path) -> Iterator[None]:
    """What befalls while reading, as a fault of the file."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise fault(
            path, None, f"cannot be unpacked: {error}; pack it anew, or take the ending .gz away"
        ) from None
    except OSError as error:
        raise fault(path, None, f"cannot be read: {error.strerror or error}; check the path") from None


def _not_utf8(path: Path, line: int, byte: int) -> SetupError:
    return fault(path, line, f"not UTF-8: byte 0x{byte:02x}; save the file as UTF-8")


class _Items:
    """The items of a JSON list, read as they are wanted. Mutable, once through."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text, self._at, self._line = "", 0, 1
        self._ended = False

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        with _faults_told(self._path), _opened(self._path) as file:
            chunks = self._chunks(file)
            self._next_mark(chunks)  # the bracket that it begins with
            mark = self._next_mark(chunks, peek=True)
            while mark != "]":
                yield self._item(chunks)
                mark = self._next_mark(chunks)
                if mark not in {",", "]"}:
                    if not mark:
                        raise self._cut_off()
                    raise fault(self._path, self._line, f"not JSON: {mark!r} where a comma or ] belongs")

    def _item(self, chunks: Iterator[str]) -> tuple[int, Any]:
        self._next_mark(chunks, peek=True)
        while True:
            try:
                item, end = json.JSONDecoder().raw_decode(self._text, self._at)
            except (json.JSONDecodeError, RecursionError) as error:
                if self._is_torn(error) and self._more(chunks, len(self._text) - self._at):
                    continue
                raise self._not_json(error) from None
            found = self._line, item
            self._pass(end)
            return found

    def _is_torn(self, error: Exception) -> bool:
        """It may be whole with what comes behind it."""
        if not isinstance(error, json.JSONDecodeError) or len(self._text) - self._at > _LONGEST_CHARS:
            return False
        return error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _NEAR_END_CHARS

    def _not_json(self, error: Exception) -> SetupError:
        if not isinstance(error, json.JSONDecodeError):
            return fault(self._path, self._line, f"not JSON: {_not_json(error, 0)}")
        if self._ended and (error.pos >= len(self._text) or error.msg.startswith("Unterminated")):
            return self._cut_off()
        line = self._line + self._text.count("\n", self._at, error.pos)
        return fault(
            self._path, line, f"not JSON: {error.msg}; mend it there, or write one JSON object a line"
        )

    def _cut_off(self) -> SetupError:
        line = self._line + self._text.count("\n", self._at)
        return fault(
            self._path, line, "not JSON: the file ends in the middle of its list: was it cut off? get it anew"
        )

    def _next_mark(self, chunks: Iterator[str], *, peek: bool = False) -> str:
        """The next character that is no blank, "" at the end; passed over unless only looked at."""
        while True:
            while self._at < len(self._text):
                mark = self._text[self._at]
                if mark not in _BLANKS:
                    if not peek:
                        self._at += 1
                    return mark
                self._pass(self._at + 1)
            if not self._more(chunks, 1):
                return ""

    def _pass(self, end: int) -> None:
        self._line += self._text.count("\n", self._at, end)
        self._at = end

    def _more(self, chunks: Iterator[str], chars: int) -> bool:
        """Take in at least so many characters; False where the file holds no more."""
        parts, length = [self._text[self._at :]], 0
        while length < chars and not self._ended:
            chunk = next(chunks, None)
            if chunk is None:
                self._ended = True
                break
            parts.append(chunk)
            length += len(chunk)
        self._text, self._at = "".join(parts), 0
        return length > 0

    def _chunks(self, file: BinaryIO) -> Iterator[str]:
        decoder, line = codecs.getincrementaldecoder("utf-8-sig")(), 1
        while True:
            raw = file.read(_CHUNK_BYTES)
            try:
                text = decoder.decode(raw, final=not raw)
            except UnicodeDecodeError as error:
                read = error.object[: error.start]
                raise _not_utf8(self._path, line + read.count(b"\n"), error.object[error.start]) from None
            line += text.count("\n")
            if not raw:
                return
            if text:
                yield text

"""The files a worker writes: one of records, one of texts."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec
from msgspec.structs import force_setattr

from pytest_llmserve.domain.errors import GeneratorError
from pytest_llmserve.domain.record import NOT_KEPT, RequestRecord

_LENGTH = struct.Struct("<I")
_BUFFER_BYTES = 1 << 18
TEXTS_BYTES = 1_000_000_000
"""The most a worker writes of answers: a run of days must not fill the disk."""
# Few different ones in all the records of a run; decoded, each would be a string of its own.
_WORDS = ("outcome", "tokens_from", "finish_reason", "task", "error", "served_by")


class ShardWriter:
    """Appends records and texts; `close` makes them whole on disk."""

    def __init__(self, prefix: str, texts_bytes: int = TEXTS_BYTES) -> None:
        self._texts_bytes = texts_bytes
        self._records = _open(prefix + ".records", "wb")
        self._texts = _open(prefix + ".texts", "wb")
        self._text_end = 0
        self._encode = msgspec.msgpack.Encoder().encode

    def add_text(self, text: str) -> int | None:
        """Keep an answer; return where it lies: None for an empty one, NOT_KEPT where there is no room."""
        if not text:
            return None
        raw = text.encode("utf-8", "surrogatepass")
        at = self._text_end
        if at + _LENGTH.size + len(raw) > self._texts_bytes:
            return NOT_KEPT
        self._text_end += self._texts.write(_LENGTH.pack(len(raw)) + raw)
        return at

    def add(self, record: RequestRecord) -> None:
        """Keep a record."""
        try:
            raw = self._encode(record)
        except (
            UnicodeEncodeError
        ):  # what the server says may hold a lone surrogate; msgpack has no form for it
            texts = {name: _escaped(getattr(record, name)) for name in ("error", "finish_reason", "task")}
            raw = self._encode(msgspec.structs.replace(record, **texts))
        self._records.write(_LENGTH.pack(len(raw)) + raw)

    def flush(self) -> None:
        """Write what is held back, so that a `ShardTail` sees it. From any thread."""
        for file in (self._texts, self._records):  # a record that is seen has its text
            # Closed meanwhile, or the disk is full: then the next `add`, or `close`, says so.
            with contextlib.suppress(ValueError, OSError):
                file.flush()

    def close(self) -> None:
        """Flush and close both files."""
        self._records.close()
        self._texts.close()


def _escaped(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()


def _open(path: str, mode: Literal["rb", "wb"]) -> BinaryIO:
    return Path(path).open(mode, buffering=_BUFFER_BYTES)  # closed by who asked for it


class ShardTexts:
    """Reads the answers of one shard back, on demand."""

    def __init__(self, prefix: str) -> None:
        self._path = Path(prefix + ".texts")

    def read(self, at: int) -> str:
        """Return one answer.

        Raises:
            GeneratorError: the run's folder is gone, or the answer was one too many.
        """
        if at == NOT_KEPT:
            raise GeneratorError(
                f"this answer was not kept: those of its load worker had taken {TEXTS_BYTES / 1e9:g} GB;"
                " the figures are of all requests"
            )
        try:
            with self._path.open("rb") as file:
                file.seek(at)
                size_bytes = _LENGTH.unpack(file.read(_LENGTH.size))[0]
                return file.read(size_bytes).decode("utf-8", "surrogatepass")
        except OSError as error:
            raise GeneratorError(
                f"the answer is no longer there ({error}): texts can be read until the test session ends"
            ) from None


def read_shard(prefix: str) -> Iterator[RequestRecord]:
    """Yield the records of one shard, reading as they are asked for.

    Raises:
        GeneratorError: the file is missing, cut off or damaged.
    """
    try:
        file = _open(prefix + ".records", "rb")
    except OSError as error:
        raise GeneratorError(f"a load worker left no records: {error}") from None
    decoder = _Decoder(ShardTexts(prefix))
    with file:
        for raw in _frames(file):
            yield decoder.record(raw)


class ShardTail:
    """Reads a shard that is being written: each time what has come since the last."""

    def __init__(self, prefix: str) -> None:
        self._path = Path(prefix + ".records")
        self._decoder = _Decoder(ShardTexts(prefix))

    def read(self) -> list[RequestRecord]:
        """The records that have come; one of which only a part is there is left for the next time.

        Raises:
            GeneratorError: the file is missing or damaged.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._decoder.at)
                data = memoryview(file.read())
        except OSError as error:
            raise GeneratorError(f"a load worker's records cannot be read: {error}") from None
        records, at = [], 0
        while at + _LENGTH.size <= len(data):
            begin = at + _LENGTH.size
            at = begin + _LENGTH.unpack_from(data, at)[0]
            if at > len(data):
                break
            records.append(self._decoder.record(data[begin:at]))
        return records


class _Decoder:
    """Turns the frames of one shard into records, in their order.

    Attributes:
        at: where the next frame begins.
    """

    def __init__(self, texts: ShardTexts) -> None:
        self.at = 0
        self._decode = msgspec.msgpack.Decoder(RequestRecord).decode
        self._words: dict[str | None, str | None] = {}
        self._texts = texts

    def record(self, raw: bytes | memoryview) -> RequestRecord:
        try:
            record = self._decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            where = f"damaged at byte {self.at}"
            raise GeneratorError(f"the records of a load worker are {where}: {error}") from None
        self.at += _LENGTH.size + len(raw)
        for name in _WORDS:  # one of each for all records
            word = getattr(record, name)
            force_setattr(record, name, self._words.setdefault(word, word))
        force_setattr(record, "texts", self._texts)
        return record


def _frames(file: BinaryIO) -> Iterator[bytes]:
    at, end = 0, os.fstat(file.fileno()).st_size
    while at < end:
        head = file.read(_LENGTH.size)
        after = at + _LENGTH.size + (_LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0)
        if len(head) < _LENGTH.size or after > end:
            raise GeneratorError(f"the records of a load worker are cut off at byte {at} of {end}")
        yield file.read(after - at - _LENGTH.size)
        at = after

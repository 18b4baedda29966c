"""The files a worker writes: one of records, one of texts."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from pytest_llmserve.domain.errors import GeneratorError
from pytest_llmserve.domain.record import RequestRecord

_LENGTH = struct.Struct("<I")


class ShardWriter:
    """Appends records and texts; `close` makes them whole on disk."""

    def __init__(self, prefix: str, index: int) -> None:
        self._index = index
        self._records = _open(prefix + ".records")
        self._texts = _open(prefix + ".texts")
        self._text_end = 0
        self._encode = msgspec.msgpack.Encoder().encode

    def add_text(self, text: str) -> tuple[int, int, int] | None:
        """Keep an answer; return where it lies, None for an empty one."""
        if not text:
            return None
        raw = text.encode("utf-8", "surrogatepass")
        self._texts.write(raw)
        at = (self._index, self._text_end, len(raw))
        self._text_end += len(raw)
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

    def close(self) -> None:
        """Flush and close both files."""
        self._records.close()
        self._texts.close()


def _escaped(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()


def _open(path: str) -> BinaryIO:
    return Path(path).open("wb", buffering=1 << 18)  # the writer closes it


class ShardTexts:
    """Reads answers back, on demand."""

    def __init__(self, prefixes: list[str]) -> None:
        self._prefixes = prefixes

    def read(self, shard: int, offset: int, size_bytes: int) -> str:
        """Return one answer.

        Raises:
            GeneratorError: the run's folder is gone.
        """
        try:
            with Path(self._prefixes[shard] + ".texts").open("rb") as file:
                file.seek(offset)
                return file.read(size_bytes).decode("utf-8", "surrogatepass")
        except OSError as error:
            raise GeneratorError(
                f"the answer is no longer there ({error}): texts can be read until the test session ends"
            ) from None


def read_shard(prefix: str, texts: ShardTexts) -> Iterator[RequestRecord]:
    """Yield the records of one shard.

    Raises:
        GeneratorError: the file is missing, cut off or damaged.
    """
    decode = msgspec.msgpack.Decoder(RequestRecord).decode
    try:
        raw = Path(prefix + ".records").read_bytes()
    except OSError as error:
        raise GeneratorError(f"a load worker left no records: {error}") from None
    view, at = memoryview(raw), 0
    while at < len(raw):
        if at + 4 > len(raw) or at + 4 + (size := _LENGTH.unpack_from(raw, at)[0]) > len(raw):
            raise GeneratorError(f"the records of a load worker are cut off at byte {at} of {len(raw)}")
        try:
            record = decode(view[at + 4 : at + 4 + size])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise GeneratorError(f"the records of a load worker are damaged at byte {at}: {error}") from None
        msgspec.structs.force_setattr(record, "texts", texts)
        yield record
        at += 4 + size

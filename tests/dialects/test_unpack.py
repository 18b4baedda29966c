"""Compressed bodies, cut anywhere."""

from __future__ import annotations

import gzip
import zlib

import pytest

from pytest_llmserve.dialects.piece import Unreadable
from pytest_llmserve.dialects.unpack import unpacker

TEXT = b"the same text again and again " * 20


def unpacked(name: str, data: bytes, size: int) -> bytes:
    unpack = unpacker(name)
    assert unpack is not None
    return b"".join(unpack.feed(data[k : k + size]) for k in range(0, len(data), size))


@pytest.mark.parametrize("name", ["", "identity", " Identity "])
def test_a_plain_body_needs_no_unpacker(name: str) -> None:
    assert unpacker(name) is None


@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
def test_gzip_members_in_a_row_are_one_body_and_padding_is_none(size: int) -> None:
    data = gzip.compress(TEXT) + gzip.compress(b"more") + b"\0\0\x1f\x8b"
    assert unpacked("GZip", data, size) == TEXT + b"more"


@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
def test_deflate_is_read_with_and_without_its_header(size: int) -> None:
    raw = zlib.compressobj(wbits=-15)
    assert unpacked("deflate", zlib.compress(TEXT), size) == TEXT
    assert unpacked("deflate", raw.compress(TEXT) + raw.flush(), size) == TEXT


def test_a_flushed_part_is_unpacked_at_once() -> None:
    """A streaming server flushes after each event, and the stamp must be that of its arrival."""
    packer = zlib.compressobj(wbits=31)
    unpack = unpacker("gzip")
    assert unpack is not None
    for part in (b"data: a\n\n", b"data: b\n\n"):
        assert unpack.feed(packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH)) == part
    assert unpack.torn() == "the gzip data ended early"
    unpack.feed(packer.flush())
    assert unpack.torn() is None


def test_bytes_of_another_kind_are_refused() -> None:
    unpack = unpacker("deflate")
    assert unpack is not None
    with pytest.raises(Unreadable, match=r"^the body is not valid deflate \("):
        unpack.feed(b"\xff\xff\xff\xff")

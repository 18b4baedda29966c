"""Compressed bodies, cut anywhere."""

from __future__ import annotations

import gzip
import importlib
import sys
import zlib
from typing import Any

import pytest

from pytest_llmserve.dialects import unpack as unpack_module
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


@pytest.fixture
def brotli() -> Any:
    return pytest.importorskip("brotli")


@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
def test_brotli_is_read_by_either_package(size: int, brotli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """brotlicffi has the same face under another name."""
    data = brotli.compress(TEXT)
    assert unpacked("br", data, size) == TEXT
    with pytest.raises(Unreadable, match=r"^the body is not valid br \("):
        unpacked("br", data + b"more", size)
    monkeypatch.setitem(sys.modules, "brotlicffi", brotli)
    monkeypatch.setitem(sys.modules, "brotli", None)
    assert unpacked("br", data, size) == TEXT


def test_brotli_that_is_flushed_torn_or_not_brotli(brotli: Any) -> None:
    packer = brotli.Compressor()
    unpack = unpacker("br")
    assert unpack is not None
    for part in (b"data: a\n\n", b"data: b\n\n"):
        assert unpack.feed(packer.process(part) + packer.flush()) == part
    assert unpack.torn() == "the br data ended early"
    unpack.feed(packer.finish())
    assert unpack.torn() is None
    with pytest.raises(Unreadable, match=r"^the body is not valid br \("):
        unpacked("br", b"\xff" * 100, 100)


@pytest.mark.parametrize("old", [False, True])
def test_without_the_brotli_package_the_command_is_named(old: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that cannot limit what it unpacks to is as good as none."""

    class Before:
        class Decompressor:
            """As before 1.2."""

    for name in ("brotli", "brotlicffi"):
        monkeypatch.setitem(sys.modules, name, Before if old else None)  # type: ignore[arg-type]
    with pytest.raises(Unreadable) as caught:
        unpacker("br")
    assert str(caught.value) == (
        "the answer is compressed with br, which was not asked for: install what reads it with"
        " pip install 'pytest-llmserve[brotli]',"
        " or switch compression off in the server or proxy for this path"
    )


def zstd_module() -> Any:
    try:
        return importlib.import_module("compression.zstd")
    except ModuleNotFoundError:
        return pytest.skip("the standard library has zstd from Python 3.14 on")


@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
def test_zstd_frames_in_a_row_are_one_body(size: int) -> None:
    data = zstd_module().compress(TEXT) + zstd_module().compress(b"more")
    assert unpacked("zstd", data, size) == TEXT + b"more"


def test_zstd_that_is_torn_or_not_zstd() -> None:
    unpack = unpacker("zstd") if zstd_module() else None
    assert unpack is not None
    unpack.feed(zstd_module().compress(TEXT)[:-3])
    assert unpack.torn() == "the zstd data ended early"
    with pytest.raises(Unreadable, match=r"^the body is not valid zstd \("):
        unpacked("zstd", b"\xff" * 100, 100)


def test_without_zstd_in_the_standard_library_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "compression", None)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    with pytest.raises(Unreadable) as caught:
        unpacker("zstd")
    assert str(caught.value) == (
        "the answer is compressed with zstd, which was not asked for and can be read from Python 3.14 on:"
        " switch compression off in the server or proxy for this path"
    )


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_codings_on_top_of_each_other_come_off_from_the_last(size: int) -> None:
    data = gzip.compress(zlib.compress(TEXT))
    assert unpacked("deflate, identity, gzip", data, size) == TEXT
    with pytest.raises(Unreadable, match=r"^the body is not valid deflate"):
        unpacked("gzip, deflate", data, size)


def test_a_torn_layer_is_named_from_the_outside() -> None:
    data = gzip.compress(zlib.compress(TEXT)[:-4])
    for cut, torn in ((None, "the deflate data ended early"), (-9, "the gzip data ended early")):
        unpack = unpacker("deflate, gzip")
        assert unpack is not None
        unpack.feed(data[:cut])
        assert unpack.torn() == torn


def bomb(name: str, size: int) -> bytes:
    zeros = b"\0" * size
    if name == "gzip members":
        return gzip.compress(zeros[: size // 2 + 1]) * 2
    if name == "gzip":
        return gzip.compress(zeros)
    if name == "deflate":
        return zlib.compress(zeros)
    module = pytest.importorskip("brotli") if name == "br" else zstd_module()
    return bytes(module.compress(zeros))


@pytest.mark.parametrize("name", ["gzip", "gzip members", "deflate", "br", "zstd"])
@pytest.mark.parametrize("size", [3, 100_000])
def test_a_body_that_unpacks_to_too_much_is_refused(
    name: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one piece or in many; what is just allowed is read."""
    coding = name.split()[0]
    monkeypatch.setattr(unpack_module, "MOST_BYTES", 1024**2)
    with pytest.raises(Unreadable) as caught:
        unpacked(coding, bomb(name, 1024**2 + 1), size)
    assert str(caught.value) == f"the {coding} body unpacks to more than 1 MiB: no answer is so long"
    assert len(unpacked(coding, bomb(coding, 1024**2), size)) == 1024**2


def test_the_limit_is_far_above_any_answer_and_below_any_memory() -> None:
    assert unpack_module.MOST_BYTES == 64 * 1024**2

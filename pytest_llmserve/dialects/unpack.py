"""Compressed bodies. We never ask for one; some servers and proxies send it all the same."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pytest_llmserve.dialects.piece import Unreadable

MOST_BYTES = 64 * 1024 * 1024
"""What one body may unpack to; a small body can be made to unpack to any size."""

_MOST_LAYERS = 3
_GZIP = 16 + zlib.MAX_WBITS  # zlib's way to say: expect a gzip header
_SWITCH_OFF = "switch compression off in the server or proxy for this path"


class Unpacker(Protocol):
    """Decompresses one body, cut anywhere."""

    def feed(self, data: bytes) -> bytes:
        """Return what the next bytes unpack to. Raises Unreadable."""

    def torn(self) -> str | None:
        """Say that the compressed data ended before its end, or None."""


class _Limited:
    """Counts what a body has unpacked to.

    Attributes:
        most: bytes the next call may return: one more than allowed, which shows that there are more.
    """

    def __init__(self, name: str) -> None:
        self.most = MOST_BYTES + 1
        self._name = name

    def count(self, data: bytes) -> bytes:
        """Take what was unpacked and return it. Raises Unreadable when it is too much."""
        self.most -= len(data)
        if self.most <= 0:
            limit = f"{MOST_BYTES // 1024**2} MiB"
            raise Unreadable(f"the {self._name} body unpacks to more than {limit}: no answer is so long")
        return data


class Gzip:
    """Content-Encoding gzip; several members in a row are one body (RFC 1952, 2.2)."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_GZIP)
        self._limited = _Limited("gzip")
        self._padding = False

    def feed(self, data: bytes) -> bytes:
        """Return what the next bytes unpack to. Raises Unreadable."""
        out = []
        while data and not self._padding:
            if self._inflate.eof:
                if data[0] != 0x1F:  # no further member: padding, which gzip allows
                    self._padding = True
                    break
                self._inflate = zlib.decompressobj(_GZIP)
            out.append(_run(self._inflate, data, "gzip", self._limited))
            data = self._inflate.unused_data
        return b"".join(out)

    def torn(self) -> str | None:
        """Say that the compressed data ended before its end, or None."""
        return None if self._inflate.eof else "the gzip data ended early"


class Deflate:
    """Content-Encoding deflate: with the zlib header (RFC 9110) or, as many servers do, without."""

    def __init__(self) -> None:
        self._head = b""
        self._limited = _Limited("deflate")
        self._inflate: zlib._Decompress | None = None

    def feed(self, data: bytes) -> bytes:
        """Return what the next bytes unpack to. Raises Unreadable."""
        if self._inflate is None:
            self._head += data
            if len(self._head) < 2:
                return b""
            first, second = self._head[0], self._head[1]
            zlib_header = first & 0x0F == 8 and (first * 256 + second) % 31 == 0
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS)
            data, self._head = self._head, b""
        return _run(self._inflate, data, "deflate", self._limited)

    def torn(self) -> str | None:
        """Say that the compressed data ended before its end, or None."""
        done = self._inflate is not None and self._inflate.eof
        return None if done else "the deflate data ended early"


class Brotli:
    """Content-Encoding br (RFC 7932), by the package Brotli or brotlicffi, whichever is installed.

    Raises:
        Unreadable: neither is installed.
    """

    def __init__(self) -> None:
        module = _brotli()
        self._error: type[Exception] = module.error
        self._inflate = module.Decompressor()
        self._limited = _Limited("br")

    def feed(self, data: bytes) -> bytes:
        """Return what the next bytes unpack to. Raises Unreadable."""
        if not data:
            return b""
        try:
            return self._limited.count(self._inflate.process(data, output_buffer_limit=self._limited.most))
        except self._error as error:
            raise Unreadable(f"the body is not valid br ({error})") from None

    def torn(self) -> str | None:
        """Say that the compressed data ended before its end, or None."""
        return None if self._inflate.is_finished() else "the br data ended early"


class Zstd:
    """Content-Encoding zstd (RFC 8878); several frames in a row are one body.

    Raises:
        Unreadable: this Python's standard library does not have it.
    """

    def __init__(self) -> None:
        try:
            self._module: Any = importlib.import_module("compression.zstd")
        except ModuleNotFoundError:
            raise Unreadable(
                "the answer is compressed with zstd, which was not asked for and can be read from Python 3.14"
                f" on: {_SWITCH_OFF}"
            ) from None
        self._inflate = self._module.ZstdDecompressor()
        self._limited = _Limited("zstd")

    def feed(self, data: bytes) -> bytes:
        """Return what the next bytes unpack to. Raises Unreadable."""
        out = []
        try:
            while data:
                if self._inflate.eof:
                    self._inflate = self._module.ZstdDecompressor()
                out.append(self._limited.count(self._inflate.decompress(data, self._limited.most)))
                data = self._inflate.unused_data if self._inflate.eof else b""
        except self._module.ZstdError as error:
            raise Unreadable(f"the body is not valid zstd ({error})") from None
        return b"".join(out)

    def torn(self) -> str | None:
        """Say that the compressed data ended before its end, or None."""
        return None if self._inflate.eof else "the zstd data ended early"


class Layers:
    """Codings on top of each other; `layers` from the outermost."""

    def __init__(self, layers: Sequence[Unpacker]) -> None:
        self._layers = layers

    def feed(self, data: bytes) -> bytes:
        """Return what the next bytes unpack to. Raises Unreadable."""
        for layer in self._layers:
            data = layer.feed(data)
        return data

    def torn(self) -> str | None:
        """Say that the compressed data ended before its end, or None."""
        return next(filter(None, (layer.torn() for layer in self._layers)), None)


UNPACKERS: dict[str, Callable[[], Unpacker]] = {
    "gzip": Gzip,
    "x-gzip": Gzip,
    "deflate": Deflate,
    "br": Brotli,
    "zstd": Zstd,
}


def unpacker(content_encoding: str) -> Unpacker | None:
    """The unpacker for a Content-Encoding, a list in the order the codings were applied.

    Returns:
        None when there is nothing to unpack.

    Raises:
        Unreadable: an encoding we do not unpack; says how to switch it off.
    """
    codings = [name.strip().lower() for name in content_encoding.split(",")]
    names = [name for name in codings if name not in {"", "identity"}]
    if not names:
        return None
    unknown = [name for name in names if name not in UNPACKERS]
    if unknown or len(names) > _MOST_LAYERS:
        shown = ", ".join(unknown or names)[:40]
        raise Unreadable(
            f"the answer is compressed with {shown!r}, which was not asked for and cannot be read:"
            f" {_SWITCH_OFF}"
        )
    layers = [UNPACKERS[name]() for name in reversed(names)]
    return layers[0] if len(layers) == 1 else Layers(layers)


def _run(inflate: zlib._Decompress, data: bytes, name: str, limited: _Limited) -> bytes:
    try:
        return limited.count(inflate.decompress(data, limited.most))
    except zlib.error as error:
        raise Unreadable(f"the body is not valid {name} ({error})") from None


def _brotli() -> Any:
    for name in ("brotli", "brotlicffi"):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        if hasattr(module.Decompressor, "can_accept_more_data"):  # older ones know no limit
            return module
    raise Unreadable(
        "the answer is compressed with br, which was not asked for: install what reads it with"
        f" pip install 'pytest-llmserve[brotli]', or {_SWITCH_OFF}"
    )

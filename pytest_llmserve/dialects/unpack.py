"""Compressed bodies. We never ask for one; some servers and proxies send it all the same."""

from __future__ import annotations

import zlib
from typing import Protocol

from pytest_llmserve.dialects.piece import Unreadable

_GZIP = 16 + zlib.MAX_WBITS  # zlib's way to say: expect a gzip header


class Unpacker(Protocol):
    """Decompresses one body, cut anywhere."""

    def feed(self, data: bytes) -> bytes:
        """Return what the next bytes unpack to. Raises Unreadable."""

    def torn(self) -> str | None:
        """Say that the compressed data ended before its end, or None."""


class Gzip:
    """Content-Encoding gzip; several members in a row are one body (RFC 1952, 2.2)."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_GZIP)
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
            out.append(_run(self._inflate, data, "gzip"))
            data = self._inflate.unused_data
        return b"".join(out)

    def torn(self) -> str | None:
        """Say that the compressed data ended before its end, or None."""
        return None if self._inflate.eof else "the gzip data ended early"


class Deflate:
    """Content-Encoding deflate: with the zlib header (RFC 9110) or, as many servers do, without."""

    def __init__(self) -> None:
        self._head = b""
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
        return _run(self._inflate, data, "deflate")

    def torn(self) -> str | None:
        """Say that the compressed data ended before its end, or None."""
        done = self._inflate is not None and self._inflate.eof
        return None if done else "the deflate data ended early"


def unpacker(content_encoding: str) -> Unpacker | None:
    """The unpacker for a Content-Encoding; None when there is nothing to unpack.

    Raises:
        Unreadable: an encoding we do not unpack; says how to switch it off.
    """
    name = content_encoding.strip().lower()
    if name in {"", "identity"}:
        return None
    if name in {"gzip", "x-gzip"}:
        return Gzip()
    if name == "deflate":
        return Deflate()
    raise Unreadable(
        f"the answer is compressed with {name[:40]!r}, which was not asked for and cannot be read:"
        " switch compression off in the server or proxy for this path"
    )


def _run(inflate: zlib._Decompress, data: bytes, name: str) -> bytes:
    try:
        return inflate.decompress(data)
    except zlib.error as error:
        raise Unreadable(f"the body is not valid {name} ({error})") from None

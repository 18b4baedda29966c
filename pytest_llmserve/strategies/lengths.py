"""Bodies whose Content-Length lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from pytest_llmserve.domain.wrong_length import WrongLength
from pytest_llmserve.strategies.json_text import written

__all__ = ["WrongLength", "wrong_length"]

_LARGEST = 10**30
_NEGATIVE = (-1, -2, -(2**31), -(2**63))
_NO_NUMBER = (
    *("", " ", "text", "null", "NaN", "Infinity", "true", "-", "-0"),
    *("1e3", "1.0", "0x10", "0b1", "0o7", "1_0", "1 0", "1,", ";", "'1'", '"1"', "\xb2", "\xbd", "\xa0"),
)
"""What is no number, and what only some languages take for one."""


def wrong_length(body: Mapping[str, Any]) -> st.SearchStrategy[bytes]:
    """Too long, too short, negative, no number, two of them, one beside Transfer-Encoding, none at all."""
    whole = written(body)
    size = len(whole)
    other = st.integers(0, 2 * size).filter(lambda told: told != size)
    told = st.one_of(
        st.integers(size + 1, _LARGEST),
        st.integers(0, size - 1),
        st.sampled_from(_NEGATIVE),
        st.sampled_from((*_NO_NUMBER, f"+{size}", f"{size}.0", f"{size}\t{size}", f"0x{size:x}")),
        other.map(lambda told: (size, told)),
        other.map(lambda told: (told, size)),
        other.map(lambda told: f"{size}, {told}"),
        st.none(),
    )
    return st.one_of(told.map(lambda told: WrongLength(whole, told)), _both(whole))


@st.composite
def _both(draw: st.DrawFn, whole: bytes) -> WrongLength:
    """Content-Length and Transfer-Encoding; the body in chunks or not."""
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(whole), whole)
    body = draw(st.sampled_from((whole, chunks)))
    told = draw(st.sampled_from((len(whole), len(chunks), 0, len(body) + 1, -1)))
    return WrongLength(body, told, draw(st.sampled_from(("chunked", "Chunked", "gzip, chunked", "xchunked"))))

"""Requests that differ in their nonce alone are written once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

# As long as a nonce, and different in every digit.
_ZEROS, _EFFS = "00000000", "ffffffff"


class Template(NamedTuple):
    """The bytes before and behind the nonce."""

    head: bytes
    tail: bytes

    def filled(self, nonce: str) -> bytes:
        """The request with that nonce."""
        return b"%b%b%b" % (self.head, nonce.encode(), self.tail)


def template(written: Callable[[str], bytes]) -> Template | None:
    """Find where the nonce stands in a request, by writing it with two of them.

    Args:
        written: the request's bytes with a given nonce.

    Returns:
        None when the two differ in more than one place: a nonce that is encoded, or stands twice.
    """
    zeros, effs = written(_ZEROS), written(_EFFS)
    at = next((i for i, (a, b) in enumerate(zip(zeros, effs, strict=False)) if a != b), None)
    if at is None:
        return None
    found = Template(zeros[:at], zeros[at + len(_ZEROS) :])
    return found if (found.filled(_ZEROS), found.filled(_EFFS)) == (zeros, effs) else None

"""The mark that each request of a run carries before its prompt: its nonce, and its canary. Pure."""

from __future__ import annotations

_MASK = 0xFFFFFFFF
# Odd, so that multiplying by it permutes the 32-bit numbers: nonces never repeat within a run.
_STEP = 0x9E3779B1


def nonce(salt: str, request_id: int) -> str:
    """Eight hex digits that no other request of the run carries.

    `salt` is a hexadecimal number, new for each run.
    """
    return f"{(int(salt, 16) + request_id * _STEP) & _MASK:08x}"


def salt_after(salt: str, requests: int) -> str:
    """The salt whose nonces go on where those of so many requests end."""
    return f"{(int(salt, 16) + requests * _STEP) & _MASK:08x}"

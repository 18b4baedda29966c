"""The mark that each request of a run carries before its prompt: its nonce, and its canary. Pure."""

from __future__ import annotations

_MASK = 0xFFFFFFFF
# Odd, so that multiplying by it permutes the 32-bit numbers: nonces never repeat within a run.
_STEP = 0x9E3779B1
_STEP_BACK = pow(_STEP, -1, 1 << 32)

DIGITS = 8
"""Of a mark."""

_A_TURN = 1 << 32


def turn_id(first_id: int, turn: int) -> int:
    """The id of a later request of a conversation, so many turns (from 1) after the first one's.

    Ids of further turns are apart by 2**32, over which nonces repeat: all of a conversation have one
    nonce, that of its first request, which stands in the history that each of them carries.
    """
    return first_id + (turn - 1) * _A_TURN


def first_of(request_id: int) -> int:
    """The request that began a request's conversation; itself where it is no part of one."""
    return request_id & _MASK


def turn_of(request_id: int) -> int:
    """The turn whose id it is, from 1."""
    return (request_id >> 32) + 1


def nonce(salt: str, request_id: int) -> str:
    """Eight hex digits that no other request of the run carries.

    `salt` is a hexadecimal number, new for each run.
    """
    return f"{(int(salt, 16) + request_id * _STEP) & _MASK:08x}"


def salt_after(salt: str, requests: int) -> str:
    """The salt whose nonces go on where those of so many requests end."""
    return f"{(int(salt, 16) + requests * _STEP) & _MASK:08x}"


def request_behind(salt: str, mark: str) -> int:
    """The request of that salt whose nonce it is, whether or not so many were ever sent: the way back.

    A nonce that was copied with one wrong digit, or with two neighbours exchanged, leads to a request beyond
    the five millionth, so it accuses no other request of a run that is not longer.

    Args:
        salt: as of `nonce`.
        mark: eight hex digits.
    """
    return ((int(mark, 16) - int(salt, 16)) * _STEP_BACK) & _MASK

"""Several servers, or several models of one, that share a load by turns."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import NamedTuple

import msgspec

from pytest_llmserve.domain.target import Target

MOST_NAMES, OTHERS = 32, "others"
"""A header that is different in each answer, such as a request's number, is no name of a server."""
_GOLDEN, _WORD = 0x9E3779B1, 1 << 32  # 2**32 over the golden ratio: Knuth, Art of Computer Programming 3, 6.4


class Replica(NamedTuple):
    """One of those that take turns.

    Attributes:
        target: of its own, with nobody beside it.
        name: its URL without the scheme, its model, or both: what differs; None where it is the only one.
        server: number of the server it is at; several models may be at one.
    """

    target: Target
    name: str | None
    server: int


def replicas_of(target: Target) -> tuple[Replica, ...]:
    """The target and those beside it, in the order of their turns."""
    own = msgspec.structs.replace(target, beside=())
    if not target.beside:
        return (Replica(own, None, 0),)
    all_of_them = (own, *target.beside)
    places = list(dict.fromkeys(map(_place, all_of_them)))
    models = {each.model for each in all_of_them}
    return tuple(
        Replica(each, name_of(each, len(places) > 1, len(models) > 1), places.index(_place(each)))
        for each in all_of_them
    )


def servers_of(replicas: Sequence[Replica]) -> list[Target]:
    """A target at each server, in the order of their numbers."""
    first: dict[int, Target] = {}
    for replica in replicas:
        first.setdefault(replica.server, replica.target)
    return list(first.values())


def urls_of(target: Target) -> list[str]:
    """The URLs of all, each once."""
    return list(dict.fromkeys(each.url for each in (target, *target.beside)))


def only_at(target: Target, url: str) -> Target:
    """Those of the target and those beside it that are at one of their URLs."""
    there = [each for each in (target, *target.beside) if each.url == url]
    return msgspec.structs.replace(there[0], beside=tuple(there[1:]))


def models_of(target: Target) -> list[str]:
    """The models of all, each once; none where the server was named none."""
    found = (each.model for each in (target, *target.beside))
    return list(dict.fromkeys(model for model in found if model is not None))


def with_stream(target: Target, stream: bool) -> Target:
    """The same, none of it asked for streams that does not stream, nor unless `stream`."""
    beside = tuple(msgspec.structs.replace(each, stream=each.stream and stream) for each in target.beside)
    return msgspec.structs.replace(target, stream=target.stream and stream, beside=beside)


def _place(target: Target) -> tuple[str, str, int, str | None]:
    return target.scheme, target.host, target.port, target.socket_path


def server_name(target: Target) -> str:
    """What a server is called among several: its URL without the scheme."""
    return target.url.partition("://")[2]


def name_of(target: Target, places: bool, models: bool) -> str:
    """What one is called among those that take turns.

    Args:
        target: of its own.
        places: they are at several servers.
        models: they are of several models.
    """
    url, model = server_name(target), str(target.model)
    return f"{url} {model}" if places and models else model if models else url


class Rota:
    """Whose turn a request is. Of each N requests in a row, counted from the first, each of N takes one.

    Request i is for i modulo N. Where prompts or load workers, that come round by turns too, would always
    meet the same one so, each round begins with another one.

    Args:
        number: N.
        cycles: after how many requests whatever else takes turns comes round.
    """

    def __init__(self, number: int, cycles: Sequence[int] = ()) -> None:
        self._number = number
        self._turned = any(gcd(number, cycle) > 1 for cycle in cycles)

    def of(self, request_id: int) -> int:
        """Number of the one that takes this request."""
        number = self._number
        if number == 1 or not self._turned:
            return request_id % number
        # Multiples of the golden ratio are evenly spread, and so are those of every second, third, ... round.
        turned = (request_id // number * _GOLDEN % _WORD) * number // _WORD
        return (request_id + turned) % number

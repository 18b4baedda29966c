"""What the mock server keeps at each request, and where; its healthy twin does the same and gives it back."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable

RESERVED = 1_000_000_000
"""Of address space for shared memory; only what is written to takes any."""

Keep = Callable[[bytes], None]
"""Called with the body of each request."""


def own(size: int, freed: bool) -> Keep:
    """Memory of the server itself. Written to, not zeroed: pages never touched would not be resident."""
    held: list[bytes] = []

    def keep(_: bytes) -> None:
        held.append(b"x" * size)
        if freed:
            held.clear()

    return keep


def prompts(size: int, freed: bool) -> Keep:
    """A cache without a bound: one entry for each prompt that differs."""
    held: dict[bytes, bytes] = {}

    def keep(body: bytes) -> None:
        if body not in held:
            held[body] = b"x" * size
        if freed:
            held.clear()

    return keep


def child(size: int, freed: bool) -> Keep:
    """Memory of a worker process."""
    held: list[bytes] = []

    def work(_: int) -> None:
        held.append(b"x" * size)
        if freed:
            held.clear()

    tell = worker(work)
    return lambda _: tell(0)


def shared(size: int, freed: bool) -> Keep:
    """Memory that the server and its worker have both mapped, so that it is neither's own."""
    memory = mmap.mmap(-1, RESERVED)

    def touch(place: int) -> None:
        memory[place : place + size] = b"x" * size

    tell = worker(touch)
    places = iter(range(0, RESERVED - size, size))

    def keep(_: bytes) -> None:
        place = 0 if freed else next(places)
        touch(place)
        tell(place)

    return keep


def files(_: int, freed: bool) -> Keep:
    """One open file."""

    def keep(_: bytes) -> None:
        file = os.open(os.devnull, os.O_RDONLY)
        if freed:
            os.close(file)

    return keep


def threads(_: int, freed: bool) -> Keep:
    """One thread that waits for ever."""

    def keep(_: bytes) -> None:
        done = threading.Event()
        if freed:
            done.set()
        threading.Thread(target=done.wait, daemon=True).start()

    return keep


KINDS = {
    "own": own,
    "prompts": prompts,
    "child": child,
    "shared": shared,
    "files": files,
    "threads": threads,
}


def worker(work: Callable[[int], None]) -> Callable[[int], None]:
    """A forked process that does its work for each number it is told, until the server has ended."""
    reading, writing = os.pipe()
    if os.fork():
        os.close(reading)
        orders = os.fdopen(writing, "w", buffering=1)
        return lambda number: print(number, file=orders)
    os.close(writing)
    for line in os.fdopen(reading):
        work(int(line))
    os._exit(0)

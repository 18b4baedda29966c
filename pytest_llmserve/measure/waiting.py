"""Says that a server which takes its time is still waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_llmserve.domain.units import NS_PER_S, duration_text

_MOST_CHARS = 200


def waiting_line(url: str, waited_ns: int, last: str | None) -> str:
    """What is said of a server that takes its time; `last` line of its log, None where none is known."""
    said = f"llmserve: waiting for {url} for {duration_text(waited_ns)}"
    if last is None:
        return said
    shown = last if len(last) <= _MOST_CHARS else f"{last[:_MOST_CHARS]}..."
    return f"{said}; the last line of its log: {shown}" if shown else f"{said}; its log is empty"


@contextmanager
def told_while_waiting(
    tell: Callable[[str], object] | None, every_ns: int, url: str, last: Callable[[], str | None]
) -> Iterator[None]:
    """Say once in a while that the server is waited for; `last` gives the last line of its log."""
    if tell is None or not every_ns:
        yield
        return
    over, begun_ns = threading.Event(), time.monotonic_ns()

    def say() -> None:
        while not over.wait(every_ns / NS_PER_S):
            waited_ns = (time.monotonic_ns() - begun_ns) // NS_PER_S * NS_PER_S
            tell(waiting_line(url, waited_ns, last()))

    teller = threading.Thread(target=say, name="llmserve-waiting", daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()

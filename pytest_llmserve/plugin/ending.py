"""What ends a long load from outside."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Meanwhile SIGTERM does what Ctrl-C does: a CI job that is cut short keeps what was measured.

    Left alone where somebody else handles it, and in threads, which get no signals.
    """
    handled = threading.current_thread() is not threading.main_thread()
    if handled or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt("SIGTERM")

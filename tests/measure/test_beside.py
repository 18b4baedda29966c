"""A call beside a loop."""

from __future__ import annotations

import threading
import time

import pytest

from pytest_llmserve.measure.beside import Beside


def test_whoever_waits_gets_what_the_call_raised():
    """Our own fault in a thread is never lost."""

    def call():
        raise ZeroDivisionError("by 0")

    with pytest.raises(ZeroDivisionError, match="by 0"):
        Beside(call, "test").wait(time.sleep)


def test_waiting_ends_with_what_sleep_raises():
    """As when the run is told to stop."""
    go_on = threading.Event()

    def sleep(pause_s):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        Beside(lambda: go_on.wait(20), "test").wait(sleep)
    go_on.set()

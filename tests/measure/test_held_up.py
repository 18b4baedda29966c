"""How long this process was kept from running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from pytest_llmserve.measure.held_up import delay_ns

STOPPED = """
import os, signal, sys, time
from pytest_llmserve.measure.held_up import HeldUp
with HeldUp() as held_up:
    share = held_up.lap()
    print("ready", flush=True)
    sys.stdin.readline()
    print(share())
"""
MS = 1_000_000


@pytest.mark.parametrize(
    ("slept_ns", "late_ns"),
    [(2 * MS, 0), (2 * MS + 400_000, 0), (2 * MS + 600_000, 600_000), (32 * MS, 30 * MS)],
)
def test_what_any_timer_is_late_by_is_no_delay(slept_ns, late_ns):
    """More than half a millisecond is."""
    assert delay_ns(7, 7 + slept_ns) == late_ns


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes cannot be stopped here")
def test_a_process_that_was_stopped_knows_for_how_long():
    """Half a second of a time not much longer."""
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            os.kill(process.pid, signal.SIGSTOP)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            os.kill(process.pid, signal.SIGCONT)
            said, _ = process.communicate("\n", timeout=30)
            assert 0.3 < float(said) <= 1
        finally:
            process.kill()

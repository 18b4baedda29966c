"""How many CPUs a process may use."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from pytest_llmserve.observe.cores import cores_of


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to a CPU")
def test_those_it_is_bound_to_else_all():
    """A process on one CPU has one core, whatever the machine has; one that is gone tells nothing."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert cores_of(process.pid) == len(os.sched_getaffinity(process.pid))
        os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
        assert cores_of(process.pid) == 1
    finally:
        process.kill()
        process.wait(10)
    assert cores_of(process.pid) == psutil.cpu_count()

"""The log of a server whose output goes to a file."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pytest_llmserve.observe.output_files import output_files

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="Linux tells it, in /proc")


@pytest.fixture
def sleeper():
    running = []

    def start(out, err):
        command = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(60)"]
        running.append(subprocess.Popen(command, stdout=out, stderr=err))
        return running[-1].pid

    yield start
    for process in running:
        process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def test_the_files_of_both_outputs_are_found_once(sleeper, tmp_path):
    """One for both, or one for each; what is no file, deleted or not there is none."""
    out, err = tmp_path / "out.log", tmp_path / "err.log"
    with out.open("ab") as a, err.open("ab") as b:
        one, two = sleeper(a, subprocess.STDOUT), sleeper(a, b)
    with open("/dev/zero", "wb") as device:
        none = sleeper(subprocess.PIPE, device)
    assert output_files(one) == (out,)
    assert output_files(two) == (out, err)
    assert output_files(none) == ()
    err.unlink()
    assert output_files(two) == (out,)
    assert output_files(2**22 + 1) == ()


def test_a_file_that_tests_print_to_as_well_is_not_the_servers(sleeper, tmp_path):
    """`(server & pytest) > all.log`: a failure that quotes an error would be found as the next one."""
    shared = tmp_path / "all.log"
    with shared.open("ab") as ours:
        pid = sleeper(ours, ours)
        assert output_files(pid) == ()
        child = [sys.executable, "-c", CHILD, str(pid)]
        done = subprocess.run(child, stdout=subprocess.PIPE, stderr=ours, text=True, timeout=60)
        assert done.stdout == "() ()\n"
    assert output_files(pid) == (shared,)


CHILD = """
import subprocess, sys
from pytest_llmserve.observe.output_files import output_files
ask = "import sys; import pytest_llmserve.observe.output_files as o; print(o.output_files(int(sys.argv[1])))"
own = [sys.executable, "-c", ask, sys.argv[1]]
done = subprocess.run(own, stderr=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
print(output_files(int(sys.argv[1])), done.stdout.strip())
"""

"""What it costs to import the room."""

from __future__ import annotations

import subprocess
import sys


def test_the_modules_are_imported_without_psutil():
    """The plugin may name them early; psutil comes with the first reading."""
    code = (
        "import sys\n"
        "from pytest_llmserve.observe import memory, port_owner, process_tree, sampler, settling\n"
        "print('psutil' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr

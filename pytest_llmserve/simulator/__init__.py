"""A model server that keeps a timing law and fails on purpose. Imports nothing else of this package.

Run as ``python -m pytest_llmserve.simulator --port PORT``.
"""

from __future__ import annotations

import sys

MODEL_NAME = "simulator"


def command(port: int) -> list[str]:
    """The command that serves a healthy simulator at this port."""
    # -P: a file of the user's folder must not stand in for a module.
    return [sys.executable, "-P", "-m", "pytest_llmserve.simulator", "--port", str(port)]

"""Where the real servers are installed: each in an environment of its own, made by `make test-servers`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

APPS = Path(__file__).parent / "apps"
ROOT = Path(__file__).parents[2]


def home_of(name: str) -> Path:
    """The folder of a server's environment."""
    return Path(os.environ.get("LLMSERVE_SERVERS") or ROOT / ".servers") / name


def python_of(name: str) -> str:
    """The interpreter of a server's environment; the test is skipped where there is none.

    Args:
        name: that of its file requirements/servers/NAME.txt.
    """
    home = home_of(name)
    # Written last: an installation that broke off is none.
    if not (home / ".ready").exists():
        pytest.skip(f"{name} is not installed: make test-servers")
    return str(home / "bin" / "python")

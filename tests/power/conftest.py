from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)


@pytest.fixture(scope="session")
def proof():
    """Import a program of this folder: ``proof("harness")``."""

    def load(name):
        if HERE not in sys.path:
            sys.path.append(HERE)
        return importlib.import_module(name)

    return load

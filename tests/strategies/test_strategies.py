"""The room's face: every public name, imported when it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_llmserve import strategies


@pytest.mark.parametrize("name", strategies.__all__)
def test_every_public_name_is_there_and_documented(name):
    """From the package itself."""
    assert getattr(strategies, name).__doc__
    assert set(strategies.__all__) == set(strategies.MODULES)


def test_a_name_that_is_not_there_is_missing_as_in_any_module():
    """`from pytest_llmserve.strategies import nonsense` fails in the usual words."""
    with pytest.raises(
        AttributeError, match=r"module 'pytest_llmserve.strategies' has no attribute 'nonsense'"
    ):
        strategies.nonsense  # noqa: B018


def test_the_package_by_itself_imports_nothing():
    """Neither hypothesis nor schemathesis."""
    program = (
        "import sys, pytest_llmserve.strategies as s; s.HostilePrompt;"
        "sys.exit(any(name in sys.modules for name in ('hypothesis', 'schemathesis', 'httpx', 'msgspec')))"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0

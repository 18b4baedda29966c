"""What hypothesis is told at its import: the profile, and how to draw our types."""

from __future__ import annotations

import subprocess
import sys
from typing import get_type_hints

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from pytest_llmserve import strategies
from pytest_llmserve.strategies import kinds
from pytest_llmserve.strategies.registered import DRAWN_FROM, setup


def test_the_profile_suits_a_slow_server():
    """No deadline, few examples, the same in each run, shrinking but no explaining."""
    setup()
    profile = settings.get_profile("llmserve")
    assert profile.deadline is None
    assert profile.max_examples == 20
    assert profile.derandomize
    assert profile.print_blob
    assert not profile.report_multiple_bugs
    assert Phase.shrink in profile.phases
    assert Phase.explain not in profile.phases
    assert HealthCheck.function_scoped_fixture not in profile.suppress_health_check


@pytest.mark.parametrize("name", DRAWN_FROM)
def test_every_type_is_drawn(drawn, name):
    """From an annotation alone, and of the type behind its name; twice told is as good as once."""
    setup()
    setup()
    kind = getattr(strategies, name)
    behind = {"HostilePrompt": str, "MalformedBody": bytes}.get(name, dict)
    assert all(isinstance(value, behind) for value in drawn(st.from_type(kind), 20))


def test_every_type_has_its_strategy():
    """None of the types is forgotten."""
    own = {name for name, value in vars(kinds).items() if getattr(value, "__supertype__", None)}
    assert own == set(DRAWN_FROM)
    assert all(strategy in strategies.__all__ for strategy, _ in DRAWN_FROM.values())
    assert get_type_hints(setup) == {"return": type(None)}


def test_registering_is_light():
    """hypothesis' import brings in no more of this package than the types' names."""
    program = (
        "import sys, hypothesis; from pytest_llmserve.strategies.registered import setup;"
        "before = set(sys.modules);"
        "setup(); new = {m for m in set(sys.modules) - before if 'llmserve' in m or 'schemathesis' in m};"
        "sys.exit(str(new) if new - {'pytest_llmserve.strategies.kinds'} else 0)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, timeout=60, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_this_module_can_be_imported_before_hypothesis():
    """hypothesis imports it while it is imported itself: neither order fails."""
    program = "import pytest_llmserve.strategies.registered as r, hypothesis; r.setup()"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0

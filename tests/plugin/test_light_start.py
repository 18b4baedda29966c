"""What the plugin costs a suite that does not use it: next to nothing."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

HEAVY = ("httpx", "scipy", "numpy", "hypothesis", "psutil", "httptools", "msgspec", "rich")
# Plugins of others that import them on their own account.
OTHERS = [f"-pno:{name}" for name in ("asyncio", "anyio", "hypothesispytest", "xdist", "rerunfailures")]
LIST_MODULES = """
import sys

def pytest_unconfigure(config):
    print("imported:", *sorted(name for name in sys.modules if "." not in name))
"""
LONGEST_IMPORT_MS = 10


@pytest.fixture
def unrelated(pytester):
    """A suite that has nothing to do with model servers; it says what was imported."""
    pytester.makeconftest(LIST_MODULES)
    pytester.makepyfile(test_unrelated="def test_it():\n    assert True")
    return pytester


def imported(result):
    (line,) = [line for line in result.outlines if line.startswith("imported:")]
    return set(line.split()[1:])


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--collect-only"]], ids=["run", "help", "collect"])
def test_an_unrelated_suite_imports_nothing_heavy(arguments, unrelated):
    """The plugin is loaded, and brings none of its dependencies along."""
    result = unrelated.runpytest_subprocess(*OTHERS, *arguments, timeout=60)
    assert result.ret == 0
    found = imported(result)
    assert "pytest_llmserve" in found
    assert found.isdisjoint(HEAVY)


def test_an_unrelated_suite_prints_nothing_of_ours(unrelated):
    """No section, no header line, no warning."""
    result = unrelated.runpytest_subprocess("-W", "error", *OTHERS, timeout=60)
    result.assert_outcomes(passed=1)
    printed = [line for line in result.outlines if not line.startswith(("plugins:", "imported:"))]
    assert [line for line in printed if "llmserve" in line] == []


def test_the_plugin_can_be_switched_off(unrelated):
    """`-p no:llmserve`."""
    result = unrelated.runpytest_subprocess("-p", "no:llmserve", *OTHERS, timeout=60)
    result.assert_outcomes(passed=1)
    assert not any("plugins:" in line and "llmserve" in line for line in result.outlines)


def test_loading_the_plugin_is_quick():
    """Under 10 ms of imports of our own, in the best of five starts."""
    took_ms = min(import_ms() for _ in range(5))
    assert took_ms < LONGEST_IMPORT_MS


def import_ms():
    """The sum of the own times of our modules, in milliseconds, when pytest has been imported already."""
    command = [sys.executable, "-X", "importtime", "-c", "import pytest; import pytest_llmserve.plugin"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr
    rows = re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(pytest_llmserve\S*)", said)
    assert len(rows) > 3
    return sum(int(own) for own, _ in rows) / 1000


def test_the_category_of_warnings_is_found_without_anything_heavy():
    """A filter in an ini file names it at every start; any other name is missing as in any module."""
    program = (
        "import sys, pytest_llmserve as p;"
        "found = p.LlmServeWarning;"
        "assert (found.__module__, found.__name__) == ('pytest_llmserve', 'LlmServeWarning');"
        "assert issubclass(found, UserWarning) and not hasattr(p, 'LlmServeWarnings');"
        f"sys.exit(any(name in sys.modules for name in {HEAVY!r}))"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0

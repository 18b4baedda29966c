"""Runs a user's suite against a server, as the user would."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import pkgutil
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pytest_llmserve
from pytest_llmserve.domain.errors import LlmServeWarning
from pytest_llmserve.measure import asking

for _module in pkgutil.walk_packages(pytest_llmserve.__path__, "pytest_llmserve."):
    importlib.import_module(_module.name)
# What sessions import by themselves: pytester forgets it after each, and hypothesis takes 0.3 s.
for _name in (
    *("httpcore", "httpx", "hypothesis.statistics", "hypothesis.strategies"),
    *("scipy.stats", "xdist.plugin"),
):
    importlib.import_module(_name)


class Installed(importlib.metadata.PathDistribution):
    """A distribution whose files are read once: pytest and pluggy read those of all for each session."""

    entry_points = cached_property(lambda self: super().entry_points)
    files = cached_property(lambda self: super().files)
    metadata = cached_property(lambda self: super().metadata)


INSTALLED = [Installed(each._path) for each in importlib.metadata.distributions()]  # type: ignore[attr-defined]
OTHERS_PLUGINS = ("benchmark", "html", "html_fixtures", "metadata", "allure_pytest")
"""Installed here, and loaded only in the sessions that are about them."""
BUSY = "the load generator was the bottleneck"


@dataclass(frozen=True)
class Run:
    """What one pytest session said and wrote."""

    result: pytest.RunResult
    report: Path

    @property
    def exit(self) -> int:
        return int(self.result.ret)

    @property
    def text(self) -> str:
        """All that was printed."""
        return "\n".join([*self.result.outlines, *self.result.errlines])

    @property
    def document(self) -> dict[str, Any]:
        """The JSON report."""
        found = json.loads(self.report.read_text())
        assert isinstance(found, dict)
        return found

    @property
    def tests(self) -> list[dict[str, Any]]:
        found = self.document["tests"]
        assert isinstance(found, list)
        return found

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        """Those of the first test."""
        found = self.tests[0]["verdicts"]
        assert isinstance(found, list)
        return found

    def judged(self, word: str, verdicts: list[dict[str, Any]] | None = None) -> bool:
        """All verdicts are `word`, or say that this machine was too busy to give one.

        Those of the first test, when none are given.
        """
        judged = self.verdicts if verdicts is None else verdicts
        return bool(judged) and all(
            v["verdict"] == word or (v["verdict"] == "undecided" and BUSY in v["sentence"]) for v in judged
        )

    def failure(self, name: str) -> list[str]:
        """The lines pytest prints under the failed test's headline."""
        lines = self.result.outlines
        start = next(
            (i for i, line in enumerate(lines) if line.startswith("__") and name in line.split()), None
        )
        assert start is not None, f"{name} has no failure in:\n{self.text}"
        end = next(i for i in range(start + 1, len(lines)) if lines[i].startswith(("__", "==", "--")))
        return lines[start + 1 : end]

    def assert_outcomes(self, **expected: int) -> None:
        found = {k: v for k, v in self.result.parseoutcomes().items() if not k.startswith("warning")}
        assert found == expected, self.text


class Keeper:
    """Keeps what an in-process run imported.

    pytester forgets it, but numpy cannot be imported twice, and the errors of a second httpcore are not
    those that the first one's users catch.
    """

    def __init__(self) -> None:
        self._modules: dict[str, ModuleType] = {}

    def pytest_unconfigure(self) -> None:
        self._modules = dict(sys.modules)

    def put_back(self) -> None:
        for name, module in self._modules.items():
            if "site-packages" in (getattr(module, "__file__", None) or ""):
                sys.modules.setdefault(name, module)


class Suite:
    """``suite("def test_x(llm_load): ...", "--llm-endpoint", url)`` -> `Run`."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self._number = 0

    def __call__(self, body: str, *options: object, apart: bool = False, beside: Sequence[str] = ()) -> Run:
        """Run `body` as test_suite.py; `apart` = in a process of its own; `beside` = with those plugins."""
        self._number += 1
        self.pytester.makepyfile(test_suite="import pytest\n\n" + body)
        report = self.pytester.path / f"report-{self._number}.json"
        arguments = [*map(str, options), f"--llm-report={report}", "-p", "no:cacheprovider"]
        arguments += ["-o", "asyncio_default_fixture_loop_scope=function"]
        arguments += [f"-pno:{name}" for name in OTHERS_PLUGINS if name not in beside]
        if apart:
            return Run(self.pytester.runpytest_subprocess(*arguments, timeout=60), report)
        return Run(self.in_process(*arguments), report)

    def in_process(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in this process."""
        keeper = Keeper()
        try:
            # This session's own filters are not the user's. And bytecode is told from its source by size and
            # second: of two suites of one size the first would run again.
            with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
                warnings.simplefilter("default", LlmServeWarning)
                patch.setattr(sys, "dont_write_bytecode", True)
                patch.setattr(importlib.metadata, "distributions", lambda: INSTALLED)
                return self.pytester.runpytest_inprocess(*arguments, plugins=[keeper])
        finally:
            keeper.put_back()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer has set is not part of a test, nor that it runs in a worker of pytest-xdist."""
    ours = ("LLM_ENDPOINT", "PYTEST_ADDOPTS", "GITHUB_STEP_SUMMARY")
    for name in (*ours, "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def asked_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that hangs has 1 s, not 5, for the one more prompt it is asked."""
    monkeypatch.setattr(asking, "_LEAST_S", 1.0)


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Suite:
    return Suite(pytester)


@pytest.fixture
def quick(mock_server: Any) -> Any:
    """A healthy server that answers five tokens in about 6 ms."""
    return mock_server("--ttft-ms", 2, "--itl-ms", 1, "--tokens", 5)

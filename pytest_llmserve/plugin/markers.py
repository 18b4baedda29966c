"""Markers to checks, at collection: every fault is told at once, with its line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_llmserve.checks import BARE, CHECKS, Check, check_class, no_early_end
from pytest_llmserve.domain.errors import MarkerError, SetupError
from pytest_llmserve.domain.keywords import build, signature
from pytest_llmserve.load.spec import LoadSpec, overridden
from pytest_llmserve.load.trace import read_trace
from pytest_llmserve.plugin.keys import WISHES


@dataclass(frozen=True)
class Wishes:
    """What a test's markers ask for.

    Attributes:
        load: keywords of the `load` marker, merged; None without one.
        checks: the promises, in the order of the check table.
        asked: of each promise the keywords, as they were written.
    """

    load: Mapping[str, Any] | None = None
    checks: tuple[Check, ...] = field(default_factory=tuple)
    asked: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """The test has a load or a promise; bare markers only select."""
        return self.load is not None or bool(self.checks)

    def check(self, name: str) -> Any:
        """The check of that name, or None."""
        return next((check for check in self.checks if check.name == name), None)


def wishes_of(item: pytest.Item) -> Wishes:
    """What was read at collection; a test that was added later is read now."""
    if WISHES not in item.stash:
        wishes, faults = _read(item, {})
        if faults:
            raise pytest.UsageError("\n".join(faults))
        item.stash[WISHES] = wishes
    return item.stash[WISHES]


def read_markers(items: list[pytest.Item]) -> list[str]:
    """Read the markers of these tests; return one line for each faulty marker, with every fault it has."""
    told: dict[str, None] = {}
    traces: Traces = {}
    for item in items:
        wishes, faults = _read(item, traces)
        told.update(dict.fromkeys(faults))
        item.stash[WISHES] = wishes
    return list(told)


def marker_line(name: str) -> str:
    """The line of `pytest --markers`, made from the signature."""
    return signature(LoadSpec if name == "load" else check_class(name), name)


Traces = dict[str, str | None]
"""What is wrong with a trace, by path: each is read once, however many tests replay it."""


def _read(item: pytest.Item, traces: Traces) -> tuple[Wishes, list[str]]:
    faults: list[str] = []
    wanted = {name: given for name in CHECKS if (given := _merged(item, name)) is not None}
    load = _merged(item, "load")
    if load is not None:
        spec = _build(LoadSpec, item, "load", load, faults)
        if spec is not None and spec.trace is not None:
            _check_trace(item, spec.trace, faults, traces)
        if spec is not None and spec.until is not None:
            if not any(check_class(name).stops_early for name in wanted):
                faults.append(f"{_place(item, 'load')}: load: {no_early_end()}")
    checks = (_build(check_class(name), item, name, given, faults) for name, given in wanted.items())
    found = tuple(check for check in checks if check is not None)
    asked = {name: kwargs for name, (_, kwargs) in wanted.items()}
    return Wishes(load[1] if load else None, found, asked), faults


Given = tuple[tuple[Any, ...], dict[str, Any]]


def _merged(item: pytest.Item, name: str) -> Given | None:
    """Arguments of a marker on the test, its class and its module, closest first; None when bare.

    The markers of `BARE` are never: without arguments they have a promise to keep.
    """
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    found = False
    for mark in item.iter_markers(name):
        found = found or bool(mark.args or mark.kwargs) or name in BARE
        args = args or mark.args
        kwargs = overridden(mark.kwargs, kwargs) if name == "load" else {**mark.kwargs, **kwargs}
    return (args, kwargs) if found else None


def _build(cls: type[Any], item: pytest.Item, name: str, given: Given, faults: list[str]) -> Any:
    try:
        return build(cls, name, *given)
    except MarkerError as error:
        faults.append(f"{_place(item, name)}: {error}")
        return None


def _check_trace(item: pytest.Item, trace: str, faults: list[str], traces: Traces) -> None:
    path = str(item.config.rootpath / trace)
    if path not in traces:
        traces[path] = _trace_fault(path)
    if traces[path] is not None:
        faults.append(f"{_place(item, 'load')}: load: {traces[path]}")


def _trace_fault(path: str) -> str | None:
    try:
        read_trace(path)
    except SetupError as error:
        return str(error)
    return None


def _place(item: pytest.Item, name: str) -> str:
    path, line = marker_place(item, name)
    return f"{os.path.relpath(path, item.config.invocation_params.dir)}:{line}"


def marker_place(item: pytest.Item, name: str) -> tuple[str, int]:
    """Path and line of the marker: the last one of that name above the test, or in its decorators."""
    path, line, _ = item.reportinfo()
    text = f"mark.{name}"
    function = getattr(item, "function", None)
    first = getattr(getattr(function, "__code__", None), "co_firstlineno", (line or 0) + 1)
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return str(path), first
    end = first
    while end < len(lines) and not lines[end - 1].lstrip().startswith(("def ", "async def ")):
        end += 1
    for number in range(min(end, len(lines)), 0, -1):
        if text in lines[number - 1]:
            return str(path), number
    return str(path), first

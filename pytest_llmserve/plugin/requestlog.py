"""--llm-request-log: where it goes, and when it is written."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.load.asked import Asked
from pytest_llmserve.load.prompt_sets import PromptSet
from pytest_llmserve.plugin.options import value
from pytest_llmserve.reports.request_log import log_lines

if TYPE_CHECKING:
    from pytest_llmserve.plugin.testrun import TestRun

FLAG = "--llm-request-log"


def request_log(config: pytest.Config) -> Path | None:
    """The file, None without the option; a relative path from where pytest was started.

    Raises:
        SetupError: no file can be written there.
    """
    name = value(config, FLAG)
    if not name:
        return None
    path: Path = config.invocation_params.dir / name
    if path.is_dir():
        raise SetupError(f"{FLAG} {path}: is a folder; name a file")
    if not path.parent.is_dir():
        raise SetupError(f"{FLAG} {path}: there is no folder {path.parent}; check the path")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise SetupError(f"{FLAG} {path}: cannot be written by this user; name a file that can be")
    return path


def check_request_log(config: pytest.Config) -> None:
    """Open the file for writing and leave it as it is: a load should not run for a log that cannot be.

    Under pytest-xdist once, before its workers begin.

    Raises:
        SetupError: no file can be written there.
    """
    path = request_log(config)
    if path is None or hasattr(config, "workerinput"):
        return
    there = path.exists()
    if there and stat.S_ISFIFO(path.stat().st_mode):  # it cannot be opened before somebody reads it
        return
    try:
        with path.open("ab", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                file.write(b"\n")  # a device such as /dev/full tells only then
        if not there:
            path.unlink()
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> SetupError:
    return SetupError(f"{FLAG} {path}: cannot be written: {error.strerror}; name a file that can be")


@contextmanager
def logged(test: TestRun, asked: PromptSet, runs: list[LoadResult], name: str) -> Iterator[None]:
    """Write the requests of the runs that are kept meanwhile, also when the load is interrupted.

    Raises:
        SetupError: the file cannot be written.
    """
    path, before = request_log(test.state.config), len(runs)
    if path is None:
        yield
        return
    try:
        yield
    except BaseException:
        with suppress(SetupError):  # why the load has ended matters more
            _write(test, path, asked, runs[before:], name)
        raise
    _write(test, path, asked, runs[before:], name)


def _write(test: TestRun, path: Path, asked: PromptSet, runs: list[LoadResult], name: str) -> None:
    wall_ns = time.time_ns() - time.monotonic_ns()
    try:
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # beside the other workers of pytest-xdist
            _begin(test, file.fileno())
            for run in runs:
                prompts = Asked(run.plan, asked.prompts)
                for line in log_lines(
                    run,
                    prompts.prompt,
                    prompts.sent,
                    test.redacted,
                    name=name,
                    nodeid=test.item.nodeid,
                    wall_ns=wall_ns,
                ):
                    file.write(f"{line}\n".encode())
    except OSError as error:
        raise _unwritable(path, error) from None


def _begin(test: TestRun, descriptor: int) -> None:
    """The first run of a session begins the file anew; the workers of pytest-xdist share its folder."""
    begun = test.state.folder / "request-log-begun"
    if not begun.exists():
        if stat.S_ISREG(os.fstat(descriptor).st_mode):  # a pipe has no beginning
            os.ftruncate(descriptor, 0)
        begun.touch()

"""Shows how far a load is while it runs: a live line on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.progress import LoadProgress
from pytest_llmserve.domain.stages import level_at
from pytest_llmserve.plugin.settings import progress_every_ns
from pytest_llmserve.reports.progress import live_line, plain_line

_CLEAR_LINE = "\r\x1b[K"


class LiveLine:
    """One line that is drawn over, and gone when closed: the terminal is left as it was found."""

    def __init__(self, terminal: Terminal, plan: LoadPlan) -> None:
        self._terminal, self._plan = terminal, plan
        self._column: int | None = None  # where pytest was writing

    def show(self, now: LoadProgress) -> None:
        """Draw the line as of now."""
        with self._terminal.uncaptured() as writer:
            begin = _CLEAR_LINE if self._column is not None else self._begin(writer)
            load = _writable(level_at(self._plan, now.elapsed_ns), writer)
            # The last column stays free: some terminals go to the next line once it is filled.
            _write(writer, begin + live_line(now, load, writer.fullwidth - 1))

    def _begin(self, writer: Any) -> str:
        written = writer.width_of_current_line
        # A long line goes on below: columns 1 to the width of the terminal, 0 where nothing is written.
        self._column = (written - 1) % writer.fullwidth + 1 if written else 0
        return "\n" if written or not self._terminal.column_known else ""

    def close(self) -> None:
        """Wipe the line; back to where pytest was writing."""
        if self._column is None:
            return
        with self._terminal.uncaptured() as writer:
            back = f"\x1b[A\x1b[{self._column}C" if self._column and self._terminal.column_known else ""
            _write(writer, _CLEAR_LINE + back)
        self._column = None


class PlainLines:
    """A line of its own once in a while."""

    def __init__(self, terminal: Terminal, plan: LoadPlan, every_ns: int) -> None:
        self._terminal, self._plan, self._every_ns = terminal, plan, every_ns
        self._due_ns = time.monotonic_ns() + every_ns

    def show(self, now: LoadProgress) -> None:
        """Print a line if it is time."""
        now_ns = time.monotonic_ns()
        if now_ns < self._due_ns:
            return
        self._due_ns += self._every_ns * ((now_ns - self._due_ns) // self._every_ns + 1)
        with self._terminal.uncaptured() as writer:
            self._terminal.reporter.write_line(plain_line(now, level_at(self._plan, now.elapsed_ns)))
            writer.flush()

    def close(self) -> None:
        """Nothing to take back."""


class Spared:
    """A line whose trouble ends the drawing, never the load: a terminal may go away at any time."""

    def __init__(self, line: LiveLine | PlainLines) -> None:
        self._line: LiveLine | PlainLines | None = line

    def show(self, now: LoadProgress) -> None:
        """Show how far the load is, as long as that works."""
        if self._line is not None:
            self._try(lambda line: line.show(now))

    def close(self) -> None:
        """Take back what is to be taken back."""
        if self._line is not None:
            self._try(lambda line: line.close())

    def _try(self, act: Callable[[LiveLine | PlainLines], None]) -> None:
        assert self._line is not None
        try:
            act(self._line)
        except (OSError, ValueError):  # gone, closed, or an encoding that lacks a character
            self._line = None


class Terminal:
    """pytest's terminal as one session has it. Of loads at the same time only one is shown.

    Attributes:
        reporter: pytest's terminal reporter.
        column_known: nothing but pytest writes to the terminal, so it knows where the cursor is. Only
            the capture of file descriptors sees to that: "sys" leaves out child processes, "tee-sys" all.
    """

    def __init__(self, config: pytest.Config, reporter: Any) -> None:
        self.reporter = reporter
        self.column_known = config.getoption("capture", "no") == "fd"
        self._capture = config.pluginmanager.get_plugin("capturemanager")
        self._every_ns = progress_every_ns(config)
        # Who wants no colours (NO_COLOR, --color=no) is given no other escape either.
        drawn = reporter.isatty and reporter.hasmarkup and _can_redraw()
        self._live = drawn and not _in_ci() and not _logs_live(config)
        self._quiet = config.get_verbosity() < 0
        self._shown = threading.Lock()

    @contextmanager
    def uncaptured(self) -> Iterator[Any]:
        """pytest's own writer, with its capturing off meanwhile."""
        off = nullcontext() if self._capture is None else self._capture.global_and_fixture_disabled()
        with off:
            yield self.reporter._tw

    def tell(self, text: str) -> None:
        """Write a line that stays, where a load would be shown; a terminal's trouble ends no load."""
        if not self._every_ns or self._quiet:
            return
        try:
            with self.uncaptured() as writer:
                self.reporter.write_line(_writable(text, writer))
                writer.flush()
        except (OSError, ValueError):  # gone, or closed
            self._every_ns = 0

    @contextmanager
    def line(self, plan: LoadPlan) -> Iterator[Spared | None]:
        """What shows one load, or None where it is not to be shown."""
        wanted = self._every_ns and (self._live or not self._quiet)
        if not wanted or not self._shown.acquire(blocking=False):
            yield None
            return
        line = Spared(LiveLine(self, plan) if self._live else PlainLines(self, plan, self._every_ns))
        try:
            yield line
        finally:
            line.close()
            self._shown.release()


def terminal_of(config: pytest.Config) -> Terminal | None:
    """The session's terminal; None in an xdist worker, which has none, and with `-p no:terminal`."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return None
    return Terminal(config, reporter)


def _write(writer: Any, text: str) -> None:
    # Past `write`, which would take this for text of the current line.
    writer._file.write(text)
    writer.flush()


def _writable(text: str, writer: Any) -> str:
    """Text that the terminal's encoding has; else escaped, as pytest does."""
    try:
        text.encode(getattr(writer._file, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return text.encode("unicode-escape").decode("ascii")
    return text


def _in_ci() -> bool:
    return bool(os.environ.get("CI") or os.environ.get("BUILD_NUMBER"))


def _can_redraw() -> bool:
    return os.environ.get("TERM", "dumb") not in {"", "dumb"}


def _logs_live(config: pytest.Config) -> bool:
    """`log_cli`: lines of the log come between."""
    if not config.pluginmanager.has_plugin("logging-plugin"):
        return False
    return bool(config.getoption("log_cli_level") or config.getini("log_cli"))

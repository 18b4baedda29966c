"""Follows the files of a server's log through one test."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pytest_llmserve.domain.log import LogLine, LogWindow
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.observe.log_lines import LONGEST_BYTES, LineSplitter, cut_line, shown
from pytest_llmserve.observe.log_patterns import LogRules
from pytest_llmserve.observe.log_scan import Hit, Scanner

PERIOD_S = 0.1
MOST_LINES = 20
"""Of each pattern: so many are kept, the others counted."""
NOT_KNOWN = (
    "the server's log is not known: give --llm-server-log FILE,"
    " or let --llm-serve 'CMD --port {port}' start the server"
)
_BLOCK = 262_144
_MOST_FILES = 3
_QUIET_S, _SETTLE_S, _LOOK_S = 0.06, 0.5, 0.02
_STOP_LIMIT_S = 5.0


class LogFollower:
    """Reads what is written from `start` to `stop`, in a thread of its own; never raises from it.

    Rotation: the rest of a renamed file is read on beside the new one. A file that is cut to nothing is read
    from its beginning; what was written between the last reading and the cut is lost with it.

    The thread only counts and keeps the first lines: what has to be taken out of them is looked for when they
    are asked for, after the test.

    Mutable state: what was found, guarded by `_lock`; what is told of it, by `_telling`; files belong to the
    thread once it runs.

    Args:
        paths: all files of the log.
        rules: what counts.
        clean: takes secrets out of a line, before it is cut.
        hide: takes out of lines what they may not tell.
        clock: monotonic, in ns.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        rules: LogRules,
        clean: Callable[[str], str] = str,
        hide: Callable[[Sequence[str]], Sequence[str]] = tuple,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._tails = [LogTail(path, rules) for path in paths]
        self._clean, self._hide, self._clock = clean, hide, clock
        self._lock, self._telling = threading.Lock(), threading.Lock()
        self._found: list[tuple[int, int, Hit]] = []
        self._lines: list[LogLine] = []
        self._counts: Counter[str] = Counter()
        self._read_ns = 0
        self._stopping = threading.Event()
        self._settles = False
        self._failed: str | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """What stands in the log now is not of the test; what comes from now on is."""
        self._read_ns = self._clock()
        for tail in self._tails:
            tail.begin()
        if self._tails:
            self._thread = threading.Thread(target=self._run, name="llmserve-log", daemon=True)
            self._thread.start()

    def stop(self, settle: bool = False) -> None:
        """Read what has come, and end; calling it again does nothing.

        Args:
            settle: wait, half a second at most, until no more comes: a server may answer first and log then.
        """
        if self._thread is None:
            return
        self._settles = settle
        self._stopping.set()
        self._thread.join(_STOP_LIMIT_S)
        if self._thread.is_alive():
            self._failed = f"the rest of the server's log could not be read within {_STOP_LIMIT_S:g} s"
        self._thread = None

    def window(self) -> LogWindow:
        """What was found so far."""
        with self._lock:
            counts = dict(self._counts)
        faults = [fault for tail in self._tails if (fault := tail.missing) is not None]
        return LogWindow(
            files=tuple(str(tail.path) for tail in self._tails),
            lines=self._told(),
            counts=counts,
            read=sum(tail.read for tail in self._tails),
            allowed=sum(tail.scanner.allowed for tail in self._tails),
            cut=sum(tail.cut for tail in self._tails),
            missing=self._failed or "; ".join(faults) or (None if self._tails else NOT_KNOWN),
        )

    def _told(self) -> tuple[LogLine, ...]:
        """The lines that were kept, without what they may not tell."""
        with self._telling:
            with self._lock:
                found, self._found = self._found, []
            texts = (
                self._hide([cut_line(self._clean(hit.line), hit.at) for _, _, hit in found]) if found else ()
            )
            for (since_ns, at_ns, hit), text in zip(found, texts, strict=True):
                told = LogLine(at_ns=at_ns, since_ns=since_ns, text=shown(text), pattern=hit.pattern)
                self._lines.append(told)
            return tuple(self._lines)

    def _run(self) -> None:
        try:
            while not self._stopping.wait(PERIOD_S):
                self._look()
            self._look()
            if self._settles:
                self._settle()
            for tail in self._tails:
                self._keep(tail.end())
        except Exception as error:  # the thread has no one to raise to: `missing` tells the test
            self._failed = f"the server's log could not be followed: {type(error).__name__}: {error}"
        finally:
            for tail in self._tails:
                tail.close()

    def _settle(self) -> None:
        began_ns = quiet_ns = self._clock()
        now_ns = began_ns
        while now_ns - quiet_ns < _QUIET_S * NS_PER_S and now_ns - began_ns < _SETTLE_S * NS_PER_S:
            time.sleep(_LOOK_S)
            more = self._look()
            now_ns = self._clock()
            quiet_ns = now_ns if more else quiet_ns

    def _look(self) -> bool:
        """Read what has come; True when anything has."""
        came, began_ns = False, self._clock()
        for tail in self._tails:
            for hits in tail.look():
                came = True
                self._keep(hits)
        self._read_ns = began_ns
        return came

    def _keep(self, hits: Sequence[Hit]) -> None:
        at_ns = self._clock()
        with self._lock:
            for hit in hits:
                self._counts[hit.pattern] += 1
                if self._counts[hit.pattern] <= MOST_LINES:
                    self._found.append((self._read_ns, at_ns, hit))


class LogTail:
    """One file of the log by its path: the open file, and those that were renamed away from there. Mutable.

    Attributes:
        path: where it is.
        scanner: what its lines are held against.
    """

    def __init__(self, path: Path, rules: LogRules) -> None:
        self.scanner = Scanner(rules)
        self._rules, self.path = rules, path
        self._files: list[_OpenFile] = []
        self._trouble: str | None = None
        self._there = False
        self._closed_read = self._closed_cut = 0

    @property
    def missing(self) -> str | None:
        """Why there is nothing, or nothing more, to read; or None."""
        if self._trouble is not None:
            return f"{self.path} cannot be read: {self._trouble}"
        if self._there:
            return None
        if self._files or self._closed_read:
            return f"{self.path} vanished during the test and did not come back"
        return f"{self.path} was not there during the test: does the server write to it?"

    @property
    def read(self) -> int:
        """Lines that were looked at."""
        return self._closed_read + sum(file.splitter.count for file in self._files)

    @property
    def cut(self) -> int:
        """Lines of which only the beginning was."""
        return self._closed_cut + sum(file.splitter.cut for file in self._files)

    def begin(self) -> None:
        """Go to the end of the file. A line that is half there and tells of an error is not of the test."""
        file = self._open()
        if file is None:
            return
        try:
            file.skip(lambda half: bool(_hits(self._rules, half)))
        except OSError as error:
            self._trouble = str(error.strerror)

    def look(self) -> Iterator[list[Hit]]:
        """What has come, block by block; nothing is given when nothing has."""
        yield from self._read_all()
        if not self._is_current() and self._open() is not None:
            # Into the old one as well: more may have come between its reading and the opening.
            yield from self._read_all()

    def end(self) -> list[Hit]:
        """The lines whose end has not come, as the test is over."""
        hits = [hit for file in self._files for hit in self.scanner.scan(file.splitter.end())]
        return hits + self.scanner.end()

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def _read_all(self) -> Iterator[list[Hit]]:
        for file in self._files:
            for text in file.texts():
                yield self.scanner.scan(text)

    def _is_current(self) -> bool:
        """The path leads to the file that was opened last."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            self._there = False
            return True  # nothing to open: a renamed file is read on
        except OSError as error:
            self._trouble = str(error.strerror)
            return True
        self._there, self._trouble = True, None
        return bool(self._files) and self._files[-1].key == (found.st_dev, found.st_ino)

    def _open(self) -> _OpenFile | None:
        try:
            file = _OpenFile(self.path)
        except FileNotFoundError:
            self._there = False
            return None
        except OSError as error:
            self._trouble = str(error.strerror)
            return None
        self._there = True
        self._files.append(file)
        if len(self._files) > _MOST_FILES:
            oldest = self._files.pop(0)
            self._closed_read += oldest.splitter.count
            self._closed_cut += oldest.splitter.cut
            oldest.close()
        return file


class _OpenFile:
    """An open file of the log, and how far it was read. Mutable."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        found = os.fstat(self._fd)
        self.key = (found.st_dev, found.st_ino)
        self.splitter = LineSplitter()
        self._offset = 0

    def skip(self, is_told: Callable[[str], bool]) -> None:
        """Go to the end; of the line that is half there what there is counts, unless it was told before."""
        self._offset = os.fstat(self._fd).st_size
        begin = max(0, self._offset - LONGEST_BYTES)
        before = os.pread(self._fd, self._offset - begin, begin)
        half = before[max(before.rfind(b"\n"), before.rfind(b"\r")) + 1 :]
        self.splitter.begin_within(half, drop=is_told(half.decode("utf-8", "replace")))

    def texts(self) -> Iterator[str]:
        """What has come since: whole lines, block by block."""
        size = os.fstat(self._fd).st_size
        if size < self._offset:
            self._offset = 0
            yield self.splitter.end()
            self.splitter.begin_within(b"", drop=False)
        while self._offset < size:
            data = os.pread(self._fd, min(_BLOCK, size - self._offset), self._offset)
            if not data:
                break
            self._offset += len(data)
            yield self.splitter.feed(data)

    def close(self) -> None:
        """Close it; again is no harm."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _hits(rules: LogRules, text: str) -> list[Hit]:
    scanner = Scanner(rules)
    return scanner.scan(text) + scanner.end()

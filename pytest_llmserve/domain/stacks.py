"""What the threads of a server did at one instant, and how that is told in few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from pytest_llmserve.domain.units import NS_PER_S

RUNS, WAITS, PARKED = "runs", "waits", "parked"
MOST_LINES = 40
_MOST_FRAMES = 12
_MOST_NAMES = 3

# Where a thread waits on behalf of whoever called: files of the standard library.
_WAITED_IN = frozenset(
    {
        *("threading.py", "queue.py", "multiprocessing/connection.py", "multiprocessing/queues.py"),
        *("multiprocessing/synchronize.py", "multiprocessing/process.py", "multiprocessing/popen_fork.py"),
        *("multiprocessing/popen_spawn_posix.py", "multiprocessing/popen_forkserver.py"),
    }
)
# A main thread that has left all work to others: its innermost function and file.
_LEFT_TO_OTHERS = frozenset(
    {
        ("wait", "threading.py"),
        ("join", "threading.py"),
        ("_wait_for_tstate_lock", "threading.py"),
        ("_try_wait", "subprocess.py"),
        ("poll", "multiprocessing/popen_fork.py"),
    }
)
# Who has no work while it waits: its function ("" = any) and file.
_WITHOUT_WORK = frozenset(
    {
        ("_worker", "concurrent/futures/thread.py"),
        ("_process_worker", "concurrent/futures/process.py"),
        ("accept", "socket.py"),
        ("run", "asyncio/runners.py"),  # uvloop, whose own functions are not Python's
        ("run_until_complete", "asyncio/base_events.py"),
        ("", "uvicorn/supervisors/multiprocess.py"),
        ("", "multiprocessing/resource_tracker.py"),
        ("main", "multiprocessing/forkserver.py"),
    }
)
# The same, where it waits in that function of that file: a handler waits under the same caller.
_CALLED_BY = frozenset(
    {
        ("readinto", "socket.py", "handle_one_request", "http/server.py"),  # kept, without a request
        ("get", "queue.py", "run", "anyio/_backends/_asyncio.py"),
    }
)
_SELECTED_FOR_ITSELF = frozenset({"subprocess.py", "multiprocessing/connection.py"})
"""These select for one answer that somebody needs; all others for whatever comes."""
_LOOPS = ("asyncio/", "socketserver.py", "http/server.py", "wsgiref/", "gunicorn/workers/")
"""A main thread with one of these on its stack serves: what it waits for holds requests up."""
_LIBRARY = (
    *(*_LOOPS, *_WAITED_IN, "selectors.py", "socket.py", "subprocess.py", "concurrent/", "multiprocessing/"),
    *("uvicorn", "hypercorn", "gunicorn", "starlette/", "fastapi/", "flask/", "anyio/", "uvloop/", "click/"),
    *("typer/", "contextlib.py", "runpy.py", "<"),
)
"""Files that are no server's own."""
_BOOTSTRAP = frozenset({"_bootstrap", "_bootstrap_inner"})


class Frame(msgspec.Struct, frozen=True):
    """One function on a stack.

    Attributes:
        name: as py-spy writes it, its class before it where that is known.
        path: of its file, the way to its package left out.
    """

    name: str
    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.name} ({self.path}:{self.line})"

    @property
    def function(self) -> str:
        """The name without its class."""
        return self.name.rpartition(".")[2]


class ThreadStack(msgspec.Struct, frozen=True, kw_only=True):
    """One thread.

    Attributes:
        active: it used a CPU, or was about to.
        gil: it held Python's global lock.
        frames: the innermost first.
        server: name of its server among several; "" where there is one.
    """

    pid: int
    name: str
    active: bool = False
    gil: bool = False
    frames: tuple[Frame, ...] = ()
    server: str = ""

    @property
    def state(self) -> str:
        """RUNS; WAITS, in code of its own; or PARKED, for want of work."""
        if self.active:
            return RUNS
        return PARKED if _without_work(self.frames) or self.waits_for_others else WAITS

    @property
    def waits_for_others(self) -> bool:
        """A main thread that waits for other threads or processes to do the work, outside of any request."""
        if self.active or self.name.partition(" (")[0] != "MainThread" or _without_work(self.frames):
            return False
        in_request = any(frame.path.startswith(_LOOPS) for frame in self.frames)
        return _place(self.frames[0]) in _LEFT_TO_OTHERS and not in_request

    @property
    def runs_loop(self) -> bool:
        """PARKED in an event loop, whose coroutines are on no stack while they wait."""
        return self.state == PARKED and any(frame.path.startswith("asyncio/") for frame in self.frames)

    @property
    def own(self) -> bool:
        """A function of the server's own is on it, not of Python's library and web frameworks alone."""
        return any(not frame.path.startswith(_LIBRARY) for frame in self.frames)


def _without_work(frames: Sequence[Frame]) -> bool:
    """True of a thread that waits for something to do, and not for something it needs."""
    waits = next((n for n, frame in enumerate(frames) if frame.path not in _WAITED_IN), len(frames))
    if waits == len(frames):  # nobody called, but a thread's target may be native and work
        return not frames or frames[0].function != "run"
    caller = frames[waits]
    if _place(caller) in _WITHOUT_WORK or ("", caller.path) in _WITHOUT_WORK:
        return True
    beneath = frames[waits + 1] if waits + 1 < len(frames) else None
    if caller.path == "selectors.py" and caller.function == "select":
        return waits == 0 and (beneath is None or beneath.path not in _SELECTED_FOR_ITSELF)
    inside, outside = (frames[waits - 1], caller) if waits else (caller, beneath)
    return outside is not None and (*_place(inside), *_place(outside)) in _CALLED_BY


def _place(frame: Frame) -> tuple[str, str]:
    return frame.function, frame.path


class StackDump(msgspec.Struct, frozen=True, kw_only=True):
    """The stacks of all processes of a server.

    Attributes:
        at_ns: monotonic clock.
        why: what was seen that made it worth while.
        missing: of each process that could not be read, why; empty while all could.
    """

    at_ns: int
    why: str
    threads: tuple[ThreadStack, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def idle(self) -> bool:
        """No Python thread does anything: what goes on, or hangs, is elsewhere."""
        return all(thread.state == PARKED for thread in self.threads)

    def as_json(self, start_ns: int) -> dict[str, Any]:
        """For reports; times from `start_ns` on."""
        rows = [
            {
                "pid": t.pid,
                **({"server": t.server} if t.server else {}),
                "thread": t.name,
                "state": t.state,
                "frames": [str(frame) for frame in t.frames],
            }
            for t in self.threads
        ]
        at_s = round((self.at_ns - start_ns) / NS_PER_S, 3)
        return {"at_s": at_s, "why": self.why, "threads": rows, "missing": list(self.missing)}


PROFILE_RATE = 20
"""Samples a second of a profile."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A flame graph of the server during a run, or why there is none.

    Attributes:
        file: the SVG.
        samples, unread: how many it is made of, and how many more could not be read, as py-spy says.
    """

    file: str | None = None
    samples: int | None = None
    unread: int | None = None
    missing: str | None = None

    def __str__(self) -> str:
        if self.file is None:
            return f"not profiled: {self.missing}"
        told = "" if self.samples is None else f", {self.samples} samples, {self.unread} more not read"
        return f"profiled {PROFILE_RATE} times a second{told}, which slows the server a little: {self.file}"


def dump_lines(dump: StackDump, start_ns: int, most: int = MOST_LINES) -> list[str]:
    """What matters of a dump: threads that run or wait in code of their own, equal stacks together.

    Args:
        dump: with at least one thread.
        start_ns: times are told from here on.
        most: lines; what is left out is told.
    """
    at_s = (dump.at_ns - start_ns) / NS_PER_S
    head = f"stacks of the server at {at_s:.1f} s, as {dump.why}:"
    if dump.idle:
        return [head, *_idle_lines(dump)]
    groups = _groups(dump.threads)
    blocks = [_block(threads) for threads in groups]
    parked = sum(thread.state == PARKED for thread in dump.threads)
    tail = [f"  {_threads(parked)} without work"] if parked else []
    lines, left = [head], 0
    for block in blocks:
        if len(lines) + len(block) + len(tail) + 1 > most and len(lines) > 1:
            left += 1
        else:
            lines += block[: most - 3]
    if left:
        tail.append(f"  {left} more stack{'' if left == 1 else 's'} left out")
    return [*lines, *tail]


def _idle_lines(dump: StackDump) -> list[str]:
    """That there is nothing to see, and where to look."""
    first: dict[str, ThreadStack] = {}
    for thread in dump.threads:
        first.setdefault(thread.server, thread)
    by = ", ".join(f"gdb -p {thread.pid}{_of(thread)}" for thread in first.values())
    native = f"native threads ({by} show{'s' if len(first) == 1 else ''} them)"
    if any(thread.runs_loop for thread in dump.threads):
        lines = [
            f"  {_threads(len(dump.threads))} without work",
            f"  what waits is on no stack of Python's: a coroutine, {native}, or another process",
        ]
    else:
        lines = [f"  no Python thread does anything: the work is in {native}, or in another process"]
    lines += [
        f"  {thread.name.partition(' (')[0]} of pid {thread.pid}{_of(thread)} only waits for them,"
        f" in {_own(thread)}"
        for thread in dump.threads
        if thread.waits_for_others
    ][:_MOST_NAMES]
    return [*lines, *(f"  {why}" for why in dump.missing[:_MOST_NAMES])]


def _own(thread: ThreadStack) -> Frame:
    """Its innermost function that is not of the module that waits."""
    inner = thread.frames[0].path
    return next((frame for frame in thread.frames if frame.path != inner), thread.frames[0])


def _groups(threads: Iterable[ThreadStack]) -> list[list[ThreadStack]]:
    """Threads with the same stack together: those that run, then in own code, then many.

    Of several servers the first of each come first: the one in trouble is not crowded out by the others.
    """
    found: dict[tuple[object, ...], list[ThreadStack]] = {}
    for thread in threads:
        if thread.state != PARKED:
            found.setdefault((thread.pid, thread.state, thread.frames), []).append(thread)

    def rank(group: list[ThreadStack]) -> tuple[bool, bool, int]:
        first = group[0]
        return first.state != RUNS, not first.own, -len(group)

    places = Counter[str]()
    turns: list[tuple[int, list[ThreadStack]]] = []
    for group in sorted(found.values(), key=rank):
        turns.append((places[group[0].server], group))
        places[group[0].server] += 1
    return [group for _, group in sorted(turns, key=itemgetter(0))]


def _block(group: Sequence[ThreadStack]) -> list[str]:
    """One stack, and who has it."""
    first = group[0]
    names = ", ".join(thread.name.partition(" (")[0] for thread in group[:_MOST_NAMES] if thread.name)
    names = f" ({names}{', ...' if len(group) > _MOST_NAMES else ''})" if names else ""
    does = first.state.removesuffix("s") if len(group) > 1 else first.state
    gil = ", with the GIL" if any(thread.gil for thread in group) else ""
    frames = list(first.frames)
    while frames and frames[-1].function in _BOOTSTRAP and frames[-1].path == "threading.py":
        frames.pop()
    shown = [f"    {frame}" for frame in frames[:_MOST_FRAMES]]
    if len(frames) > _MOST_FRAMES:
        shown.append(f"    ... {len(frames) - _MOST_FRAMES} more")
    return [f"  {_threads(len(group))} {does}{gil}, pid {first.pid}{_of(first)}{names}:", *shown]


def _of(thread: ThreadStack) -> str:
    """Which server, where there are several."""
    return f" of {thread.server}" if thread.server else ""


def _threads(number: int) -> str:
    return f"{number} thread{'' if number == 1 else 's'}"

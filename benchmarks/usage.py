"""Run a program pinned on cores, and say what it and all it started have used."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SAMPLE_S = 0.25
_PIN = (
    "import os, sys; os.sched_setaffinity(0, map(int, sys.argv[1].split(',')));"
    " os.execv(sys.argv[2], sys.argv[2:])"
)


@dataclass(frozen=True)
class Usage:
    """Of a program and all its descendants.

    Attributes:
        cpu_s: user and system time.
        cores: how many it was pinned on.
        peak_rss_bytes: the most at one instant, summed over the processes, sampled four times a second.
        others_cpu_s: what anybody else used of its cores meanwhile; counted in ticks, so an estimate.
    """

    cpu_s: float
    wall_s: float
    peak_rss_bytes: int
    others_cpu_s: float
    cores: int = 1


def run(
    command: Sequence[object],
    cpus: Collection[int],
    limit_s: float,
    env: Mapping[str, str] | None = None,
    apart: Collection[int] = (),
) -> Usage:
    """Run to the end.

    Args:
        apart: processes on the same cores that belong to the set-up: what they use is not others'.

    Raises:
        RuntimeError: it failed, or did not end in time; what it said is on stderr.
    """
    words = [*map(str, command)]
    busy_s, began_s = _beside_s(cpus, apart), time.monotonic()
    pin = [sys.executable, "-c", _PIN, ",".join(map(str, cpus))]
    process = subprocess.Popen([*pin, *words], env=env, start_new_session=True)
    watch = _Watch(process.pid, limit_s)
    try:
        _, status, used = os.wait4(process.pid, 0)
    finally:
        watch.over()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        why = (
            f"was killed: not done within {limit_s:g} s"
            if watch.killed
            else f"ended with {process.returncode}"
        )
        raise RuntimeError(f"{' '.join(Path(word).name for word in words[:2])} {why}")
    cpu_s = used.ru_utime + used.ru_stime
    others_s = max(0.0, _beside_s(cpus, apart) - busy_s - cpu_s)
    return Usage(cpu_s, time.monotonic() - began_s, watch.peak_bytes, others_s, len(cpus))


def _beside_s(cpus: Iterable[int], apart: Iterable[int]) -> float:
    return sum(map(core_busy_s, cpus)) - sum(map(process_cpu_s, apart))


class _Watch:
    """Samples memory, and kills what takes too long."""

    def __init__(self, pid: int, limit_s: float) -> None:
        self._pid, self._limit_s = pid, limit_s
        self._over = threading.Event()
        self.peak_bytes, self.killed = 0, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        end_s = time.monotonic() + self._limit_s
        while not self._over.wait(SAMPLE_S):
            self.peak_bytes = max(self.peak_bytes, sum(map(_rss_bytes, tree(self._pid))))
            if time.monotonic() > end_s and not self.killed:
                self.killed = True
                for pid in tree(self._pid):
                    with suppress(ProcessLookupError):
                        os.kill(pid, 9)

    def over(self) -> None:
        self._over.set()
        self._thread.join()


def tree(pid: int) -> list[int]:
    """A process and its descendants, parents first; read from /proc directly, for it must disturb nobody."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):
                found += map(int, Path(f"/proc/{parent}/task/{task}/children").read_text().split())
    return found


def _rss_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):  # it is over
        return 0


def core_busy_s(cpu: int) -> float:
    """Time a core has spent on anything but idling since the machine started.

    What a hypervisor took from it counts too.
    """
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{cpu}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
            return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    raise RuntimeError(f"/proc/stat knows no core {cpu}")


def process_cpu_s(pid: int) -> float:
    """User and system time of a process that runs, without that of its children."""
    # The name stands in brackets and may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# Ends by itself when who started it is gone.
_SPIN = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
if sys.argv[2] == "lowest":
    os.nice(19)
    try:
        with open("/proc/self/autogroup", "w") as group:
            group.write("19")
    except FileNotFoundError:
        pass
parent = os.getppid()
print(flush=True)
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""


@contextmanager
def busy_neighbours(count: int, cpu: int, lowest: bool = False) -> Iterator[list[int]]:
    """Processes that compute without pause on a core; gives their ids.

    Args:
        lowest: they give way to everybody. Each is a session of its own then, as a measured program is: where
            Linux shares a core evenly between sessions (autogroup), being nice counts within one only.
    """
    words = [sys.executable, "-c", _SPIN, str(cpu), "lowest" if lowest else "as all"]
    running = [
        subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=lowest) for _ in range(count)
    ]
    try:
        for process in running:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise RuntimeError("a process beside the client did not start; its words are above")
        yield [process.pid for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

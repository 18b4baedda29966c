"""What the kernel says of a server's control group: its memory and the limit, kills, and waiting for CPU."""

from __future__ import annotations

from pathlib import Path

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import CGROUP
from pytest_llmserve.observe.cgroup_paths import CPU, MEMORY, Folder, folder_of, groups_in, mounts_in

NO_LIMIT_BYTES = 1 << 62
"""Version 1 writes no limit as the largest number of whole pages, which depends on their size."""
NONE_TOLD = "the control group of {} is not available, because {}"

_USED = {1: "memory.usage_in_bytes", 2: "memory.current"}
_LIMIT = {1: "memory.limit_in_bytes", 2: "memory.max"}
_KILLS = {1: "memory.oom_control", 2: "memory.events"}
_QUOTA = {1: "cpu.cfs_quota_us", 2: "cpu.max"}
_THROTTLED = {1: ("throttled_time", 1), 2: ("throttled_usec", 1000)}
"""Version -> line of cpu.stat, and its unit in ns."""


def counts_in(text: str) -> dict[str, int]:
    """Lines of ``name number``, as in memory.events, memory.oom_control and cpu.stat."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def limit_in(text: str) -> int | None:
    """Bytes of memory.max or memory.limit_in_bytes; None = no limit."""
    word = text.strip()
    return int(word) if word.isdigit() and int(word) < NO_LIMIT_BYTES else None


def has_quota(text: str) -> bool:
    """Whether cpu.max ("max 100000", "50000 100000") or cpu.cfs_quota_us ("-1", "50000") limits CPU."""
    return text.split()[:1] not in ([], ["max"], ["-1"])


NOT_ON = "is not available, because the {} controller is not on for it"
_UNTOLD = {
    "cgroup_bytes": ("cgroup_mb", "the memory of {} " + NOT_ON.format("memory")),
    "cgroup_limit_bytes": ("cgroup_limit_mb", "{} has no memory limit"),
    "oom_kills": (
        "oom_kills",
        "the count of processes killed in {} is not available: this kernel keeps none",
    ),
    "throttled_ns": ("throttled_s", "the time that {} waits for CPU " + NOT_ON.format("CPU")),
}
"""Field -> its figure, and what is said where the group does not tell it."""


class ControlGroup:
    """Reads one control group. The folders are found once, so it is read after its processes have ended too.

    Args:
        whose: for sentences, "pid 12" or "container 0a1b".
        memory, cpu: where the files lie; None = not seen.
        missing: why they were not found.

    Attributes:
        absent: figure -> why the group does not tell it.
    """

    source = CGROUP

    def __init__(
        self, whose: str, memory: Folder | None, cpu: Folder | None, missing: str | None = None
    ) -> None:
        self._whose = whose
        self._memory = memory
        self._cpu = None if cpu is None else throttled_at(cpu)
        self.missing = missing
        told = self._figures()
        self.absent: dict[str, str] = {}
        if missing is None and not told:
            self.missing = NONE_TOLD.format(whose, self._why())
        elif missing is None:
            group = f"the control group of {whose}"
            untold = (row for field, row in _UNTOLD.items() if field not in told)
            self.absent = {figure: text.format(group) for figure, text in untold}

    def read(self, full: bool) -> dict[str, int]:  # noqa: ARG002 - all of it costs little
        """What a sample has of it.

        Raises:
            ProbeLost: the group is gone: it was removed after its last process.
        """
        figures = self._figures()
        if not figures:
            raise ProbeLost(f"the control group of {self._whose} was removed with its last process")
        return figures

    def close(self) -> None:
        """Nothing is held."""

    def _figures(self) -> dict[str, int]:
        told = {**self._memory_figures(), **self._cpu_figures()}
        return {name: value for name, value in told.items() if value is not None}

    def _memory_figures(self) -> dict[str, int | None]:
        if self._memory is None:
            return {}
        used = _text(self._memory.path / _USED[self._memory.version])
        kills = counts_in(_text(self._memory.path / _KILLS[self._memory.version]))
        limits = (
            limit_in(_text(path / _LIMIT[self._memory.version]))
            for path in (self._memory.upwards if used else ())
        )
        return {
            "cgroup_bytes": int(used) if used else None,
            "cgroup_limit_bytes": min((limit for limit in limits if limit is not None), default=None),
            "oom_kills": kills.get("oom_kill"),
        }

    def _cpu_figures(self) -> dict[str, int | None]:
        if self._cpu is None:
            return {}
        name, unit_ns = _THROTTLED[self._cpu.version]
        throttled = counts_in(_text(self._cpu.path / "cpu.stat")).get(name)
        return {"throttled_ns": None if throttled is None else throttled * unit_ns}

    def _why(self) -> str:
        if self._memory is None and self._cpu is None:
            return "no hierarchy of control groups that holds it is mounted here"
        folders = {str(folder.path) for folder in (self._memory, self._cpu) if folder is not None}
        return f"there are no figures in {' or '.join(sorted(folders))}"


def throttled_at(cpu: Folder) -> Folder:
    """The nearest group upwards whose CPU is limited, as waiting is counted there; itself where none is."""
    for path in cpu.upwards:
        if has_quota(_text(path / _QUOTA[cpu.version])):
            return Folder(path=path, top=cpu.top, version=cpu.version)
    return cpu


def group_of(pid: int, proc: Path = Path("/proc")) -> ControlGroup:
    """The control group of a process.

    Args:
        pid: of the process.
        proc: where the kernel tells of processes.
    """
    whose = f"pid {pid}"
    try:
        groups = groups_in((proc / str(pid) / "cgroup").read_text())
        mounts = mounts_in((proc / "self" / "mountinfo").read_text())
    except OSError as error:
        why = NONE_TOLD.format(whose, f"{error.filename} cannot be read: {error.strerror}")
        return ControlGroup(whose, None, None, why)
    return ControlGroup(whose, folder_of(MEMORY, groups, mounts), folder_of(CPU, groups, mounts))


def _text(path: Path) -> str:
    """Of a file of the kernel; "" where there is none, or no longer."""
    try:
        return path.read_text()
    except OSError:
        return ""

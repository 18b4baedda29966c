"""Where the control group of a process lies: from the texts of /proc to folders, versions 1 and 2."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MEMORY, CPU = "memory", "cpu"
UNIFIED = ""
"""Of /proc/PID/cgroup: the line of version 2 names no controller."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A hierarchy of control groups in the file system.

    Attributes:
        root: the group that is seen at `point`; others than those below it are not seen.
        controllers: of version 1, "memory" among them; `UNIFIED` alone for version 2.
    """

    root: str
    point: Path
    controllers: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Folder:
    """One group in one hierarchy.

    Attributes:
        path: of the group.
        top: of the uppermost group that is seen.
        version: 1 or 2.
    """

    path: Path
    top: Path
    version: int

    @property
    def upwards(self) -> Iterator[Path]:
        """The group and those it lies in, itself first."""
        path = self.path
        yield path
        while path != self.top:
            path = path.parent
            yield path


def mounts_in(mountinfo: str) -> list[Mount]:
    """The hierarchies of /proc/self/mountinfo: ``31 23 0:28 ROOT POINT OPTIONS - TYPE SOURCE OPTIONS``."""
    found = []
    for line in mountinfo.splitlines():
        before, dash, after = line.partition(" - ")
        words, kind = before.split(), after.split()
        if not dash or len(words) < 5 or len(kind) < 3 or kind[0] not in {"cgroup", "cgroup2"}:
            continue
        names = {UNIFIED} if kind[0] == "cgroup2" else set(kind[2].split(","))
        root, point = (_unescaped(word) for word in words[3:5])
        found.append(Mount(root=root, point=Path(point), controllers=frozenset(names)))
    return found


def groups_in(cgroup: str) -> dict[str, str]:
    """Controller -> group, as /proc/PID/cgroup lists them: ``4:cpu,cpuacct:/docker/0a1b``."""
    found: dict[str, str] = {}
    for line in cgroup.splitlines():
        _, colon, rest = line.partition(":")
        controllers, again, group = rest.partition(":")
        if colon and again:
            found |= dict.fromkeys(controllers.split(","), group)
    return found


def folder_of(controller: str, groups: dict[str, str], mounts: list[Mount]) -> Folder | None:
    """Where the files of a controller lie: in its hierarchy of version 1, else in that of version 2.

    None when no hierarchy of it is mounted, or none in which the group is seen.
    """
    for name, version in ((controller, 1), (UNIFIED, 2)):
        for mount in mounts:
            if name in groups and name in mount.controllers:
                path = path_in(mount, groups[name])
                if path is not None:
                    return Folder(path=path, top=mount.point, version=version)
    return None


def path_in(mount: Mount, group: str) -> Path | None:
    """The folder of a group; None for one that lies outside what is mounted, as "/../other" does."""
    inside = PurePosixPath(group)
    if ".." in inside.parts or not inside.is_relative_to(mount.root):
        return None
    return mount.point / inside.relative_to(mount.root)


def _unescaped(word: str) -> str:
    r"""Spaces stand as \040 there."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word)

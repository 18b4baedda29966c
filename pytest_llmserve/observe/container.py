"""A container by its id or name: its control group and its processes. No engine is asked."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.observe.cgroup import ControlGroup
from pytest_llmserve.observe.cgroup_paths import CPU, MEMORY, UNIFIED, Folder, Mount, mounts_in

SHORTEST_ID = 12
"""Characters that ``docker ps`` shows."""
_GROUP = re.compile(r"(?:^|[-:])([0-9a-f]{64})(?:\.scope)?$")
"""docker-ID.scope, libpod-ID.scope, crio-ID.scope, cri-containerd-ID.scope, SLICE:crio:ID, or ID."""
_MONITOR = "conmon"
"""libpod-conmon-ID.scope holds the program that looks after the container, not the container."""

DOCKER = "var/lib/docker/containers"
PODMAN = "containers/storage/overlay-containers/containers.json"
HOW = "give its id (docker inspect --format '{{.Id}}' NAME)"


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container that runs on this machine.

    Attributes:
        id: all 64 characters.
        folders: controller -> its group.
        named: as the user called it.
    """

    id: str
    folders: Mapping[str, Folder]
    named: str

    @property
    def gone(self) -> bool:
        """Its control group is no more: it has ended, and may have come back as another one."""
        return not any(folder.path.exists() for folder in self.folders.values())

    @property
    def group(self) -> ControlGroup:
        """What is read of it."""
        whose = f"container {self.id[:SHORTEST_ID]}"
        return ControlGroup(whose, self.folders.get(MEMORY), self.folders.get(CPU))

    def pids(self) -> frozenset[int]:
        """All its processes, as numbered here; those of another namespace are not."""
        found: set[int] = set()
        for folder in self.folders.values():
            for path in folder.path.rglob("cgroup.procs"):
                found |= {int(word) for word in _text(path).split() if word.isdigit()}
        return frozenset(found - {0})


def container_of(
    wanted: str, mountinfo: str | None = None, root: Path = Path("/"), home: Path | None = None
) -> Container:
    """Find a running container.

    Args:
        wanted: its id, or the first 12 characters or more of it; or its name, where that can be read.
        mountinfo: text of /proc/self/mountinfo; None = as it is.
        root: of the file system in which engines keep names.
        home: of the user, for containers without root.

    Raises:
        SetupError: none is found, or more than one; what to give instead.
    """
    mounts = mounts_in(_text(Path("/proc/self/mountinfo")) if mountinfo is None else mountinfo)
    groups = dict(_groups(mounts))
    ids = _fitting(wanted, groups)
    if not ids:
        ids = {found for found in _ids_of(wanted, root, home or Path.home()) if found in groups}
    if len(ids) > 1:
        shown = ", ".join(sorted(ids))
        raise SetupError(f"--llm-container {wanted}: several containers are called so ({shown}); {HOW}")
    if not ids:
        raise SetupError(f"--llm-container {wanted}: {_why_none(groups, mounts)}")
    found = ids.pop()
    return Container(id=found, folders=groups[found], named=wanted)


def first_of(pids: Iterable[int]) -> int | None:
    """The process that began first; None where none is seen from here."""
    import psutil

    began: dict[int, float] = {}
    for pid in pids:
        try:
            began[pid] = psutil.Process(pid).create_time()
        except psutil.Error:  # gone meanwhile
            continue
    return min(began, key=lambda pid: (began[pid], pid), default=None)


def id_in(name: str) -> str | None:
    """The id that a folder of a control group carries."""
    match = _GROUP.search(name)
    return match[1] if match is not None and _MONITOR not in name else None


def _fitting(wanted: str, ids: Iterable[str]) -> set[str]:
    if len(wanted) < SHORTEST_ID:
        return set()
    return {found for found in ids if found.startswith(wanted.lower())}


def _groups(mounts: Sequence[Mount]) -> Iterator[tuple[str, Mapping[str, Folder]]]:
    """(id, its folders); the uppermost of each id, as an engine in a container has folders of its own."""
    found: dict[str, dict[str, Folder]] = {}
    for mount in mounts:
        controllers = {MEMORY, CPU} if UNIFIED in mount.controllers else {MEMORY, CPU} & mount.controllers
        version = 2 if UNIFIED in mount.controllers else 1
        for path in _ids_below(mount.point) if controllers else ():
            folders = found.setdefault(str(id_in(path.name)), {})
            for controller in controllers:
                new = Folder(path=path, top=mount.point, version=version)
                folders[controller] = min(folders.get(controller, new), new, key=_rank)
    return iter(found.items())


def _rank(folder: Folder) -> tuple[int, int]:
    """Version 1 first, as it holds the controllers where both are mounted; of those the uppermost."""
    return folder.version, len(folder.path.parts)


def _ids_below(point: Path) -> Iterator[Path]:
    for folder, names, _ in os.walk(point):
        yield from (Path(folder, name) for name in names if id_in(name) is not None)


def _ids_of(name: str, root: Path, home: Path) -> Iterator[str]:
    """Ids of the containers of this name, as Docker and Podman keep them."""
    for config in sorted(root.glob(f"{DOCKER}/*/config.v2.json")):
        told = _json(config)
        if isinstance(told, dict) and str(told.get("Name", "")).lstrip("/") == name:
            yield str(told.get("ID", ""))
    for folder in (root / "var/lib", home / ".local/share"):
        for told in _json(folder / PODMAN) or ():
            if name in (told.get("names") or ()):
                yield str(told.get("id", ""))


def _why_none(groups: Mapping[str, object], mounts: Sequence[Mount]) -> str:
    if groups:
        return f"of the {len(groups)} containers seen here none is called so; is it running? Else {HOW}"
    there = "no container is seen" if mounts else "control groups are not mounted, so no container is seen"
    return f"{there} here; run pytest on the machine on which it runs, outside of containers"


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):  # not there, not ours to read, or being written
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

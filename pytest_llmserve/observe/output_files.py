"""Where a process's output goes, when it goes to a file: the log of a server that nobody named one for."""

from __future__ import annotations

import os
import stat
from pathlib import Path

Key = tuple[int, int]


def output_files(pid: int, proc: Path = Path("/proc")) -> tuple[Path, ...]:
    """The files that stdout and stderr of a process are, as `server > server.log 2>&1` makes them.

    Empty where they are none (a terminal, a pipe, /dev/null), and where the system does not tell: it is
    Linux that does, to the process's user. A file that this process writes to, or one that started it, is
    left out: what tests print would be taken for what the server says.

    Args:
        pid: of the server.
        proc: where the system tells of processes.
    """
    found: dict[Key, Path] = {}
    for output in ("1", "2"):
        link = proc / str(pid) / "fd" / output
        try:
            path = Path(os.readlink(link))
            open_file, named = os.stat(link), os.stat(path)
        except OSError:  # not told, deleted, or in another container
            continue
        key = (named.st_dev, named.st_ino)
        if stat.S_ISREG(named.st_mode) and key == (open_file.st_dev, open_file.st_ino):
            if os.access(path, os.R_OK):
                found[key] = path
    if not found:
        return ()
    own = _own_outputs(proc)
    return tuple(path for key, path in found.items() if key not in own)


def _own_outputs(proc: Path) -> set[Key]:
    """What is open for writing here, where pytest moves its output about, and what parents write to."""
    import psutil

    links = list((proc / "self" / "fd").glob("*"))
    for parent in psutil.Process().parents():
        links += [proc / str(parent.pid) / "fd" / output for output in ("1", "2")]
    own = set()
    for link in links:
        try:
            found, how = os.stat(link), os.lstat(link)
        except OSError:
            continue
        if how.st_mode & stat.S_IWUSR:  # of the link: how the file is open
            own.add((found.st_dev, found.st_ino))
    return own

"""`--llm-report x.jsonl`: a request a line; described in docs/requests.md.

The requests of a test are many: they are written when the test is over, into a shard, and its document has
only where that is. At the end of the session the shards are joined.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_llmserve.reports.private import SHARD
from pytest_llmserve.reports.request_line import with_session

_COPIED_BYTES = 1 << 20
_WHOLE, _UNFINISHED = ".part", ".unfinished"
_OF_SESSION = ("nodeid", "attempt", "outcome", "started_at", "duration_s")
ORPHANS = "_orphans"
"""Of a document: shards of tests that are not in it, as the process that sent them was ended meanwhile."""


def shard_path(target: Path, name: str) -> Path:
    """Where a shard of a report lies; `name` begins with that of the session."""
    return target.with_name(f"{target.name}.{name}{_WHOLE}")


def shards_of(target: Path, session: str) -> list[Path]:
    """All shards of one session beside a report, those that were not finished too."""
    pattern = f"{glob.escape(f'{target.name}.{session}')}-*"
    return [path for path in sorted(target.parent.glob(pattern)) if path.suffix in (_WHOLE, _UNFINISHED)]


def whole_shards(paths: Iterable[Path]) -> list[Path]:
    """Those that were written to their end."""
    return [path for path in paths if path.suffix == _WHOLE]


def write_shard(paths: Sequence[Path], lines: Callable[[], Iterable[bytes]]) -> dict[str, Any]:
    """Write the requests of a test, whole or not at all, to the first of these paths where that is possible.

    Args:
        paths: one beside each report.
        lines: gives pieces of whole lines, anew each time it is called.

    Returns:
        "path", or where there is none "fault": error number, text and file name of the first error.
    """
    fault: list[Any] | None = None
    for path in paths:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(path, path.with_suffix(_UNFINISHED), lines())
        except OSError as error:
            fault = fault or [error.errno, error.strerror, error.filename or str(path)]
        else:
            return {"path": str(path), "fault": None}
    return {"path": None, "fault": fault}


def write(document: Mapping[str, Any], path: Path) -> None:
    """Join the shards of all tests, in the order of the document; whole or not at all.

    Raises:
        OSError: the file cannot be written, or a shard could not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_whole(path, path.with_name(f"{path.name}.{os.getpid()}.part"), _joined(document))


def _joined(document: Mapping[str, Any]) -> Iterator[bytes]:
    shards: dict[str, None] = {}
    for test in document["tests"]:
        shard = test.get(SHARD)
        if shard is not None and shard["path"] is None:
            raise OSError(*shard["fault"])
        if shard is not None:
            shards[shard["path"]] = None
    session = [{key: test[key] for key in _OF_SESSION if key in test} for test in document["tests"]]
    for name in (*shards, *(left for left in document.get(ORPHANS, ()) if left not in shards)):
        with open(name, "rb") as shard_file:
            if any("outcome" in test for test in session) and (first := shard_file.readline()):
                yield with_session(first, session)
                session = []
            yield from iter(lambda: shard_file.read(_COPIED_BYTES), b"")


def _write_whole(path: Path, unfinished: Path, pieces: Iterable[bytes]) -> None:
    try:
        with unfinished.open("wb") as file:
            file.writelines(pieces)
        unfinished.replace(path)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # as of a disk that is full
            error.filename = str(path)
        raise

"""What the words of a command line name: a file of runs, a name of --llm-save, a folder of kept runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.reports.kept import KeptRuns, is_name
from pytest_llmserve.reports.kept_pairs import Place

if TYPE_CHECKING:
    from pytest_llmserve.domain.result import LoadResult

REQUESTS = ".jsonl"


@dataclass(frozen=True)
class Side:
    """The runs of one side of a comparison.

    Attributes:
        name: as it was given.
        kept: what can be compared of each run.
        runs: the runs themselves, where they are there.
    """

    name: str
    kept: Mapping[Place, Measurement]
    runs: Mapping[Place, LoadResult]


def side_of(text: str, measurements: str, tests: Sequence[str]) -> Side:
    """Read what `text` names.

    Args:
        text: a path that ends with .jsonl, a path of a folder, or a name.
        measurements: folder in which names are looked up.
        tests: only these, see `chosen`; empty = all.

    Raises:
        SetupError: there is nothing, or it cannot be read.
    """
    if text.endswith(REQUESTS) or Path(text).is_file():
        return _from_requests(text, tests)
    if not is_name(text) or Path(text).is_dir():
        folder, remedy = Path(text).expanduser(), "name a folder that pytest --llm-save has written"
    else:
        folder, remedy = Path(measurements).expanduser() / text, f"run pytest once with --llm-save {text}"
    if not folder.is_dir():
        where = "" if os.sep in text else f", or give the file of another: runs{REQUESTS}"
        raise SetupError(f"{text}: there is no folder {folder}: {remedy}{where}")
    kept = KeptRuns(folder, text, remedy).everything()
    if not kept:
        raise SetupError(f"{text}: no run is kept in {folder}: {remedy}")
    wanted = chosen([run.nodeid for run in kept], tests, text)
    return Side(text, {(run.nodeid, run.run): run.measurement for run in kept if run.nodeid in wanted}, {})


def _from_requests(text: str, tests: Sequence[str]) -> Side:
    from pytest_llmserve.checks.measured import measurement_of
    from pytest_llmserve.reports.kept_requests import read_runs
    from pytest_llmserve.reports.kept_run import last_attempts

    kept, runs = {}, {}
    found = last_attempts(read_runs(Path(text).expanduser()))
    wanted = chosen([run.nodeid for run in found], tests, text)
    for run in (run for run in found if run.nodeid in wanted):
        place = run.nodeid, run.number
        runs[place] = run.result
        kept[place] = measurement_of(
            run.result,
            name=text,
            environment={k: v for k, v in run.test.environment.items() if k != "definitions"},
            server={k: (run.test.server or {}).get(k) for k in ("url", "api", "model")},
            taken_at=taken_at(run.result.start_ns + run.wall_ns),
        )
    return Side(text, kept, runs)


def taken_at(wall_ns: int) -> str:
    """An instant since 1970 as ISO 8601, UTC."""
    return datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC).isoformat(timespec="seconds")


def chosen(nodeids: Sequence[str], tests: Sequence[str], where: str) -> list[str]:
    """The tests that are meant: of each word the one of that very name, else all with it in their name.

    Raises:
        SetupError: a word names none; the text lists those that are there.
    """
    known = list(dict.fromkeys(nodeids))
    if not tests:
        return known
    found: dict[str, None] = {}
    for word in tests:
        named = [word] if word in known else [nodeid for nodeid in known if word in nodeid]
        if not named:
            raise SetupError(f"--test {word}: no such test in {where}; there are {', '.join(known)}")
        found.update(dict.fromkeys(named))
    return [nodeid for nodeid in known if nodeid in found]

"""The measurements that were kept under one name: a folder with a file for each run of a test."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.reports.measurement_file import read, read_any, write

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LONGEST_STEM = 100


def is_name(text: str) -> bool:
    """It can be the name of a folder anywhere, and of none but one inside the folder of measurements."""
    return _NAME.fullmatch(text) is not None


def file_stem(nodeid: str) -> str:
    """What the files of a test begin with: its name as far as a file may have it, and a hash of it all."""
    told = re.sub(r"[^A-Za-z0-9.]+", "_", nodeid).strip("._")[-_LONGEST_STEM:]
    return f"{told}-{hashlib.sha256(nodeid.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


class KeptMeasurement(NamedTuple):
    """One of the files: of which test, its number in it from 1, and what it holds."""

    nodeid: str
    run: int
    measurement: Measurement


class KeptRuns:
    """What is kept under one name.

    Args:
        folder: with the files; need not be there.
        name: what messages call it.
        remedy: what to do where a run is missing or cannot be used, a clause.
    """

    def __init__(self, folder: Path, name: str, remedy: str = "keep it anew") -> None:
        self.folder, self.name, self.remedy = folder, name, remedy

    def load(self, nodeid: str, run: int) -> Measurement | None:
        """The measurement of a run, from 1, of a test; None when there is none.

        Raises:
            SetupError: the file cannot be read, is damaged, or of something else.
        """
        try:
            found = read(self._path(nodeid, run), nodeid, self.remedy)
        except FileNotFoundError:
            return None
        return self._named(found)

    def everything(self) -> list[KeptMeasurement]:
        """All that is kept, by test and number.

        Raises:
            SetupError: a file cannot be read, is damaged, or of something else.
        """
        found = [KeptMeasurement(*read_any(path, self.remedy)) for path in self._files(None)]
        named = [run._replace(measurement=self._named(run.measurement)) for run in found]
        return sorted(named, key=lambda run: (run.nodeid, run.run))

    def save(self, nodeid: str, runs: Sequence[Measurement]) -> int:
        """Keep all runs of a test, in place of those that are there; return how many these were.

        What a session that was killed has left half written of this test is removed first.

        Raises:
            OSError: they cannot be written; what was there before stays.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for left_over in self._files(nodeid, r"\..*\.part"):
            left_over.unlink(missing_ok=True)
        earlier = self._files(nodeid)
        written: list[tuple[Path, Path]] = []
        try:
            for number, measurement in enumerate(runs, 1):
                path = self._path(nodeid, number)
                written.append((write(measurement, path, nodeid, number), path))
            _put_in_place(written, earlier)
        except BaseException:
            for unfinished, _ in written:
                unfinished.unlink(missing_ok=True)
            raise
        return len(earlier)

    def count(self, nodeid: str | None = None) -> int:
        """How many runs are kept, of one test or of all."""
        return len(self._files(nodeid))

    def _named(self, measurement: Measurement) -> Measurement:
        return msgspec.structs.replace(measurement, name=self.name)

    def _path(self, nodeid: str, run: int) -> Path:
        return self.folder / f"{file_stem(nodeid)}-{run}.json"

    def _files(self, nodeid: str | None, ending: str = "") -> list[Path]:
        stem = ".*" if nodeid is None else re.escape(file_stem(nodeid))
        ours = re.compile(stem + r"-\d+\.json" + ending)
        return [path for path in self.folder.glob("*.json*") if ours.fullmatch(path.name) and path.is_file()]


def _put_in_place(written: Sequence[tuple[Path, Path]], earlier: Sequence[Path]) -> None:
    """Give new files their names and remove the earlier ones; where that fails the earlier ones are back.

    All earlier ones are moved aside first, so that old and new are never there together.
    """
    aside = [(path.with_name(f"{path.name}.{os.getpid()}.old.part"), path) for path in earlier]
    try:
        for out_of_the_way, path in aside:
            path.replace(out_of_the_way)
        for unfinished, path in written:
            unfinished.replace(path)
    except BaseException:
        for unfinished, path in written:
            if not unfinished.exists():
                path.unlink(missing_ok=True)
        for out_of_the_way, path in aside:
            if out_of_the_way.exists():
                out_of_the_way.replace(path)
        raise
    for out_of_the_way, _ in aside:
        out_of_the_way.unlink(missing_ok=True)

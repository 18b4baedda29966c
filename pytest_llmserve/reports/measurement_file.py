"""A measurement as a file, schema "pytest-llmserve/measurement/1"; described in docs/report.md."""

from __future__ import annotations

import base64
import json
import math
import os
import sys
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.measurement import Measurement

SCHEMA = "pytest-llmserve/measurement/1"


class _Plain(Measurement, frozen=True, kw_only=True):
    """The measurement as JSON has it; `series` packed, what is not a number left out."""

    series: dict[str, str]  # type: ignore[assignment]
    throughput: dict[str, float | None]  # type: ignore[assignment]


class _File(_Plain, frozen=True, kw_only=True):
    """The same as it stands in a file."""

    schema: str
    nodeid: str
    run: int


def write(measurement: Measurement, path: Path, nodeid: str, run: int) -> Path:
    """Write a measurement beside `path`; rename what is returned to `path` to make it valid.

    Args:
        measurement: without secrets.
        path: of the finished file.
        nodeid: pytest's name of the test.
        run: its number in the test, from 1.

    Raises:
        OSError: it cannot be written; nothing is left beside `path` then.
    """
    document = {"schema": SCHEMA, "nodeid": nodeid, "run": run, **plain_measurement(measurement)}
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        unfinished.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="ascii")
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return unfinished


def read(path: Path, nodeid: str, remedy: str) -> Measurement:
    """Read a measurement back.

    Args:
        path: of the file.
        nodeid: of the test it must be of.
        remedy: what to do when it cannot be used, a clause.

    Raises:
        FileNotFoundError: there is none.
        SetupError: it cannot be read, is of another schema or test, or damaged.
    """
    found, _, measurement = read_any(path, remedy)
    if found != nodeid:
        raise SetupError(f"{path} is of the test {found}, not of {nodeid}: {remedy}")
    return measurement


def read_any(path: Path, remedy: str) -> tuple[str, int, Measurement]:
    """Read a measurement of whatever test: its nodeid, the number of the run in it, and the run.

    Args:
        path: of the file.
        remedy: what to do when it cannot be used, a clause.

    Raises:
        FileNotFoundError: there is none.
        SetupError: it cannot be read, is of another schema, or damaged.
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}; {remedy}") from None
    except (ValueError, RecursionError) as error:
        raise _damaged(path, error, remedy) from None
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise SetupError(f"{path} is of schema {schema!r}, and {SCHEMA!r} is needed: {remedy}")
    try:
        file = msgspec.convert(document, _File)
        measurement = _measurement(file)
    except ValueError as error:
        raise _damaged(path, error, remedy) from None
    return file.nodeid, file.run, measurement


def plain_measurement(measurement: Measurement, exact: bool = False) -> dict[str, Any]:
    """A measurement as JSON values: series packed, None for a rate that is not known.

    Args:
        measurement: as said.
        exact: its series to the last digit, in twice the room: judged again it gives the same figures.
    """
    document = {name: getattr(measurement, name) for name in measurement.__struct_fields__}
    document["rates"] = {name: list(values) for name, values in measurement.rates.items()}
    document["throughput"] = {
        name: value if math.isfinite(value) else None for name, value in measurement.throughput.items()
    }
    document["series"] = {name: packed(values, exact) for name, values in measurement.series.items()}
    return document


def exact_measurement(document: dict[str, Any]) -> Measurement:
    """The inverse of `plain_measurement` where it is exact.

    Raises:
        ValueError: not such a document.
    """
    return _measurement(msgspec.convert(document, _Plain), exact=True)


def _measurement(file: _Plain, exact: bool = False) -> Measurement:
    fields: dict[str, Any] = {name: getattr(file, name) for name in Measurement.__struct_fields__}
    series = {name: unpacked(text, exact) for name, text in file.series.items()}
    if len({len(values) for values in series.values()}) > 1:
        raise ValueError("its series are of different lengths")
    known = {name: math.nan if value is None else value for name, value in file.throughput.items()}
    return Measurement(**{**fields, "series": series, "throughput": known})


def _damaged(path: Path, why: object, remedy: str) -> SetupError:
    return SetupError(f"{path} is damaged ({why}): {remedy}")


def packed(values: Sequence[float], exact: bool = False) -> str:
    """Base64 of IEEE 754 numbers, of 4 bytes or where `exact` of 8, least significant byte first.

    NaN and infinite are kept.
    """
    cells = array("d" if exact else "f", values)
    if sys.byteorder == "big":
        cells.byteswap()
    return base64.b64encode(cells.tobytes()).decode("ascii")


def unpacked(text: str, exact: bool = False) -> array[float]:
    """The inverse of `packed`.

    Raises:
        ValueError: not such a text.
    """
    cells = array("d" if exact else "f")
    cells.frombytes(base64.b64decode(text, validate=True))
    if sys.byteorder == "big":
        cells.byteswap()
    return array("d", cells)

"""A measurement written and read back; a file that is no such measurement is refused, with what to do."""

from __future__ import annotations

import json
import math

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.reports.measurement_file import SCHEMA, packed, read, unpacked, write

NODEID = "tests/test_a.py::test_it[a/b]"
REMEDY = "run once with --llm-save main"


@pytest.fixture
def measurement():
    return Measurement(
        name="main",
        plan={"users": 20, "think_time_ns": [0, 5], "params": {"max_tokens": 64}},
        prompts="0f" * 16,
        environment={"cpus": 2},
        definitions={"e2e_ms": "last byte minus sent"},
        server={"url": "http://127.0.0.1:8000", "api": "openai-chat", "model": None},
        series={"e2e_ms": [12.5, math.inf, 0.1], "tpot_ms": [math.nan, math.inf, 2.0]},
        rates={"requests_per_s": [100.5, 99.0], "output_tokens_per_s": []},
        throughput={"requests_per_s": 100.1, "output_tokens_per_s": math.nan},
        counts={"sent": 3, "failed": 1, "dropped": 0},
        taken_at="2026-11-21T10:00:00+00:00",
    )


@pytest.fixture
def kept(measurement, tmp_path):
    """The path of a finished file."""
    path = tmp_path / "it-1.json"
    write(measurement, path, NODEID, 1).rename(path)
    return path


def damage(path, **changes):
    document = json.loads(path.read_text())
    path.write_text(json.dumps({name: v for name, v in {**document, **changes}.items() if v is not ...}))


def test_a_measurement_comes_back_as_it_was(measurement, kept):
    """Latencies to a ten-millionth of themselves; what failed and what has no figure as such."""
    found = read(kept, NODEID, REMEDY)
    assert list(found.series["e2e_ms"]) == pytest.approx(measurement.series["e2e_ms"], rel=1e-7)
    assert list(found.series["tpot_ms"]) == pytest.approx(measurement.series["tpot_ms"], nan_ok=True)
    assert math.isnan(found.throughput["output_tokens_per_s"])
    for name in Measurement.__struct_fields__:
        if name not in ("series", "throughput"):
            assert getattr(found, name) == getattr(measurement, name), name


def test_the_file_is_strict_json_that_names_its_schema_and_test(kept):
    """No NaN and no infinity: other tools can read it."""

    def refuse(constant):
        raise AssertionError(constant)

    document = json.loads(kept.read_text(), parse_constant=refuse)
    assert document["schema"] == SCHEMA == "pytest-llmserve/measurement/1"
    assert (document["nodeid"], document["run"]) == (NODEID, 1)


def test_a_packed_series_is_base64_of_little_endian_floats():
    """As documented, for other readers."""
    assert packed([1.0]) == "AACAPw=="
    assert list(unpacked("AACAPw==")) == [1.0]


def test_a_million_requests_take_a_few_megabytes(measurement, tmp_path):
    """Under 6 bytes a value."""
    import msgspec

    many = msgspec.structs.replace(measurement, series={"e2e_ms": [1234.5678] * 1_000_000})
    assert write(many, tmp_path / "x.json", NODEID, 1).stat().st_size < 6_000_000


def test_a_value_that_json_has_not_leaves_no_file(measurement, tmp_path):
    """Whatever stops the writing, nothing half-written stays."""
    import msgspec

    strange = msgspec.structs.replace(measurement, plan={"params": {"temperature": math.nan}})
    with pytest.raises(ValueError, match="Out of range float"):
        write(strange, tmp_path / "x.json", NODEID, 1)
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_told_apart(tmp_path):
    """From one that cannot be used."""
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.json", NODEID, REMEDY)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"schema": "pytest-llmserve/measurement/9"},
            f"is of schema 'pytest-llmserve/measurement/9', and '{SCHEMA}' is needed: {REMEDY}",
        ),
        ({"schema": ...}, f"is of schema None, and '{SCHEMA}' is needed: {REMEDY}"),
        ({"plan": ...}, f"is damaged (Object missing required field `plan`): {REMEDY}"),
        ({"series": {"e2e_ms": "AAAAAA"}}, f"is damaged (Incorrect padding): {REMEDY}"),
        (
            {"series": {"e2e_ms": "AACAPw==", "ttft_ms": ""}},
            f"is damaged (its series are of different lengths): {REMEDY}",
        ),
        (
            {"nodeid": "tests/test_a.py::test_other"},
            f"is of the test tests/test_a.py::test_other, not of {NODEID}: {REMEDY}",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(changes, why, kept):
    """With its path, what is wrong, and what to do."""
    damage(kept, **changes)
    with pytest.raises(SetupError) as told:
        read(kept, NODEID, REMEDY)
    assert str(told.value) == f"{kept} {why}"


@pytest.mark.parametrize("text", ["", "{", "[1]", "\xff", '{"schema": ' + "[" * 100_000])
def test_no_damage_gets_past(text, kept):
    """Cut off, empty, of another kind, not text, or nested without end."""
    kept.write_bytes(text.encode("latin-1"))
    with pytest.raises(SetupError, match="run once with --llm-save main"):
        read(kept, NODEID, REMEDY)


def test_a_file_cut_off_anywhere_is_refused(kept):
    """What a full disk leaves."""
    whole = kept.read_bytes()
    for size in range(0, len(whole) - 2, 97):
        kept.write_bytes(whole[:size])
        with pytest.raises(SetupError):
            read(kept, NODEID, REMEDY)


def test_a_folder_in_its_place_is_refused(tmp_path):
    """It can be opened by nobody."""
    (tmp_path / "it-1.json").mkdir()
    with pytest.raises(SetupError) as told:
        read(tmp_path / "it-1.json", NODEID, REMEDY)
    assert str(told.value) == f"{tmp_path / 'it-1.json'} cannot be read: Is a directory; {REMEDY}"

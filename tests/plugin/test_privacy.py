"""What was asked and answered, and with which key, stands nowhere but where it was asked for."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from markdown_it import MarkdownIt

from pytest_llmserve.reports import REPORTS

KEY = "sk-planted+key/31c7=="
TEAM_KEY = "tk-8c1d&of+one/team"
PROMPT = "violet otters asked at planted dawn"
ANSWER = "amber herons answered at planted noon"
SYSTEM = "crimson foxes ruled at planted dusk"
USER = "the-planted-user@example.test"
TELLTALE = Path(__file__).parents[1] / "servers" / "telltale.py"

BODY = """
import json, os
from pathlib import Path

from pytest_llmserve import Task
from pytest_llmserve.prompts import Conversation, from_jsonl

ASKED = json.loads(Path(os.environ["ASKED"]).read_text())
SAID = {"user": ASKED["user"]}
NAMED = pytest.param("plain", id="|<b>plain`<img src=x>")
KINDS = [NAMED, "as-json", "as-page", "as-text", "as-event", "torn", "as-reason"]

@pytest.mark.load(users=2, requests=6)
@pytest.mark.latency(p50_ms=0.001)
@pytest.mark.error_rate(max=0.01)
@pytest.mark.no_log_errors
@pytest.mark.parametrize("kind", KINDS)
def test_a_load(llm_load, kind):
    system = {"role": "system", "content": ASKED["system"]}
    user = {"role": "user", "content": ASKED["prompt"] + " " + kind}
    llm_load([[system, user]], params=SAID)

@pytest.mark.load(users=2, requests=6)
@pytest.mark.latency(p50_ms=0.001)
def test_a_file(llm_load):
    llm_load(from_jsonl(os.environ["ROWS"], "question"))

@pytest.mark.load(users=2, requests=6)
@pytest.mark.latency(p50_ms=0.001)
def test_turns(llm_load):
    llm_load([Conversation([ASKED["prompt"], ASKED["prompt"] + " as-text"], system=ASKED["system"])])

@pytest.mark.isolation
@pytest.mark.load(users=2, requests=6)
def test_tasks(llm_tasks):
    tasks = [Task("one", [ASKED["prompt"]]), Task("other", [ASKED["system"] + " as-json"])]
    llm_tasks(*tasks, alone=2)

def test_hostile(llm_endpoint):
    assert bool(llm_endpoint.survives(prompt=ASKED["prompt"] + " as-page")) is False

def test_one_question(llm_endpoint):
    reply = llm_endpoint.generate(ASKED["prompt"] + " as-json", **SAID)
    ended = llm_endpoint.generate(ASKED["prompt"] + " as-reason", **SAID)
    raise AssertionError(f"{reply.error}, {ended.finish_reason}")
"""


@pytest.fixture
def planted(suite, tmp_path_factory, monkeypatch):
    """Prompts in a file, keys in the environment, a folder for what is left behind; returns the options."""
    apart = tmp_path_factory.mktemp("asked")
    asked = {"prompt": PROMPT, "system": SYSTEM, "user": USER}
    (apart / "asked.json").write_text(json.dumps(asked))
    (apart / "rows.jsonl").write_text(json.dumps({"question": f"{PROMPT} as-page"}) + "\n")
    left = suite.pytester.path / "left"
    left.mkdir()
    for name, value in {
        "ASKED": apart / "asked.json",
        "ROWS": apart / "rows.jsonl",
        "PLANTED_KEY": KEY,
        "TMPDIR": left,
        "GITHUB_STEP_SUMMARY": suite.pytester.path / "summary.md",
    }.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("tempfile.tempdir", None)
    command = f"python {TELLTALE} {{port}} {apart / 'server.log'}"
    return [
        f"--llm-serve={command}",
        f"--llm-server-log={apart / 'server.log'}",
        "--llm-api-key-env=PLANTED_KEY",
        f"--llm-header=X-Team-Key: {TEAM_KEY}",
        "--llm-replica-header=x-served-by",
    ]


def reports(folder):
    """An option for each report that can be written."""
    there = [end for end, to in REPORTS.items() if importlib.util.find_spec(to.partition(":")[0])]
    return [f"--llm-report={folder / f'report{end}'}" for end in there]


def others(folder):
    """What pytest and its other plugins write."""
    return [
        f"--junitxml={folder / 'junit.xml'}",
        f"--html={folder / 'others.html'}",
        "--self-contained-html",
        f"--alluredir={folder / 'allure'}",
        f"--benchmark-json={folder / 'benchmark.json'}",
    ]


BESIDE = ("benchmark", "html", "html_fixtures", "metadata", "allure_pytest")


def forms(secret):
    """A text as files may hold it."""
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        base64.b64encode(secret.encode()).decode(),
        secret.replace("&", "&amp;"),
        secret[:12],
    }


def found(outputs, *secrets):
    """Where any of them stands, with what is around it."""
    return [
        f"{where}: {text[max(0, at - 60) : at + 60]!r}"
        for where, text in outputs.items()
        for secret in secrets
        for form in forms(secret)
        if (at := text.find(form)) >= 0
    ]


def written(folder):
    """Every file under a folder, by its name."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "test_suite.py")
    return {str(path.relative_to(folder)): path.read_bytes().decode("utf-8", "replace") for path in files}


def test_keys_prompts_and_answers_stand_nowhere(suite, planted):
    """Not in what is printed, in any report or file, or left behind; of the server's script nothing runs."""
    folder = suite.pytester.path
    options = [
        *planted,
        *reports(folder),
        *others(folder),
        "--llm-save=kept",
        "-v",
        "-rA",
        "-s",
        "--tb=short",
    ]
    run = suite(BODY, *options, apart=True, beside=BESIDE)
    outputs = {"terminal": run.text} | written(folder)
    assert {"junit.xml", "report.json", "others.html", "report-1.json"} <= outputs.keys(), run.text
    assert len(run.tests) >= 9
    assert {row["outcome"] for row in run.tests} == {"failed", "passed"}, run.text
    hits = found(outputs, KEY, TEAM_KEY, PROMPT, ANSWER, SYSTEM, USER)
    assert hits == [], "\n".join(hits)
    assert "[prompt]" in run.text
    assert '"finish_reason":"stopped at [answer]' in outputs["report.jsonl"]
    assert "&lt;script&gt;document.title" in outputs["report.html"]
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render
    pages = {"report.html": outputs["report.html"]}
    pages |= {name: rendered(outputs[name]) for name in ("report.md", "summary.md")}
    for name, page in pages.items():
        assert "model-" in page, name
        assert not re.search(r"<script>document|<b>plain|<img", page), name


def test_with_kept_texts_the_keys_still_stand_nowhere(suite, planted):
    """Prompts and answers are in the report then, as asked for; the request log has them at any time."""
    folder = suite.pytester.path
    log = folder / "requests.log"
    options = [*planted, *reports(folder), *others(folder), "--llm-keep-text", f"--llm-request-log={log}"]
    run = suite(BODY, *options, "-k", "plain or as-json or as-reason or question", apart=True, beside=BESIDE)
    outputs = {"terminal": run.text} | written(folder)
    hits = found(outputs, KEY, TEAM_KEY)
    assert hits == [], "\n".join(hits)
    assert PROMPT in outputs["report.json"]
    assert ANSWER in outputs["report.json"]
    assert "[prompt]" not in run.text
    (asked,) = {test["runs"][0]["plan"]["params"]["user"] for test in run.tests if test["runs"]}
    assert asked == USER
    assert PROMPT in outputs["requests.log"]


def test_what_was_found_out_of_a_server_tells_no_key(suite, planted):
    """--llm-explain shows questions and answers of its own, without the keys that the server repeats."""
    run = suite("", *planted, "--llm-explain", apart=True)
    assert run.exit == 0, run.text
    assert ANSWER in run.text
    assert found({"terminal": run.text} | written(suite.pytester.path), KEY, TEAM_KEY) == []


def test_texts_among_the_fields_of_a_request_are_hashed(suite, quick):
    """Whether two runs had the same is still known; numbers and the words of an API stay."""
    body = """
@pytest.mark.load(users=1, requests=3)
def test_fields(llm_load):
    llm_load("Say hi.", params={"user": "Ada of Lovelace", "temperature": 0.5, "verbosity": "low"})
"""
    run = suite(body, "--llm-endpoint", quick.url)
    params = run.tests[0]["runs"][0]["plan"]["params"]
    assert re.fullmatch("sha256:[0-9a-f]{16}", params.pop("user"))
    assert params == {"temperature": 0.5, "verbosity": "low"}
    assert found({"report": run.report.read_text()}, "Ada of Lovelace") == []

"""Options: which value is in force, and what a wrong one says."""

from __future__ import annotations

import sys

import pytest

from pytest_llmserve.dialects import DIALECTS

SHOW = """
def test_it(llm_endpoint):
    assert llm_endpoint.url == {url!r}
"""
LOAD = """
def test_it(llm_load):
    llm_load("Say hi.", users=2, requests=20)
"""
NOWHERE = "http://127.0.0.1:1"


def test_the_command_line_wins_over_environment_and_ini(suite, quick, monkeypatch):
    """--llm-endpoint, though LLM_ENDPOINT and the ini name others."""
    monkeypatch.setenv("LLM_ENDPOINT", NOWHERE)
    suite.pytester.makeini(f"[pytest]\nllm_endpoint = {NOWHERE}")
    assert suite(SHOW.format(url=quick.url), "--llm-endpoint", quick.url).exit == 0


def test_the_environment_wins_over_ini(suite, quick, monkeypatch):
    """LLM_ENDPOINT, though the ini names another."""
    monkeypatch.setenv("LLM_ENDPOINT", quick.url)
    suite.pytester.makeini(f"[pytest]\nllm_endpoint = {NOWHERE}")
    assert suite(SHOW.format(url=quick.url)).exit == 0


def test_the_ini_is_enough(suite, quick):
    """Every option has an ini key of the same name, with underscores."""
    suite.pytester.makeini(
        f"[pytest]\nllm_endpoint = {quick.url}\nllm_scale = 0.5\nllm_load_workers = 2\nllm_api = openai-chat"
    )
    run = suite(LOAD)
    assert run.exit == 0, run.text
    plan = run.tests[0]["runs"][0]["plan"]
    assert (plan["requests"], plan["workers"]) == (10, 2)
    assert run.tests[0]["server"]["api"] == "openai-chat"


def test_every_option_has_a_help_text_and_an_ini_key(suite):
    """`pytest --help` lists both under the group llmserve."""
    run = suite("", "--help")
    assert run.exit == 0
    group = run.text.partition("acceptance tests of model servers")[2]
    for option in ("endpoint", "api", "model", "header", "api-key-env", "serve", "server-pid", "report"):
        assert f"--llm-{option}" in group
        assert f"llm_{option.replace('-', '_')}" in group
    assert "llm_require_endpoint" in group
    apis = " ".join(group.partition("--llm-api=")[2].partition("--llm-model")[0].split())
    assert [name for name in DIALECTS if name not in apis] == []


WRONG = {
    "--llm-endpoint=ftp://x": (
        "endpoint 'ftp://x' is not an http or https URL; give one like http://127.0.0.1:8000 or https://host/path"
    ),
    "--llm-endpoint=http://me:secret@x": (
        "endpoint URL holds a user or password: use --llm-api-key-env or --llm-header instead"
    ),
    "--llm-header=sk-a-secret-key": "--llm-header: write 'Name: value' on one line",
    "--llm-api-key-env=NO_SUCH_KEY": (
        "--llm-api-key-env NO_SUCH_KEY: the environment variable is not set, or empty"
    ),
    "--llm-serve=python3 server.py": (
        "--llm-serve 'python3 server.py' has no {port}: write {port} where the server takes its port,"
        " such as 'CMD --port {port}'"
    ),
    "--llm-serve=no-such-command {port}": (
        "--llm-serve 'no-such-command {port}': command 'no-such-command' not found:"
        " give its full path or put its folder on PATH"
    ),
}


@pytest.mark.parametrize("option", WRONG)
def test_a_wrong_server_option_is_a_usage_error(option, suite, monkeypatch):
    """Exit 4 at the start, and what to write instead; a password or key is not repeated."""
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    named = [] if "endpoint" in option or "serve" in option else ["--llm-endpoint", NOWHERE]
    run = suite(LOAD, option, *named)
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {WRONG[option]}" in run.text
    assert "secret" not in run.text


def test_an_unknown_api_is_a_usage_error(suite):
    """The names that exist are listed."""
    run = suite(LOAD, "--llm-endpoint", NOWHERE, "--llm-api", "opnai-chat")
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert "'opnai-chat'" in run.text
    for known in ("openai-chat", "openai-completions", "json"):
        assert known in run.text


def test_two_servers_are_one_too_many(suite):
    """--llm-serve beside a server of ours is refused; beside a URL it is the command that serves there."""
    run = suite(LOAD, "--llm-endpoint", "embedded", "--llm-serve", f"{sys.executable} x.py --port {{port}}")
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert (
        "ERROR: --llm-serve and --llm-endpoint=embedded name two servers: leave one of them out"
    ) in run.text


def test_all_wrong_options_are_told_at_once(suite):
    """One run of pytest shows every fault, not the first."""
    suite.pytester.makeini("[pytest]\nllm_ready_timeout = soon\nllm_serve_values = workers")
    run = suite(
        LOAD,
        "--llm-endpoint",
        "nowhere",
        "--llm-report",
        "figures.xls",
        "--llm-scale=0",
        "--llm-load-workers=0",
    )
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    report = suite.pytester.path / "figures.xls"
    for fault in (
        "endpoint 'nowhere' is not an http or https URL; give one like http://127.0.0.1:8000 or https://host/path",
        f"--llm-report {report}: the ending must be one of .json",
        "--llm-scale 0.0: give a number over 0, such as 0.1",
        "--llm-load-workers 0: give 1 or more",
        "llm_serve_values: 'workers': write NAME=VALUE, one a line, such as workers=1",
        'llm_ready_timeout: \'soon\' is not a duration: write "60s", "5m", "1500ms", "4h" or seconds',
    ):
        assert fault in run.text, fault


def test_a_report_that_cannot_be_is_a_usage_error(suite):
    """Told before the tests run, all at once, each once; nothing is made and nothing is left behind."""
    here = suite.pytester.path
    (here / "out.json").mkdir()
    (here / "taken").write_text("")
    names = ["out.json", "taken/deep/x.html", "/proc/x.md", ""]
    run = suite(LOAD, *(f"--llm-report={name}" for name in names), "--llm-report=deep/er/x.jsonl")
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    taken = f"{here / 'taken'} is a file, where a folder is needed: move it, or name another"
    told = [line.removeprefix("ERROR: ") for line in run.result.errlines if "--llm-report" in line]
    assert told == [
        "--llm-report is empty: give PATH, or leave it out",
        f"--llm-report {here / 'out.json'}: is a folder; name a file",
        f"--llm-report {here / 'taken/deep/x.html'}: {taken}",
        "--llm-report /proc/x.md: cannot be written: No such file or directory; name a file that can be",
    ]
    assert sorted(path.name for path in here.iterdir()) == ["out.json", "taken", "test_suite.py"]


def test_a_server_on_the_command_line_wins_over_the_other_kind(suite, quick, monkeypatch):
    """--llm-endpoint over an ini llm_serve; and the repeat command names one server."""
    suite.pytester.makeini("[pytest]\nllm_serve = python3 x.py {port}")
    run = suite(LOAD.replace("def", "@pytest.mark.latency(max_ms=0.001)\ndef"), "--llm-endpoint", quick.url)
    assert run.failure("test_it")[-1] == f"repeat: pytest test_suite.py::test_it --llm-endpoint={quick.url}"
    monkeypatch.setenv("LLM_ENDPOINT", quick.url)
    assert suite(SHOW.format(url=quick.url)).exit == 0


def test_the_repeat_command_works_where_pytest_was_started(suite, quick, monkeypatch):
    """The path counts from the current folder, not from the root folder."""
    suite.pytester.makeini("[pytest]")
    folder = suite.pytester.mkdir("deep")
    (folder / "test_deep.py").write_text(
        "import pytest\n@pytest.mark.resources(rss_mb=1)\ndef test_it(llm_endpoint):\n    pass\n"
    )
    monkeypatch.chdir(folder)
    result = suite.in_process("--llm-endpoint", quick.url, "-p", "no:asyncio")
    result.stdout.fnmatch_lines([f"repeat: pytest test_deep.py::test_it --llm-endpoint={quick.url}"])


@pytest.mark.parametrize(
    ("option", "fault"),
    [
        ("--llm-scale=-1", "--llm-scale -1.0: give a number over 0, such as 0.1"),
        ("--llm-load-workers=0", "--llm-load-workers 0: give 1 or more"),
        ("--llm-header=K V", "--llm-header: write 'Name: value' on one line"),
        (
            "--llm-api-key-env=LLM_NO_SUCH_KEY",
            "--llm-api-key-env LLM_NO_SUCH_KEY: the environment variable is not set, or empty",
        ),
    ],
)
def test_a_wrong_option_is_told_without_a_server_too(option, fault, suite):
    """What the command line says is meant now; the tests being skipped is no answer to it."""
    suite.pytester.makepyfile(test_suite="def test_it(llm_load):\n    llm_load()")
    result = suite.in_process(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {fault}" in result.errlines


def test_a_key_in_the_ini_waits_for_a_server(suite):
    """The variable may be set where the pipeline runs, and nowhere else."""
    suite.pytester.makepyfile(test_suite="def test_it(llm_load):\n    llm_load()")
    suite.pytester.makeini("[pytest]\nllm_api_key_env = LLM_NO_SUCH_KEY")
    suite.in_process("--llm-scale=0.1", "-p", "no:asyncio").assert_outcomes(skipped=1)


def test_scale_multiplies_requests_and_durations(suite, quick):
    """A pull request runs a tenth of the night's load."""
    body = """
def test_it(llm_load):
    llm_load("Say hi.", users=2, requests=100, duration="30s", ramp_up="1s", warm_up="500ms")
"""
    run = suite(body, "--llm-endpoint", quick.url, "--llm-scale", "0.1")
    assert run.exit == 0, run.text
    plan = run.tests[0]["runs"][0]["plan"]
    assert plan["requests"] == 10
    assert plan["duration_ns"] == 3_000_000_000
    assert (plan["ramp_up_ns"], plan["warm_up_ns"]) == (100_000_000, 50_000_000)
    assert run.tests[0]["runs"][0]["counts"]["sent"] == 10


UNDECIDED = """
@pytest.mark.load(users=1, requests=5)
@pytest.mark.latency(p99_ms=60000)
def test_it(llm_load):
    llm_load("Say hi.")
"""


def test_undecided_within_the_limit_passes(suite, quick):
    """With too few requests for a verdict, and what would give one."""
    run = suite(UNDECIDED, "--llm-endpoint", quick.url)
    assert run.exit == 0, run.text
    assert run.verdicts[0]["verdict"] == "undecided"
    assert "p99 at 95% needs 299 requests with none over the limit" in run.text


def test_strict_makes_undecided_fail(suite, quick):
    """--llm-strict says why, and is part of the command that repeats the test."""
    run = suite(UNDECIDED, "--llm-endpoint", quick.url, "--llm-strict")
    assert run.exit == 1
    lines = run.failure("test_it")
    assert ", undecided (" in lines[0]
    assert lines[1] == "undecided counts as failed (--llm-strict)"
    assert lines[-1] == f"repeat: pytest test_suite.py::test_it --llm-endpoint={quick.url} --llm-strict"


def test_two_load_workers_share_one_load(suite, quick):
    """--llm-load-workers 2: the figures are of both, no request is lost or sent twice."""
    run = suite(LOAD, "--llm-endpoint", quick.url, "--llm-load-workers", "2")
    assert run.exit == 0, run.text
    found = run.tests[0]["runs"][0]
    assert found["generator"]["workers"] == 2
    assert found["counts"]["sent"] == found["counts"]["ok"] == 20
    asked = [row for row in quick.log_rows(21) if row["nonce"]]
    assert len(asked) == len({row["nonce"] for row in asked}) == 20


def test_texts_are_kept_only_when_asked_for(suite, quick):
    """Answers with --llm-keep-text, in the report alone; prompts never."""
    body = LOAD.replace("Say hi.", "xyzzy-prompt")
    without = suite(body, "--llm-endpoint", quick.url)
    kept = suite(body, "--llm-endpoint", quick.url, "--llm-keep-text")
    assert "requests" not in without.tests[0]["runs"][0]
    rows = kept.tests[0]["runs"][0]["requests"]
    assert len(rows) == 20
    assert {row["text"].split()[0] for row in rows} == {"red"}
    for run in (without, kept):
        assert "xyzzy-prompt" not in run.report.read_text()


def test_several_reports_are_written_and_named(suite, quick):
    """--llm-report is repeatable; folders are made; relative paths start where pytest did."""
    run = suite(LOAD, "--llm-endpoint", quick.url, "--llm-report", "deep/er/x.json")
    assert (suite.pytester.path / "deep/er/x.json").read_text() == run.report.read_text()
    assert "report: deep/er/x.json" in run.result.outlines


def test_a_server_pid_is_watched(suite, quick):
    """--llm-server-pid names the process; its memory is in the report."""
    run = suite(LOAD, "--llm-endpoint", quick.url, "--llm-server-pid", quick.pid)
    assert run.exit == 0, run.text
    assert run.tests[0]["server"]["pid"] == quick.pid
    assert run.tests[0]["runs"][0]["resources"]["rss_mb_peak"] > 5


def test_a_local_server_is_found_by_its_port(suite, quick):
    """No option is needed to watch a server on this machine."""
    run = suite(LOAD, "--llm-endpoint", quick.url)
    assert run.tests[0]["server"]["pid"] == quick.pid


def test_a_model_is_asked_for_by_name(suite, quick):
    """--llm-model wins over what the server lists."""
    run = suite(LOAD, "--llm-endpoint", quick.url, "--llm-model", "another")
    assert run.tests[0]["server"]["model"] == "another"


@pytest.mark.parametrize("key", ["llm_scale", "llm_load_workers", "llm_strict"])
def test_a_wrong_ini_value_is_a_usage_error(key, suite):
    """As on the command line: exit 4; the key and the value are named."""
    suite.pytester.makeini(f"[pytest]\n{key} = many")
    run = suite(LOAD, "--llm-endpoint", NOWHERE)
    assert run.exit == pytest.ExitCode.USAGE_ERROR, run.text
    assert f"ini key {key}: " in run.text
    assert "'many'" in run.text
    assert "Traceback" not in run.text


def test_options_that_say_nothing_or_do_not_fit_are_usage_errors(suite):
    """Nothing that was given is passed over: each is told at the start, with what to do."""
    run = suite(
        LOAD,
        *("--llm-endpoint", "http://127.0.0.1:{port}", "--llm-model", "", "--llm-prompts", ""),
        *("--llm-api", "tgi", "--llm-json-request", '{"q": "{prompt}"}', "--llm-json-answer", "a"),
        *("--llm-server-pid", str(2**30)),
    )
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    for fault in (
        "--llm-model is empty: give NAME, or leave it out",
        "--llm-prompts is empty: give FILE[:FIELD], or leave it out",
        "--llm-json-request and --llm-json-answer are for the APIs json and gradio, and --llm-api=tgi names"
        " another: leave one of them out",
        f"--llm-server-pid {2**30}: there is no such process here: give the server's own, or leave it out: a"
        " server on this machine is found by its port",
        "--llm-endpoint=http://127.0.0.1:{port}: {port} is the port of a server that --llm-serve starts: give"
        " --llm-serve='CMD --port {port}' beside it, or the port at which the server listens",
    ):
        assert fault in run.text, fault


def test_an_api_of_the_command_line_lets_the_ini_wait(suite, quick):
    """A template of the ini file is for other days; the other way round it is a fault."""
    suite.pytester.makeini('[pytest]\nllm_json_request = {"q": "{prompt}"}')
    assert suite(LOAD, "--llm-endpoint", quick.url, "--llm-api", "openai-chat").exit == 0
    suite.pytester.makeini("[pytest]\nllm_api = openai-chat")
    run = suite(LOAD, "--llm-endpoint", quick.url, "--llm-json-answer", "a")
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert "--llm-json-answer is for the APIs json and gradio, and --llm-api=openai-chat names" in run.text


def test_a_place_of_the_answer_is_not_passed_over(suite, quick):
    """Where the server turns out to speak another API the test fails, and says which."""
    run = suite(SHOW.format(url=quick.url), "--llm-endpoint", quick.url, "--llm-json-answer", "a.0")
    assert run.exit == 1
    assert f"{quick.url} is spoken to as openai-chat, because GET /v1/models lists model mock; " in run.text
    assert (
        "; --llm-json-answer is for the APIs json and gradio: leave it out, or give --llm-api=json"
        in run.text
    )

"""--llm-save: what is kept, what is not and why, and where it cannot be kept."""

from __future__ import annotations

import errno
import json

import pytest

from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.plugin import kept as kept_plugin
from pytest_llmserve.reports import kept as kept_module
from pytest_llmserve.reports.kept import KeptRuns, file_stem

BODY = """
@pytest.mark.load(users=2, requests=12)
def test_it(llm_load):
    llm_load("Say hi.")
    llm_load("Say ho.", users=1)

def test_ask(llm_endpoint):
    assert llm_endpoint.is_alive()
"""
ONE = """
@pytest.mark.load(users=2, requests=12)
def test_it(llm_load):
    result = llm_load("Say hi.")
"""


BUSY = "not kept as main: the load generator was the bottleneck"
NODEID = "test_suite.py::test_it"
PLANTED = "it was late"


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch):
    """Whatever runs beside these tests, only a bottleneck that a test plants is one."""
    real = kept_plugin.bottleneck
    monkeypatch.setattr(kept_plugin, "bottleneck", lambda h: real(h) if h.saturated == PLANTED else None)


@pytest.fixture
def save(suite, quick):
    """``save(body, *options)`` -> a session with --llm-save main."""
    return lambda body, *options, **how: suite(
        body, "--llm-endpoint", quick.url, "--llm-save", "main", *options, **how
    )


@pytest.fixture
def files(suite):
    """``files()`` -> what is kept as main, by file name."""

    def read():
        folder = suite.pytester.path / ".llmserve" / "main"
        return {path.name: json.loads(path.read_text()) for path in sorted(folder.glob("*"))}

    return read


def said(run):
    """The lines about keeping in the summary, without their indent."""
    return [line.strip() for line in run.result.outlines if "kept as main" in line and line.startswith("  ")]


def test_each_run_of_a_test_is_kept(save, files):
    """A file each, under the root folder; header, summary and report tell."""
    run = save(BODY)
    assert run.exit == 0, run.text
    assert 'llmserve: runs are kept as "main" in .llmserve/main' in run.result.outlines
    assert said(run) == ["kept as main: 2 runs"]
    stem = file_stem(NODEID)
    assert list(files()) == [f"{stem}-1.json", f"{stem}-2.json"]
    first, second = files().values()
    assert [(d["run"], d["nodeid"], d["plan"]["users"]) for d in (first, second)] == [
        (1, "test_suite.py::test_it", 2),
        (2, "test_suite.py::test_it", 1),
    ]
    assert first["counts"] == {"sent": 12, "failed": 0, "dropped": 0}
    assert first["server"]["api"] == "openai-chat"
    assert first["server"]["model"]
    assert first["prompts"] != second["prompts"]
    assert run.tests[0]["kept"] == {"name": "main", "runs": 2, "before": 0, "left_out": None, "fault": None}
    assert "kept" not in run.tests[1]


def test_what_was_kept_before_is_replaced_and_told(save, files):
    """All runs of the test: of two that were kept one is left."""
    save(BODY)
    run = save(ONE)
    assert said(run) == ["kept as main: 1 run, in place of 2 runs kept before"]
    assert [d["run"] for d in files().values()] == [1]


NOT_KEPT = {
    "failed": (ONE + "    assert result.error_rate == 1\n", "the test did not pass"),
    "promise": (ONE.replace("def", "@pytest.mark.latency(max_ms=0.001)\ndef"), "the test did not pass"),
    "xfailed": (ONE.replace("def", "@pytest.mark.xfail\ndef") + "    assert 0\n", "the test did not pass"),
    "xpassed": (ONE.replace("def", "@pytest.mark.xfail\ndef"), "the test was expected to fail"),
    "skipped": (ONE + "    pytest.skip('enough')\n", "the test did not pass"),
    "teardown": (
        "@pytest.fixture\ndef after():\n    yield\n    assert 0\n"
        + ONE.replace("llm_load)", "llm_load, after)"),
        "the test did not pass",
    ),
    "bottleneck": (
        "import msgspec\n"
        + ONE
        + "    result.generator = msgspec.structs.replace(result.generator, saturated='it was late')\n",
        "the load generator was the bottleneck (it was late); add --llm-load-workers",
    ),
    "cut short": (
        "import msgspec\n"
        + ONE
        + "    result.generator = msgspec.structs.replace(result.generator, ended='interrupted')\n",
        "the run was cut short: interrupted",
    ),
    "second run": (
        "import msgspec\n"
        + ONE
        + "    result = llm_load('Say ho.')\n"
        + "    result.generator = msgspec.structs.replace(result.generator, ended='interrupted')\n",
        "run 2: the run was cut short: interrupted",
    ),
    "server gone": (
        "import msgspec\n"
        + ONE
        + "    result.generator = msgspec.structs.replace(result.generator, server_gone='from 2 s on')\n",
        "the server was gone: from 2 s on",
    ),
    "nothing sent": (ONE.replace("=12", "=0"), "no request was answered"),
}


@pytest.mark.parametrize("case", NOT_KEPT)
def test_runs_that_are_no_measure_are_not_kept(case, save, files, suite):
    """The reason is told, and what was kept before stays as it is."""
    body, why = NOT_KEPT[case]
    earlier = Measurement(name="main", plan={}, series={})
    KeptRuns(suite.pytester.path / ".llmserve" / "main", "main").save(NODEID, [earlier, earlier])
    before = files()
    run = save(body)
    assert said(run) == [f"not kept as main: {why}; 2 runs kept before stay"]
    assert files() == before


@pytest.mark.parametrize(("every", "said_of_it"), [(2, "6 of 12 requests failed, half or more"), (3, None)])
def test_a_run_that_failed_by_half_is_no_measure(every, said_of_it, save, suite, mock_server, files):
    """Also where no limit of the test says so; below that it is."""
    sick = mock_server("--ttft-ms", 2, "--tokens", 3, "--fail-status", 503, "--fail-every", every)
    body = ONE.replace("users=2", "users=1")
    run = suite(body, "--llm-endpoint", sick.url, "--llm-api=openai-chat", "--llm-save=main")
    assert run.exit == 0, run.text
    assert said(run) == [f"not kept as main: {said_of_it}" if said_of_it else "kept as main: 1 run"]
    assert len(files()) == (0 if said_of_it else 1)


def test_a_run_that_was_not_kept_leaves_nothing(save, files):
    """And says nothing of earlier ones."""
    run = save(NOT_KEPT["failed"][0])
    assert said(run) == ["not kept as main: the test did not pass"]
    assert files() == {}


def test_an_interrupted_test_is_not_kept(save, files):
    """Ctrl-C in the middle."""
    run = save(ONE + "    raise KeyboardInterrupt\n", apart=True)
    assert run.exit == pytest.ExitCode.INTERRUPTED
    assert files() == {}


def test_the_attempt_that_passed_is_kept(save, files):
    """With reruns: the failed attempt is not, and each says so."""
    body = "tries = []\n" + ONE + "    tries.append(1)\n    assert len(tries) == 2\n"
    run = save(body.replace('"Say hi."', '"Say hi.", users=1 + len(tries)'), "--reruns", 2)
    assert run.exit == 0, run.text
    assert [d["plan"]["users"] for d in files().values()] == [2]
    assert [t["kept"]["left_out"] for t in run.tests if "kept" in t][-1] is None


def test_runs_of_all_workers_are_kept(save, files):
    """pytest-xdist: several processes write into one folder."""
    body = ONE.replace("def test_it(", "@pytest.mark.parametrize('n', range(4))\ndef test_it(n, ")
    run = save(body, "-n", 2)
    assert run.exit == 0, run.text
    kept = said(run).count("kept as main: 1 run")
    assert len(files()) == kept
    assert kept + sum(BUSY in line for line in said(run)) == 4
    assert kept


def test_nothing_that_was_said_is_in_the_file(suite, mock_server, monkeypatch):
    """No prompt, no answer, no header, no key."""
    server = mock_server("--ttft-ms", 2, "--itl-ms", 1, "--tokens", 5)
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    body = ONE.replace("Say hi.", "What did Aunt Agatha say?").replace(
        "=12", "=12, params={'system': 'You are Mr Pinch.', 'api_key': 'sk-in-a-field', 'seed': 4711}"
    )
    options = ("--llm-save", "main", "--llm-api-key-env", "MY_KEY", "--llm-header", "X-Team: hush-hush")
    run = suite(body + "    assert 'red' in result.ok[0].text\n", "--llm-endpoint", server.url, *options)
    assert run.exit == 0, run.text
    (path,) = (suite.pytester.path / ".llmserve" / "main").iterdir()
    text = path.read_text()
    assert json.loads(text)["plan"]["params"]["seed"] == 4711
    for word in (
        "Pinch",
        "sk-in-a-field",
        "Agatha",
        "sk-very-secret",
        "hush-hush",
        "X-Team",
        "MY_KEY",
        "red ",
    ):
        assert word not in text


def test_the_folder_can_be_named(suite, quick):
    """llm_measurements, below the root folder or anywhere; pytest may have been started below it."""
    suite.pytester.makeini("[pytest]\nllm_measurements = kept/runs\nllm_save = nightly")
    run = suite(ONE, "--llm-endpoint", quick.url)
    assert run.exit == 0, run.text
    assert len(list((suite.pytester.path / "kept" / "runs" / "nightly").iterdir())) == 1
    assert 'llmserve: runs are kept as "nightly" in kept/runs/nightly' in run.result.outlines


NAME = (
    "give a name of letters, digits, '.', '_' and '-' that begins with a letter or digit and has at most"
    " 100 of them, such as main"
)


@pytest.mark.parametrize("name", ["../main", "/tmp/main", "a b", ".hidden", "feature/x", ".."])
def test_a_name_that_could_leave_the_folder_is_a_usage_error(name, suite):
    """Before anything runs; what is allowed is told."""
    run = suite(ONE, "--llm-endpoint", "http://127.0.0.1:1", f"--llm-save={name}")
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: --llm-save {name!r}: {NAME}" in run.result.errlines


def test_a_file_in_the_folders_place_is_a_usage_error(suite):
    """Before anything runs."""
    blocked = suite.pytester.path / ".llmserve"
    blocked.write_text("")
    run = suite(ONE, "--llm-endpoint", "http://127.0.0.1:1", "--llm-save=main")
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    fault = f"ERROR: --llm-save: {blocked} is a file, where a folder is needed: move it, or name another"
    assert fault in run.result.errlines


@pytest.mark.parametrize(
    "compare", ["main", "./.llmserve/main", ".llmserve/v1/../main", "./link", "./all/main"]
)
def test_comparing_with_what_is_being_replaced_is_a_usage_error(compare, suite):
    """However the folder is written, through links too."""
    folder = suite.pytester.path
    (folder / ".llmserve").mkdir()
    (folder / "all").symlink_to(folder / ".llmserve")
    (folder / "link").symlink_to(folder / ".llmserve" / "main")
    run = suite(ONE, "--llm-endpoint", "http://127.0.0.1:1", "--llm-save=main", f"--llm-compare={compare}")
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert (
        "ERROR: --llm-save and --llm-compare both name 'main': judged against the last run each time,"
        " a server could become slower for ever; save under another name"
    ) in run.result.errlines


@pytest.fixture
def full_disk(monkeypatch):
    """Nothing more can be written into the folder of measurements."""

    def write(measurement, path, nodeid, number):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(kept_module, "write", write)


def test_a_full_disk_is_told_and_no_green_session(save, full_disk, suite):
    """The tests passed, and what was asked for was not done: exit 4, as for a report."""
    run = save(ONE)
    run.assert_outcomes(passed=1)
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    stem = file_stem(NODEID)
    why = f"cannot be written: No space left on device ({suite.pytester.path}/.llmserve/main/{stem}-1.json)"
    assert said(run) == [f"not kept as main: {why}"]
    fault = f"ERROR: --llm-save main: {why}; make room, or name another folder with llm_measurements"
    assert fault in run.result.outlines


def test_a_full_disk_hides_no_failure(save, full_disk):
    """A red session stays what it was."""
    assert save(ONE + "\ndef test_red():\n    assert 0\n").exit == pytest.ExitCode.TESTS_FAILED


def test_a_full_disk_of_a_worker_reaches_the_controller(suite, quick):
    """pytest-xdist: the fault is the worker's, the exit status the controller's."""
    suite.pytester.makeconftest(
        """
import errno
from pytest_llmserve.plugin import kept as kept_plugin
from pytest_llmserve.reports import kept

kept_plugin.bottleneck = lambda health: None  # a busy machine keeps nothing, and so writes nothing

def write(measurement, path, nodeid, number):
    raise OSError(errno.ENOSPC, "No space left on device", str(path))

kept.write = write
"""
    )
    run = suite(ONE, "--llm-endpoint", quick.url, "--llm-save=main", "-n", 1, apart=True)
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert run.text.count("ERROR: --llm-save main: cannot be written: No space left on device") == 1


def test_a_field_that_json_has_not_is_told(suite, quick, files):
    """NaN can be sent, and cannot be kept."""
    body = ONE.replace("requests=12", "requests=12, params={'temperature': float('nan')}")
    suite.pytester.makepyfile(test_suite="import pytest\n" + body)
    result = suite.in_process("--llm-endpoint", quick.url, "--llm-save=main", "-p", "no:asyncio")
    why = "cannot be written: Out of range float values are not JSON compliant"
    assert any(line.startswith(f"  not kept as main: {why}") for line in result.outlines)
    assert files() == {}

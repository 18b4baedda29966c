"""However a run ends, its records are whole or it is void, and no process stays."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from pytest_llmserve.domain.errors import GeneratorError, SetupError
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.load import engine
from pytest_llmserve.load.engine import LoadRun

pytestmark = pytest.mark.usefixtures("real_workers")
MS = 1_000_000
ROOT = Path(__file__).parents[2]
both = pytest.mark.parametrize("transport", ["sockets", "httpx"], indirect=True)


def workers_of(pid):
    """Living load workers of a process."""
    return [p for p in psutil.Process(pid).children() if any("load.worker" in word for word in p.cmdline())]


def until(holds, limit_s=10.0):
    """Wait for something to hold."""
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


@both
def test_stop_keeps_what_was_measured(mock_server, new_run):
    server = mock_server("--ttft-ms", 20, "--itl-ms", 200, "--tokens", 2)
    run = new_run(server.url, users=4, duration_ns=60_000 * MS, workers=2)
    run.start()
    time.sleep(0.8)
    began = time.monotonic()
    run.stop()
    assert time.monotonic() - began < 2
    result = run.result()
    assert len(result.ok) >= 4
    assert (result.error_rate, result.generator.ended) == (0.0, "interrupted")
    assert result.generator.unfinished == 4
    run.close()
    assert workers_of(os.getpid()) == []


@both
def test_stop_during_a_hang(mock_server, new_run):
    """A server that never answers does not hold the stop back."""
    run = new_run(mock_server("--hang").url, users=3, requests=3)
    run.start()
    time.sleep(0.3)
    began = time.monotonic()
    run.stop()
    assert time.monotonic() - began < 2
    assert (run.result().requests, run.result().generator.unfinished) == ([], 3)


def test_stop_after_the_end_is_harmless(mock_server, new_run):
    run = new_run(mock_server("--ttft-ms", 1).url, users=1, requests=2)
    run.start()
    run.wait()
    run.stop()
    assert (len(run.result().ok), run.result().generator.ended) == (2, "complete")


@both
def test_leaving_the_with_statement_ends_the_workers(mock_server, new_run):
    with new_run(mock_server("--hang").url, users=2, requests=2, workers=2) as run:
        run.start()
        assert len(workers_of(os.getpid())) == 2
    assert workers_of(os.getpid()) == []


@both
def test_a_killed_worker_makes_the_run_void(mock_server, new_run):
    run = new_run(mock_server("--ttft-ms", 20).url, users=2, duration_ns=60_000 * MS, workers=2)
    run.start()
    time.sleep(0.3)
    workers_of(os.getpid())[0].kill()
    with pytest.raises(GeneratorError, match=r"^load worker [01] ended with -9; the run is void$"):
        run.wait()


def test_a_worker_that_falls_silent_makes_the_run_void(mock_server, new_run, monkeypatch):
    run = new_run(mock_server("--ttft-ms", 20).url, users=1, requests=10**6)
    run.start()
    monkeypatch.setattr(engine, "_SILENCE_LIMIT_S", 1.0)
    workers_of(os.getpid())[0].suspend()
    with pytest.raises(GeneratorError, match=r"^load worker 0 has said nothing for 1 s; the run is void$"):
        run.wait()


def test_a_run_that_does_not_end_is_void(mock_server, new_run, monkeypatch):
    """A bounded plan bounds the wait as well."""
    monkeypatch.setattr(engine, "_wait_limit_s", lambda plan: 0.5)
    run = new_run(mock_server("--hang").url, users=1, requests=1)
    run.start()
    with pytest.raises(GeneratorError, match=r"^a load worker did not answer within 0.5 s; the run is void$"):
        run.wait()


def test_a_killed_parent_leaves_no_worker(mock_server, tmp_path):
    """The end of its stdin is the worker's sign: nobody has to tell it."""
    server = mock_server("--ttft-ms", 20)
    code = (
        "import sys, pathlib; from pytest_llmserve.load.engine import LoadRun;"
        " from pytest_llmserve.domain.plan import LoadPlan; from pytest_llmserve.domain.target import Target;"
        " target = Target(scheme='http', host='127.0.0.1', port=int(sys.argv[1]), api='openai-chat');"
        " run = LoadRun(target, LoadPlan(users=2, workers=2), ['Hi'], pathlib.Path(sys.argv[2]));"
        " run.start(); print('started', flush=True); run.wait()"
    )
    command = [sys.executable, "-c", code, str(server.port), str(tmp_path / "orphan")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert parent.stdout.readline() == b"started\n"
        workers = workers_of(parent.pid)
        assert len(workers) == 2
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
        parent.stdout.close()
    until(lambda: not any(worker.is_running() and worker.status() != "zombie" for worker in workers))


@both
def test_a_worker_imports_nothing_from_the_working_directory(mock_server, load, tmp_path, monkeypatch):
    """A user's http.py or json.py beside the tests is none of the worker's business."""
    for name in ("http", "json", "heapq", "msgspec"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('shadowed')")
    monkeypatch.chdir(tmp_path)
    assert len(load(mock_server("--ttft-ms", 1).url, users=1, requests=1).ok) == 1


@both
def test_out_of_sockets_is_our_fault_and_says_the_way_out(mock_server, new_run, monkeypatch):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    run = new_run(mock_server("--hang").url, users=100, requests=100)
    monkeypatch.setattr(
        engine,
        "_WORKER",
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)); " + engine._WORKER,
    )
    run.start()
    with pytest.raises(GeneratorError) as caught:
        run.wait()
    assert str(caught.value).startswith(
        "load worker 0 ended with 1; the run is void: this machine gives no socket beside "
    )
    assert str(caught.value).endswith(
        " open ones (Too many open files):"
        " raise the limit of open files (ulimit -n), or test with fewer users"
    )
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


def test_the_users_faults_show_before_a_worker_starts(new_run):
    with pytest.raises(SetupError, match=r"^no prompts: give at least one$"):
        new_run("http://127.0.0.1:9", [])
    with pytest.raises(SetupError, match=r"^the request cannot be written as JSON: "):
        new_run("http://127.0.0.1:9", params={"stop": {1, 2}})


def test_a_prompt_that_is_no_json_value_is_named(new_run):
    """Wherever in the list it stands."""
    chat = [{"role": "user", "content": b"bytes"}]
    with pytest.raises(SetupError) as caught:
        new_run("http://127.0.0.1:9", ["fine", [{"role": "user", "content": "fine"}], chat])
    assert str(caught.value) == (
        "prompts[2] cannot be written as JSON: Object of type bytes is not JSON serializable;"
        " give texts, numbers, lists and dicts"
    )


def test_a_trace_whose_rows_have_fields_that_no_request_can_carry_shows_at_once(tmp_path):
    """Not in a worker, when the row is due."""
    path = tmp_path / "calls.jsonl"
    path.write_text('{"at_s": 0, "input_chars": 9}\n{"at_s": 1, "input_chars": 9, "output_tokens": 5}')
    target = msgspec.structs.replace(
        target_from_url("http://127.0.0.1:9"), api="json", json_request='["{prompt}"]'
    )
    LoadRun(target, LoadPlan(users=1, requests=1), ["a"], tmp_path / "plain").close()
    with pytest.raises(SetupError) as caught:
        LoadRun(target, LoadPlan(trace=str(path)), ["a"], tmp_path / "run")
    assert str(caught.value) == (
        "--llm-json-request is not an object: no place for the parameters max_tokens"
    )


@pytest.mark.parametrize("place", ["__init__", "write"])
def test_a_fault_of_the_users_that_only_a_worker_sees_is_told_as_such(
    place, mock_server, load, tmp_path, monkeypatch
):
    """In its own words, before the load and in the middle of it: no traceback, no word of a void run."""
    faulty = (
        "from pytest_llmserve.domain.errors import SetupError;"
        " from pytest_llmserve.load.requests import RequestWriter;"
        f" RequestWriter.{place} = lambda *_: (_ for _ in ()).throw(SetupError('say it otherwise')); main()"
    )
    monkeypatch.setattr(engine, "_WORKER", engine._WORKER.removesuffix("main()") + faulty)
    with pytest.raises(SetupError) as caught:
        load(mock_server().url, users=2, requests=2, workers=2)
    assert str(caught.value) == "say it otherwise"
    said = [path.read_text() for path in tmp_path.rglob("*.stderr")]
    assert len(said) == 2
    assert not any("Traceback" in text for text in said)


@pytest.mark.parametrize(
    ("plan", "limit_s"),
    [
        ({"requests": 5}, None),
        ({"duration_ns": 10_000 * MS, "timeout_ns": 5_000 * MS}, 10 + 5 + 10 + 60),
        ({"duration_ns": 10_000 * MS, "timeout_ns": 5_000 * MS, "retries": 2}, 85 + 2 * (5 + 10 + 1)),
    ],
)
def test_how_long_a_run_is_waited_for(plan, limit_s):
    assert engine._wait_limit_s(LoadPlan(users=1, **plan)) == limit_s

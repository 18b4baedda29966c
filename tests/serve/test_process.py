"""ServerProcess, ForeignServer and the server that several test workers share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from pytest_llmserve.domain.errors import LlmServeError, MissingExtra, SetupError
from pytest_llmserve.serve import guard, process, stacks
from pytest_llmserve.serve.process import ForeignServer, exit_text, start
from pytest_llmserve.serve.shared import shared_start

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(120)"]


@pytest.fixture
def server(tmp_path):
    """A server that sleeps."""
    with start(SLEEP, tmp_path / "home") as made:
        yield made


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "exited with code 0"),
        (1, "exited with code 1"),
        (-9, "killed by SIGKILL"),
        (-15, "killed by SIGTERM"),
        (-250, "killed by signal 250"),
    ],
)
def test_exit_codes_in_words(code, text):
    """An exit code reads as people say it."""
    assert exit_text(code) == text


def test_running_server_tells_pid_log_and_state(server, eventually):
    """While it runs there is a pid, a log, no exit status and no death."""
    assert eventually(lambda: server.log_tail() == "up")
    assert guard.start_mark(server.pid) is not None
    assert server.alive
    assert server.exit_status is None
    assert server.death is None
    assert repr(server) == f"ServerProcess(pid={server.pid}, running, command={SLEEP})"


def test_tail_is_the_end_of_the_log(tmp_path, eventually):
    """log_tail(n) is the last n lines, whatever bytes they hold."""
    text = r"import sys; sys.stdout.buffer.write(b'one\ntwo\nthree \xff\n')"
    with start([sys.executable, "-c", text], tmp_path) as server:
        assert eventually(lambda: not server.alive)
        assert server.log_tail(2) == "two\nthree \ufffd"


def test_silent_death_is_told(tmp_path, eventually):
    """A server that ended without a word: its status alone."""
    with start([sys.executable, "-c", "raise SystemExit(3)"], tmp_path) as server:
        assert eventually(lambda: not server.alive)
        assert server.death == "exited with code 3; its log is empty"


def test_environment_is_added_to(tmp_path, eventually):
    """`env` adds to the environment, it does not replace it."""
    text = "import os; print(os.environ['COLOUR'], 'PATH' in os.environ)"
    with start([sys.executable, "-c", text], tmp_path, env={"COLOUR": "green"}) as server:
        assert eventually(lambda: server.log_tail() == "green True")


def test_command_that_is_not_there(tmp_path):
    """A command that cannot be run is the user's fault, told with the system's words."""
    with pytest.raises(SetupError) as caught:
        start(["/no/such/server"], tmp_path)
    assert (
        str(caught.value)
        == "the server's command cannot be run: [Errno 2] No such file or directory: '/no/such/server'"
    )


def test_restart_is_a_new_process_with_the_same_log(server, eventually):
    """restart() ends the old process and starts the same command; the log goes on."""
    old = server.pid
    assert eventually(lambda: server.log_tail() == "up")
    server.restart()
    assert server.pid != old
    assert guard.start_mark(old) is None
    assert server.alive
    assert eventually(lambda: server.log_tail() == "up\nup")


def test_stop_and_close_twice_do_no_harm(server):
    """Stopping what is stopped is no error."""
    server.stop()
    server.stop()
    server.close()
    server.close()
    assert not server.alive


def test_stop_names_what_stays(server, monkeypatch):
    """A tree that does not end in time is an error that names its pids."""
    monkeypatch.setattr(process, "STOP_LIMIT_S", 0.3)
    pid = server.pid
    os.kill(server._state().guard_pid, signal.SIGSTOP)
    try:
        with pytest.raises(LlmServeError) as caught:
            server.stop()
    finally:
        os.kill(server._state().guard_pid, signal.SIGCONT)
    assert str(caught.value) == (
        f"the server did not end within 0.3 s of being told to: still there: {pid}; end them with kill -9"
    )


def test_same_key_is_the_same_server(tmp_path):
    """The second start with a key joins; another key is another server."""
    first, port = shared_start("a", tmp_path, lambda port: [*SLEEP, str(port)])
    second, again = shared_start("a", tmp_path, lambda port: [*SLEEP, str(port)])
    other, _ = shared_start("b", tmp_path, lambda port: [*SLEEP, str(port)])
    assert (first.pid, port) == (second.pid, again)
    assert first.command[-1] == str(port)
    assert other.pid != first.pid
    for server in (first, second, other):
        server.close()
    assert not first.alive


def test_shared_server_lives_until_its_last_user_is_gone(tmp_path):
    """One user's close leaves the server to the others; the last one's waits until it is gone."""
    first, _ = shared_start("a", tmp_path, lambda port: SLEEP)
    second, _ = shared_start("a", tmp_path, lambda port: SLEEP)
    pid = first.pid
    first.close()
    time.sleep(0.2)  # a guard that misread the lease would have stopped it by then
    assert second.alive
    second.close()
    assert guard.start_mark(pid) is None


def test_shared_server_survives_the_process_that_started_it(tmp_path, programs, gone):
    """The worker that started the server may be killed: the others keep it."""
    starter = programs.run(
        "starter.py",
        """
        import os, pathlib, sys, time
        from pytest_llmserve.serve.shared import shared_start
        command = [sys.executable, "-c", "import time; time.sleep(120)"]
        server, _ = shared_start("a", pathlib.Path(os.environ["FOLDER"]), lambda port: command)
        print(server.pid, flush=True)
        time.sleep(120)
        """,
    )
    pid = int(starter.stdout.readline())
    server, _ = shared_start("a", tmp_path, lambda port: SLEEP)
    assert server.pid == pid
    os.kill(starter.pid, signal.SIGKILL)
    starter.wait(10)
    time.sleep(0.2)
    assert server.alive
    server.close()
    assert gone(pid)


def test_dead_shared_server_is_started_anew(tmp_path, eventually):
    """Who joins after a crash gets a server that runs."""
    first, _ = shared_start("a", tmp_path, lambda port: SLEEP)
    os.kill(first.pid, signal.SIGKILL)
    assert eventually(lambda: not first.alive)
    assert first.exit_status == "killed by SIGKILL"
    second, _ = shared_start("a", tmp_path, lambda port: SLEEP)
    assert second.alive
    first.close()
    assert second.alive
    second.close()


def test_many_workers_start_one_server(programs, tmp_path):
    """Workers that start at the same instant share one server."""
    text = """
        import os, pathlib, sys, time
        from pytest_llmserve.serve.shared import shared_start
        command = [sys.executable, "-c", "import time; time.sleep(120)"]
        server, _ = shared_start("a", pathlib.Path(os.environ["FOLDER"]), lambda port: command)
        print(server.pid, flush=True)
        time.sleep(120)
    """
    workers = [programs.run(f"worker{n}.py", text) for n in range(3)]
    assert len({worker.stdout.readline() for worker in workers}) == 1


@pytest.fixture
def stranger():
    """A process that this package did not start."""
    made = subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL)
    yield made
    made.kill()
    made.wait(10)


def test_foreign_server_is_watched(stranger, tmp_path):
    """A server that was there: alive or ended; a log only when it is named."""
    log = tmp_path / "its.log"
    log.write_text("a\nb\nc\n")
    server = ForeignServer(stranger.pid)
    assert server.alive
    assert server.death is None
    assert server.log is None
    assert server.log_tail() == ""
    assert ForeignServer(stranger.pid, log).log_tail(2) == "b\nc"
    assert repr(server) == f"ForeignServer(pid={stranger.pid}, running)"
    stranger.kill()
    stranger.wait(10)
    assert not server.alive
    assert server.exit_status == f"pid {server.pid} is gone"
    assert not server.told_to_stop


@pytest.mark.parametrize(("verb", "done"), [("stop", "stopped"), ("restart", "restarted")])
def test_foreign_server_is_not_ours_to_end(stranger, verb, done):
    """Ending a server that somebody else started is refused, with the way out."""
    server = ForeignServer(stranger.pid)
    with pytest.raises(SetupError) as caught:
        getattr(server, verb)()
    assert str(caught.value) == (
        f"the server (pid {stranger.pid}) was not started by this test run, so it is not {done}:"
        " let --llm-serve 'CMD --port {port}' start it"
    )
    server.close()
    assert server.alive


def fake_py_spy(folder, text: str) -> None:
    path = folder / "py-spy"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_stacks_are_those_of_the_whole_tree(server, tmp_path, monkeypatch):
    """Each process of the tree is dumped."""
    fake_py_spy(tmp_path, 'echo "dump of $3"')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert server.stacks() == f"dump of {server.pid}"


def test_stacks_that_cannot_be_read_say_why(server, tmp_path, monkeypatch):
    """No permission is told, not raised: the rest of the report still counts."""
    fake_py_spy(tmp_path, "echo 'Permission Denied: try sudo' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert server.stacks() == (
        f"process {server.pid}: stacks not read: this user may not:"
        " run pytest as root, or in a container with --cap-add=SYS_PTRACE"
    )


def test_missing_py_spy_names_the_command(server, tmp_path, monkeypatch):
    """Without py-spy the error holds the command that installs it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(stacks.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(MissingExtra) as caught:
        server.stacks()
    assert str(caught.value) == (
        "py-spy is not installed. Install it with: pip install 'pytest-llmserve[profile]'"
    )

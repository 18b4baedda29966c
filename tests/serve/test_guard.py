"""Nothing of a server stays behind, however its users end."""

from __future__ import annotations

import os
import signal

import pytest

from pytest_llmserve.serve import guard
from pytest_llmserve.serve.process import start

SLEEPER = "import time; time.sleep(120)"

# Writes its pid, its child's and its grandchild's.
FAMILY = """
    import os, subprocess, sys, time
    pids = open(os.environ["FOLDER"] + "/pids", "a")
    child = subprocess.Popen([sys.executable, "-c", "import os, subprocess, sys, time;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(120)']);"
        "print(os.getpid(), child.pid, flush=True); time.sleep(120)"], stdout=pids)
    print(os.getpid(), file=pids, flush=True)
    time.sleep(120)
"""

OWNER = """
    import os, pathlib, sys, time
    from pytest_llmserve.serve.process import start
    folder = pathlib.Path(os.environ["FOLDER"])
    server = start([sys.executable, str(folder / "server.py")], folder / "home")
    print(server.pid, flush=True)
"""


def owner_of(programs, server: str, rest: str):
    """A program that starts a server and then does `rest`."""
    programs.write("server.py", server)
    owner = programs.run("owner.py", OWNER + rest)
    line = owner.stdout.readline()
    assert line, "the owner did not start its server"
    return owner, int(line)


@pytest.fixture
def folder_in_env(monkeypatch, tmp_path):
    monkeypatch.setenv("FOLDER", str(tmp_path))


@pytest.mark.usefixtures("folder_in_env")
def test_stop_ends_children_and_grandchildren(programs, gone):
    """stop() ends the whole tree, each process of it."""
    server = start(programs.write("server.py", FAMILY), programs.folder / "home")
    pids = programs.pids_in("pids", 3)
    server.stop()
    assert server.exit_status == "killed by SIGTERM"
    assert not server.alive
    assert all(guard.start_mark(pid) is None for pid in pids)
    server.close()


def test_killed_owner_leaves_nothing(programs, gone):
    """After kill -9 of its owner the server's whole tree ends by itself."""
    owner, _ = owner_of(programs, FAMILY, "    time.sleep(120)")
    pids = programs.pids_in("pids", 3)
    os.kill(owner.pid, signal.SIGKILL)
    assert all(gone(pid) for pid in pids)


def test_owner_that_forgets_to_stop_leaves_nothing(programs, gone):
    """A normal end of the owner is an end of the server."""
    owner, pid = owner_of(programs, SLEEPER, "")
    assert owner.wait(10) == 0
    assert gone(pid)


def test_interrupt_reaches_the_owner_alone(programs, gone):
    """Ctrl-C on the terminal does not hit the server; it ends because its owner does."""
    server = """
        import os, signal, time
        signal.signal(signal.SIGINT, lambda *_: print("interrupted", flush=True))
        signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
        print("up", flush=True)
        while True: time.sleep(1)
    """
    owner, pid = owner_of(programs, server, "    time.sleep(120)")
    log = programs.folder / "home" / "server.log"
    assert_up(log)
    os.killpg(owner.pid, signal.SIGINT)
    assert owner.wait(10) != 0
    assert gone(pid)
    assert log.read_text() == "up\n"


def assert_up(log) -> None:
    from time import monotonic, sleep

    deadline = monotonic() + 10
    while "up" not in log.read_text():
        assert monotonic() < deadline, "the server did not come up"
        sleep(0.01)


def test_forked_child_of_the_owner_does_not_keep_the_server(programs, gone):
    """A worker that the owner forked and that outlives it is no user of the server."""
    rest = """
    child = os.fork()
    if child == 0:
        time.sleep(120)
    print(child, flush=True)
    time.sleep(120)
    """
    owner, pid = owner_of(programs, SLEEPER, rest)
    child = int(owner.stdout.readline())
    os.kill(owner.pid, signal.SIGKILL)
    assert gone(pid)
    assert guard.start_mark(child) is not None
    os.kill(child, signal.SIGKILL)


def test_server_that_ignores_sigterm_is_killed_after_the_grace(programs):
    """SIGTERM is not the last word."""
    text = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(120)"
    server = start(programs.write("server.py", text), programs.folder / "home")
    assert_up(server.log)
    pid = server.pid
    server.stop()
    assert server.exit_status == "killed by SIGKILL"
    assert guard.start_mark(pid) is None
    server.close()


def test_each_process_gets_sigterm_once(programs):
    """A second SIGTERM makes uvicorn and others drop their clean-up."""
    text = """
        import signal, sys, time
        asked = []
        signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
        print("up", flush=True)
        while not asked: time.sleep(0.01)
        time.sleep(0.5)
        sys.exit(len(asked))
    """
    server = start(programs.write("server.py", text), programs.folder / "home")
    assert_up(server.log)
    server.stop()
    assert server.exit_status == "exited with code 1"
    server.close()


@pytest.mark.usefixtures("folder_in_env")
@pytest.mark.skipif(not guard._ON_LINUX, reason="only Linux tells who adopts an orphan")
def test_daemon_of_the_server_is_found(programs, eventually):
    """A server that forks twice into a session of its own is still ours: watched and stopped."""
    text = """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                open(os.environ["FOLDER"] + "/pids", "w").write(f"{os.getpid()}")
                time.sleep(120)
            os._exit(0)
        os.wait()
    """
    server = start(programs.write("server.py", text), programs.folder / "home")
    [daemon] = programs.pids_in("pids", 1)
    assert eventually(lambda: server.pid == daemon)
    assert server.alive
    server.stop()
    assert guard.start_mark(daemon) is None
    server.close()


@pytest.mark.usefixtures("folder_in_env")
def test_crash_takes_the_rest_of_the_tree_along(programs, gone, eventually):
    """What a crashed server leaves (engine workers) would hold its port and memory."""
    text = """
        import os, subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
        open(os.environ["FOLDER"] + "/pids", "w").write(f"{child.pid}")
        sys.exit("no memory left")
    """
    server = start(programs.write("server.py", text), programs.folder / "home")
    [child] = programs.pids_in("pids", 1)
    assert eventually(lambda: not server.alive)
    assert gone(child)
    assert server.death == "exited with code 1; the last lines of its log:\nno memory left"
    server.close()


@pytest.mark.usefixtures("folder_in_env")
@pytest.mark.skipif(not guard._ON_LINUX, reason="only Linux ends a child with its parent")
def test_killed_guard_takes_the_server_along(programs, gone):
    """When the guard itself is killed, the server dies at once and stop() collects its children."""
    server = start(programs.write("server.py", FAMILY), programs.folder / "home")
    pids = programs.pids_in("pids", 3)
    os.kill(server._state().guard_pid, signal.SIGKILL)
    assert gone(server.pid)
    assert not server.alive
    assert server.exit_status == "killed together with its guard process"
    server.stop()
    assert all(gone(pid) for pid in pids)
    server.close()


def test_descendants_are_found_over_all_generations():
    """Only the branch below the root counts; a table that loops does no harm."""
    table = [guard.Process(*row) for row in [(2, 1, 2), (3, 2, 2), (4, 3, 4), (5, 1, 5), (6, 6, 6)]]
    assert guard.descendants(2, table) == {3, 4}
    assert guard.descendants(5, table) == set()
    assert guard.descendants(6, table) == {6}


def test_own_process_is_in_the_table_and_has_a_mark():
    """The /proc reader reads this very process."""
    if not guard._ON_LINUX:
        pytest.skip("no /proc")
    own = next(p for p in guard.process_table() if p.pid == os.getpid())
    assert (own.parent, own.session) == (os.getppid(), os.getsid(0))
    assert guard.start_mark(os.getpid()) is not None
    assert guard.start_mark(2**22 + 1) is None


def test_wrong_arguments_are_told(capfd):
    """Run by hand without a command, the guard says how it wants to be run."""
    assert guard.main(["lease", "log", "state"]) == 2
    assert capfd.readouterr().err == "usage: guard LEASE LOG STATE -- COMMAND...\n"


LAUNCHED = """
    import os, select, sys, time
    from pytest_llmserve.serve.guard import Guard

    class Slow(Guard):
        def save(self, **changes):
            super().save(**changes)
            time.sleep(0.5)

    guard = Slow(os.environ["FOLDER"] + "/state", [])
    guard.listen()
    guard.launch([sys.executable, "-c", "raise SystemExit(7)"])
    select.select([guard.events], [], [], 20)
    guard.reap()
    print(guard.exit, flush=True)
"""


def test_a_server_that_ends_while_it_is_written_down_has_an_exit_code(programs):
    """Nobody but the guard takes it: what is not noticed here is not noticed at all."""
    program = programs.run("launched.py", LAUNCHED)
    assert program.stdout.readline().strip() == "7"

"""Stacks in few lines: what runs, what waits, and how many have nothing to do."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.stacks import Frame, Profile, StackDump, ThreadStack, dump_lines

S = 1_000_000_000
BOOT = (Frame("Thread.run", "threading.py", 982), Frame("Thread._bootstrap_inner", "threading.py", 1045))
LOCK = (Frame("run_model", "app.py", 5), Frame("answer", "app.py", 9), *BOOT)
WAITED = (Frame("Condition.wait", "threading.py", 331), Frame("Event.wait", "threading.py", 629))
RECEIVED = (
    Frame("Connection._recv", "multiprocessing/connection.py", 395),
    Frame("_ConnectionBase.recv", "multiprocessing/connection.py", 250),
)
PARKED = {
    "pool": (Frame("_worker", "concurrent/futures/thread.py", 81), *BOOT),
    "listener": (Frame("socket.accept", "socket.py", 294), *BOOT),
    "loop": (
        Frame("EpollSelector.select", "selectors.py", 468),
        Frame("BaseEventLoop._run_once", "asyncio/base_events.py", 1884),
    ),
    "kept": (
        Frame("SocketIO.readinto", "socket.py", 706),
        Frame("BaseHTTPRequestHandler.handle_one_request", "http/server.py", 404),
    ),
    "no frames": (),
    "supervisor": (
        *(*WAITED, Frame("Multiprocess.run", "uvicorn/supervisors/multiprocess.py", 203)),
        Frame("main", "uvicorn/main.py", 448),
    ),
    "supervisor that asks": (
        Frame("Connection._poll", "multiprocessing/connection.py", 440),
        Frame("Process.ping", "uvicorn/supervisors/multiprocess.py", 50),
        Frame("Multiprocess.keep_subprocess_alive", "uvicorn/supervisors/multiprocess.py", 217),
    ),
    "supervisor that joins": (
        Frame("Popen.poll", "multiprocessing/popen_fork.py", 27),
        Frame("SpawnProcess.join", "multiprocessing/process.py", 149),
        Frame("Multiprocess.join_all", "uvicorn/supervisors/multiprocess.py", 160),
    ),
    "resource tracker": (
        Frame("main", "multiprocessing/resource_tracker.py", 227),
        Frame("<module>", "<string>", 1),
    ),
    "anyio": (
        *(WAITED[0], Frame("Queue.get", "queue.py", 171)),
        *(Frame("WorkerThread.run", "anyio/_backends/_asyncio.py", 1113), *BOOT),
    ),
    "pong": (*RECEIVED, Frame("Process.pong", "uvicorn/supervisors/multiprocess.py", 59), *BOOT),
    "its target waits": (*WAITED, *BOOT),
    "gevent's selector": (Frame("EpollSelector.select", "selectors.py", 468), Frame("run", "hub.py", 9)),
}


def thread(name, frames, **more):
    return ThreadStack(pid=12, name=name, frames=frames, **more)


def dump(*threads, **more):
    return StackDump(at_ns=7 * S, why="a request hung", threads=threads, **more)


@pytest.mark.parametrize("frames", PARKED.values(), ids=PARKED)
def test_a_thread_without_work_is_parked(frames):
    """Unless it runs: then it has work whatever its innermost function."""
    assert thread("", frames).state == "parked"
    assert thread("", frames, active=True).state == "runs"


WORKER = Frame("WorkerThread.run", "anyio/_backends/_asyncio.py", 1124)


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param((*WAITED, Frame("generate", "app.py", 33), WORKER, *BOOT), id="for an event"),
        pytest.param(BOOT, id="for native code"),
        pytest.param((*WAITED, WORKER, *BOOT), id="for an event, without a function between"),
        pytest.param((*RECEIVED, Frame("ask_engine", "app.py", 12), WORKER, *BOOT), id="for an engine"),
        pytest.param(
            (Frame("Queue.get", "queue.py", 171), Frame("ask_engine", "app.py", 12), WORKER, *BOOT),
            id="for an engine's queue",
        ),
        pytest.param(
            (
                Frame("PollSelector.select", "selectors.py", 415),
                Frame("Popen._communicate", "subprocess.py", 2108),
                Frame("convert", "app.py", 3),
            ),
            id="for a program",
        ),
    ],
)
def test_a_handler_that_waits_for_something_has_work(frames):
    assert thread("AnyIO worker thread", frames).state == "waits"


def test_a_main_thread_that_only_waits_is_parked():
    """One whose loop serves holds all requests up while it waits; and another thread may be a handler."""
    main = (*WAITED, Frame("main", "serve.py", 40), Frame("<module>", "serve.py", 50))
    loop = (
        Frame("BaseEventLoop._run_once", "asyncio/base_events.py", 1919),
        Frame("run", "uvicorn/main.py", 6),
    )
    assert thread("MainThread", main).state == "parked"
    assert thread("MainThread", (*main, *loop)).state == "waits"
    assert thread("worker", main).state == "waits"
    assert thread("MainThread", LOCK).state == "waits"


def test_what_waits_in_the_servers_own_code_comes_before_scaffolding():
    """However many threads wait there."""
    joins = (Frame("join", "gunicorn/arbiter.py", 5), Frame("run", "gunicorn/app/base.py", 7))
    lines = dump_lines(dump(*[thread(f"t{n}", joins) for n in range(3)], thread("worker", LOCK)), 0)
    assert [line for line in lines if "pid 12" in line] == [
        "  1 thread waits, pid 12 (worker):",
        "  3 threads wait, pid 12 (t0, t1, t2):",
    ]


def test_a_thread_that_waits_in_code_of_its_own_is_told():
    """Also where py-spy calls it idle; and one that reads an answer of another server."""
    assert thread("", LOCK).state == "waits"
    upstream = (PARKED["kept"][0], Frame("ask_upstream", "app.py", 3))
    assert thread("", upstream).state == "waits"


def test_the_lines_of_a_deadlock():
    """Equal stacks together, the largest group first after those that run; the way a thread begins is cut."""
    threads = [thread(f"worker-{i} (serve)", LOCK) for i in range(4)]
    spin = thread("spinner", (Frame("spin", "app.py", 2),), active=True, gil=True)
    lines = dump_lines(dump(*threads, thread("pool", PARKED["pool"]), spin), 4 * S)
    assert lines == [
        "stacks of the server at 3.0 s, as a request hung:",
        "  1 thread runs, with the GIL, pid 12 (spinner):",
        "    spin (app.py:2)",
        "  4 threads wait, pid 12 (worker-0, worker-1, worker-2, ...):",
        "    run_model (app.py:5)",
        "    answer (app.py:9)",
        "    Thread.run (threading.py:982)",
        "  1 thread without work",
    ]


def test_a_server_that_waits_in_a_coroutine_says_what_cannot_be_seen():
    lines = dump_lines(dump(thread("MainThread", PARKED["loop"])), 0)
    assert lines[1:] == [
        "  1 thread without work",
        "  what waits is on no stack of Python's: a coroutine, native threads (gdb -p 12 shows them),"
        " or another process",
    ]


NATIVE = (
    Frame("Condition.wait", "threading.py", 327),
    Frame("Event.wait", "threading.py", 629),
    Frame("serve", "pytest_llmserve/serve/embedded.py", 95),
    Frame("<module>", "pytest_llmserve/serve/embedded.py", 99),
)
LAUNCHER = (
    Frame("Popen._try_wait", "subprocess.py", 2006),
    Frame("Popen.wait", "subprocess.py", 1264),
    Frame("main", "launch.py", 7),
)


def test_a_server_whose_work_is_not_python_says_where_to_look():
    """The embedded model's main thread; a launcher, whose child is no Python. Their stacks help nobody."""
    native = "native threads (gdb -p 12 shows them), or in another process"
    lines = dump_lines(dump(thread("MainThread", NATIVE), thread("pool", PARKED["pool"])), 0)
    assert lines[1:] == [
        f"  no Python thread does anything: the work is in {native}",
        "  MainThread of pid 12 only waits for them, in serve (pytest_llmserve/serve/embedded.py:95)",
    ]
    child = "process 13: stacks not read: it is not Python, or one that py-spy does not know"
    lines = dump_lines(dump(thread("MainThread", LAUNCHER), missing=(child,)), 0)
    assert lines[1:] == [
        f"  no Python thread does anything: the work is in {native}",
        "  MainThread of pid 12 only waits for them, in main (launch.py:7)",
        f"  {child}",
    ]


def test_a_main_thread_that_waits_within_a_request_is_shown():
    """As is another thread that waits for an event; one outside of requests is counted beside the others."""
    served = (*NATIVE[:2], Frame("H.do_POST", "app.py", 9), Frame("serve_forever", "socketserver.py", 238))
    assert "    H.do_POST (app.py:9)" in dump_lines(dump(thread("MainThread", served)), 0)
    beside = dump_lines(dump(thread("MainThread", NATIVE), thread("worker", LOCK)), 0)
    assert "    run_model (app.py:5)" in beside
    assert beside[-1] == "  1 thread without work"
    assert "    Event.wait (threading.py:629)" not in beside
    assert "    Event.wait (threading.py:629)" in dump_lines(dump(thread("worker", NATIVE)), 0)


def test_forty_lines_at_most():
    """However many stacks, and however deep; what is left out is told."""
    deep = [thread(f"t{n}", tuple(Frame(f"f{n}_{i}", "a.py", i) for i in range(30))) for n in range(20)]
    lines = dump_lines(dump(*deep), 0)
    assert len(lines) <= 40
    assert "    ... 18 more" in lines
    assert lines[-1] == "  18 more stacks left out"


def test_a_dump_in_the_report_has_every_thread():
    """Parked ones and whole stacks too."""
    found = dump(thread("pool", PARKED["pool"]), missing=("process 3: gone",)).as_json(5 * S)
    assert found == {
        "at_s": 2.0,
        "why": "a request hung",
        "threads": [
            {
                "pid": 12,
                "thread": "pool",
                "state": "parked",
                "frames": [
                    "_worker (concurrent/futures/thread.py:81)",
                    "Thread.run (threading.py:982)",
                    "Thread._bootstrap_inner (threading.py:1045)",
                ],
            }
        ],
        "missing": ["process 3: gone"],
    }


def test_a_profile_says_that_it_disturbs():
    """Or why there is none."""
    assert str(Profile(file="/a.svg", samples=40, unread=2)) == (
        "profiled 20 times a second, 40 samples, 2 more not read, which slows the server a little: /a.svg"
    )
    assert str(Profile(missing="py-spy is not installed")) == "not profiled: py-spy is not installed"


def test_stacks_of_several_servers_are_named():
    """The first of each before the second of any; the report has the name too."""
    joins = (Frame("join", "gunicorn/arbiter.py", 5), Frame("run", "gunicorn/app/base.py", 7))
    many = [thread(f"t{n}", (Frame(f"f{n}", "app.py", n),), server="a:1") for n in range(2)]
    seen = dump(*many, ThreadStack(pid=13, name="w", frames=joins, server="b:2"))
    assert [line for line in dump_lines(seen, 0) if "pid" in line] == [
        "  1 thread waits, pid 12 of a:1 (t0):",
        "  1 thread waits, pid 13 of b:2 (w):",
        "  1 thread waits, pid 12 of a:1 (t1):",
    ]
    assert [row["server"] for row in seen.as_json(0)["threads"]] == ["a:1", "a:1", "b:2"]
    idle = [ThreadStack(pid=12 + n, name="", server=f"{name}:1") for n, name in enumerate("ab")]
    assert "(gdb -p 12 of a:1, gdb -p 13 of b:1 show them)" in dump_lines(dump(*idle), 0)[1]

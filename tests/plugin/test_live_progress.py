"""What is seen of a load while it runs: on a terminal, in a log, and by the test itself."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import time
from fcntl import ioctl

import pytest

LOAD = """
def test_before():
    pass

def test_load(llm_load):
    assert llm_load("Say hi.", users=2, duration="1100ms", think_time="20ms").ok

def test_after():
    pass
"""
CLEAR = "\r\x1b[K"
LIVE = re.compile(r"0:0\d/0:0\d {1,2}2 users")
PLAIN = re.compile(r"^llmserve: 0:0\d/0:0\d, 2 users, \d+ done, \d under way, ", re.MULTILINE)
LIMIT_S = 60


class Screen:
    """A session on a terminal of 80 columns."""

    def __init__(self, folder, *options, **environment):
        self._master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        command = [sys.executable, "-m", "pytest"]
        for plugin in ("cacheprovider", "anyio", "asyncio", "hypothesispytest", "rerunfailures", "xdist"):
            command += ["-p", f"no:{plugin}"]  # slow to import
        command += options
        unset = ("CI", "BUILD_NUMBER", "COLUMNS", "NO_COLOR", "PY_COLORS", "TERM")
        given = {k: v for k, v in os.environ.items() if k not in unset}
        given |= {"TERM": "xterm", **environment}
        self._session = subprocess.Popen(
            command, cwd=folder, stdin=slave, stdout=slave, stderr=slave, env=given, start_new_session=True
        )
        os.close(slave)
        self.text = ""

    def read_until(self, pattern=None):
        """Read to the end, or until something has been written."""
        deadline = time.monotonic() + LIMIT_S
        while pattern is None or not re.search(pattern, self.text):
            assert time.monotonic() < deadline, self.text
            if not select.select([self._master], [], [], 0.2)[0]:
                continue
            data = b""
            with contextlib.suppress(OSError):  # so Linux says that nobody holds the terminal any more
                data = os.read(self._master, 1 << 16)
            if not data:
                break
            self.text += data.decode()
        return self.text

    def interrupt(self):
        self._session.send_signal(signal.SIGINT)

    def close(self):
        code = self._session.wait(LIMIT_S)
        os.close(self._master)
        return code

    @property
    def shown(self):
        """What stands on the screen at the end, line by line."""
        return render(self.text)


def render(text):
    """What a terminal makes of the few sequences that are used."""
    lines, row, column = [""], 0, 0
    for piece in re.findall(r"\x1b\[[\d;]*[A-Za-z]|.", text, re.DOTALL):
        if piece == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif piece == "\r":
            column = 0
        elif piece == "\x1b[K":
            lines[row] = lines[row][:column]
        elif piece == "\x1b[A":
            row -= 1
        elif piece.endswith("C") and piece.startswith("\x1b["):
            column += int(piece[2:-1])
        elif not piece.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + piece + lines[row][column + 1 :]
            column += 1
    return lines


@pytest.fixture
def screen(pytester, quick):
    """``screen("-v", CI="1")``: a session with a load that runs on a terminal of its own."""
    pytester.makepyfile(test_suite=LOAD)
    opened = []

    def start(*options, **environment):
        options = (f"--llm-endpoint={quick.url}", *options)
        opened.append(Screen(pytester.path, *options, **environment))
        return opened[-1]

    yield start
    for each in opened:
        if each._session.poll() is None:
            each._session.kill()
            each._session.wait(LIMIT_S)


def summary(lines):
    """The lines of the tests themselves."""
    return [line for line in lines if line.startswith("test_suite.py") and ": " not in line]


def test_a_live_line_is_drawn_over_and_gone_at_the_end(screen):
    """What pytest writes about the tests is as it would be without. A line that wraps could not be wiped."""
    session = screen()
    text = session.read_until()
    assert session.close() == 0
    assert len(LIVE.findall(text)) >= 3
    drawn = [piece for piece in re.split(r"[\r\n]|\x1b\[[\d;]*[A-Za-z]", text) if LIVE.match(piece)]
    assert max(map(len, drawn)) <= 79
    assert re.search(r"\d req/s .*p50 [\d.]+ p99 [\d.]+ ms .*0 failed", text)
    assert summary(session.shown) == ["test_suite.py ..." + " " * 56 + "[100%]"]
    assert not any(LIVE.search(line) for line in session.shown)


def test_a_verbose_session_too_is_left_as_it_was(screen):
    session = screen("-v")
    text = session.read_until()
    assert session.close() == 0
    assert len(LIVE.findall(text)) >= 3
    assert [line.split(" [")[0].rstrip() for line in summary(session.shown)] == [
        "test_suite.py::test_before PASSED",
        "test_suite.py::test_load PASSED",
        "test_suite.py::test_after PASSED",
    ]


def test_without_capture_the_line_is_wiped(screen):
    """pytest does not know then where the cursor is: what follows begins on a line of its own."""
    session = screen("-s")
    text = session.read_until()
    assert session.close() == 0
    assert len(LIVE.findall(text)) >= 3
    assert not any(LIVE.search(line) for line in session.shown)
    assert "." in session.shown


@pytest.mark.parametrize("mode", ["sys", "tee-sys"])
def test_where_others_write_too_the_line_is_only_wiped(mode, screen, pytester):
    """What a test prints, or a child process, moves the cursor: pytest's own place is not known then."""
    pytester.makepyfile(
        test_suite=LOAD.replace(
            "    assert llm_load", "    print('of the test', end='')\n    assert llm_load"
        )
    )
    session = screen(f"--capture={mode}")
    text = session.read_until()
    assert session.close() == 0
    assert len(LIVE.findall(text)) >= 3
    assert "\x1b[A" not in text
    assert not any(LIVE.search(line) for line in session.shown)
    assert ("test_suite.py .of the test" in session.shown) == (mode == "tee-sys")


def test_the_stage_that_runs_is_shown(screen, pytester):
    """Not the first one through the whole run."""
    pytester.makepyfile(
        test_suite="""
        def test_load(llm_load):
            assert llm_load("Say hi.", stages=[(1, "1s"), ((2, 3), "1s")]).ok
        """
    )
    session = screen()
    text = session.read_until()
    assert session.close() == 0
    assert re.search(r"0:0[01]/0:02 +1 user \(1/2\)", text)
    assert re.search(r"0:0[12]/0:02 +2 to 3 users \(2/2\)", text)


def test_a_name_the_terminal_cannot_write_is_escaped(screen, pytester):
    """As pytest does; the load runs on."""
    pytester.path.joinpath("spür.jsonl").write_text(
        "\n".join(f'{{"at_s": {at / 15}, "input_chars": 9}}' for at in range(15))
    )
    pytester.makepyfile(
        test_suite="""
        def test_load(llm_load):
            assert len(llm_load(trace="spür.jsonl").requests) == 15
        """
    )
    session = screen(PYTHONIOENCODING="ascii")
    text = session.read_until()
    assert session.close() == 0
    assert "trace sp\\xfcr.jsonl" in text


@pytest.mark.parametrize("options", [[], ["-o", "llm_progress=200ms"]], ids=["live", "plain"])
def test_a_terminal_that_goes_away_does_not_end_the_load(options, screen, pytester):
    """What cannot be shown is not shown; a load of an hour is worth more than its line."""
    pytester.makepyfile(
        conftest="""
        import pytest

        class Broken:
            def __init__(self, file):
                self._real = file
                self.encoding = "utf-8"
            def write(self, text):
                if "/0:01" in text:  # a line of progress
                    raise OSError(5, "Input/output error")
                return self._real.write(text)
            def __getattr__(self, name):
                return getattr(self._real, name)

        @pytest.hookimpl(trylast=True)
        def pytest_configure(config):
            writer = config.pluginmanager.get_plugin("terminalreporter")._tw
            writer._file = Broken(writer._file)
        """
    )
    session = screen(*options, **({"CI": "1"} if options else {}))
    text = session.read_until()
    assert session.close() == 0, text
    assert "3 passed" in text
    assert not LIVE.search(text)


UNDECIDABLE = """
    import pytest

    def test_before():
        pass

    @pytest.mark.load(users=2, requests=20, think_time="50ms")
    @pytest.mark.latency(p99_ms=20000)
    def test_load(llm_load):
        assert llm_load("Say hi.").ok
"""


def test_what_a_load_cannot_decide_stays_above_its_line(screen, pytester):
    """On a line of its own: what stood there before and what comes after is whole."""
    pytester.makepyfile(test_suite=UNDECIDABLE)
    session = screen("--disable-warnings")
    session.read_until()
    assert session.close() == 0
    shown = session.shown
    (first,) = [row for row, line in enumerate(shown) if line.startswith("llmserve: latency(p99_ms=20000): ")]
    assert shown[first - 1] == "test_suite.py ."
    assert [line.split() for line in shown[first : first + 4] if line.startswith(".")] == [[".", "[100%]"]]
    assert not any(LIVE.search(line) for line in shown)


def test_a_terminal_that_cannot_be_written_to_does_not_end_the_load(suite, quick):
    """The line that is said before a load is spared as the live line is; the warning says it all the same."""
    body = """
        @pytest.fixture
        def broken(request, monkeypatch):
            def refuse(*_):
                raise OSError("gone")

            reporter = request.config.pluginmanager.get_plugin("terminalreporter")
            monkeypatch.setattr(reporter, "write_line", refuse)

        @pytest.mark.load(users=2, requests=20)
        @pytest.mark.latency(p99_ms=20000)
        def test_load(broken, llm_load):
            assert llm_load("Say hi.").ok
    """
    run = suite(textwrap.dedent(body), "--llm-endpoint", quick.url)
    assert run.exit == 0, run.text
    assert "LlmServeWarning: latency(p99_ms=20000): p99 at 95% needs 299 requests" in run.text


def test_ctrl_c_leaves_the_terminal_clean(screen):
    session = screen()
    session.read_until(LIVE)
    session.interrupt()
    text = session.read_until()
    assert session.close() == pytest.ExitCode.INTERRUPTED
    assert CLEAR in text
    assert "KeyboardInterrupt" in text
    assert not any(LIVE.search(line) for line in session.shown)


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        ((), {"CI": "true"}),
        ((), {"TERM": "dumb"}),
        ((), {"NO_COLOR": "1"}),
        (("--color=no",), {}),
        (("--log-cli-level=INFO",), {}),
    ],
    ids=["ci", "dumb", "NO_COLOR", "color=no", "live-log"],
)
def test_where_nothing_can_be_drawn_over_lines_are_printed(options, environment, screen):
    """In CI, on a terminal that cannot, where no escapes are wanted, and where a live log writes too."""
    session = screen("-o", "llm_progress=400ms", *options, **environment)
    text = session.read_until().replace("\r\n", "\n")
    assert session.close() == 0
    assert PLAIN.search(text)
    assert CLEAR not in text
    assert "\x1b" not in text or "--log-cli-level=INFO" in options or "CI" in environment


SILENT = pytest.mark.parametrize(
    "options",
    [["-q"], ["-n1"], ["-o", "llm_progress=0s"], ["-p", "no:terminal"]],
    ids=["quiet", "xdist", "off", "no-terminal"],
)


def test_a_log_has_a_line_once_in_a_while(suite, quick):
    """Every so often, each a line of its own; captured output stays captured."""
    body = LOAD.replace("    assert llm_load", "    print('of the test')\n    assert llm_load")
    run = suite(body, f"--llm-endpoint={quick.url}", "-o", "llm_progress=400ms", apart=True)
    run.assert_outcomes(passed=3)
    lines = [line for line in run.result.outlines if line.startswith("llmserve: 0:")]
    assert 1 <= len(lines) <= 4
    assert all(PLAIN.match(line) for line in lines)
    assert re.search(r", RSS [\d.]+ MB$", lines[-1])
    assert "of the test" not in run.text


def test_a_short_load_prints_nothing(suite, quick):
    """The default is a line each 15 s."""
    run = suite(LOAD.replace("1100ms", "600ms"), f"--llm-endpoint={quick.url}")
    assert not PLAIN.search(run.text)


@SILENT
def test_a_log_is_kept_silent(options, suite, quick):
    """With -q, in xdist's workers, which have no terminal, without pytest's terminal, and when told to."""
    every = [] if options[0] == "-o" else ["-o", "llm_progress=100ms"]
    run = suite(LOAD.replace("1100ms", "600ms"), f"--llm-endpoint={quick.url}", *every, *options)
    assert run.exit == 0
    assert not PLAIN.search(run.text)
    assert len(run.tests) == 1


def test_a_suite_without_loads_has_no_progress(suite, quick):
    run = suite(
        "def test_it(llm_endpoint):\n    assert llm_endpoint.generate('Hi').ok",
        f"--llm-endpoint={quick.url}",
        "-o",
        "llm_progress=1ms",
    )
    run.assert_outcomes(passed=1)
    assert "llmserve: 0:" not in run.text


def test_a_wrong_interval_is_a_usage_error(suite, quick):
    run = suite("", f"--llm-endpoint={quick.url}", "-o", "llm_progress=often")
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert (
        'ERROR: llm_progress: \'often\' is not a duration: write "60s", "5m", "1500ms", "4h" or seconds'
        in run.result.errlines
    )


def test_loads_side_by_side_share_the_terminal(screen, pytester):
    """One of them is shown; two would draw over each other."""
    pytester.makepyfile(
        test_suite="""
        import asyncio

        def test_before():
            pass

        def test_load(llm_load):
            async def both():
                one = llm_load.arun("Hi", users=2, duration="1100ms")
                return await asyncio.gather(one, llm_load.arun("Hi", users=1, duration="700ms"))
            assert all(result.ok for result in asyncio.run(both()))

        def test_after():
            pass
        """
    )
    session = screen()
    text = session.read_until()
    assert session.close() == 0
    assert bool(LIVE.search(text)) != bool(re.search(" 1 user ", text))
    assert summary(session.shown) == ["test_suite.py ..." + " " * 56 + "[100%]"]


def test_a_test_can_follow_its_load(suite, quick):
    """`on_progress` is called through the run, last with the figures of its end."""
    run = suite(
        """
def test_it(llm_load):
    told = []
    result = llm_load("Hi", users=2, duration="1500ms", on_progress=told.append)
    assert len(told) >= 3
    assert [now.ended for now in told] == sorted(now.ended for now in told)
    assert told[-1].by_outcome == result.by_outcome
    assert abs(told[-1].e2e_ms.p99 - result.e2e_ms.p99) < 0.001
    assert told[0].total_ns == 1_500_000_000
    assert told[-1].server_rss_bytes > 5_000_000
    assert told[-1].active == 0

def test_others(llm_load):
    import asyncio
    told = []
    asyncio.run(llm_load.arun("Hi", users=1, requests=3, on_progress=told.append))
    assert told[-1].ok == 3
""",
        f"--llm-endpoint={quick.url}",
    )
    run.assert_outcomes(passed=2)


def test_what_a_follower_raises_ends_the_load(suite, quick):
    """The test fails with that very error; what was measured is kept."""
    run = suite(
        """
def enough(now):
    assert now.ended < 5, "seen enough"

def test_it(llm_load):
    llm_load("Hi", users=1, duration="60s", on_progress=enough)
""",
        f"--llm-endpoint={quick.url}",
    )
    run.assert_outcomes(failed=1)
    assert "seen enough" in run.text
    assert "Stopped" not in run.text
    (found,) = run.tests[0]["runs"]
    assert found["generator"]["ended"] == "interrupted"
    assert found["counts"]["ok"] >= 5


@pytest.mark.parametrize("outcome", ["fail", "skip"])
def test_a_follower_may_end_the_test_by_pytests_own_words(outcome, suite, quick):
    """`pytest.fail()` and `pytest.skip()` are no Exception; what was measured is kept all the same."""
    run = suite(
        f"""
def enough(now):
    if now.ended >= 5:
        pytest.{outcome}("seen enough")

def test_it(llm_load):
    llm_load("Hi", users=1, duration="60s", on_progress=enough)

def test_others(llm_load):
    import asyncio
    asyncio.run(llm_load.arun("Hi", users=1, duration="60s", on_progress=enough))
""",
        f"--llm-endpoint={quick.url}",
        "-rs",
    )
    run.assert_outcomes(**{"fail": {"failed": 2}, "skip": {"skipped": 2}}[outcome])
    assert "seen enough" in run.text
    assert [test["outcome"] for test in run.tests] == [{"fail": "failed", "skip": "skipped"}[outcome]] * 2
    for test in run.tests:
        (found,) = test["runs"]
        assert found["generator"]["ended"] == "interrupted"
        assert found["counts"]["ok"] >= 5


def test_a_follower_that_cannot_be_called_is_refused(suite, quick):
    run = suite(
        "def test_it(llm_load):\n    llm_load('Hi', requests=1, on_progress=5)", f"--llm-endpoint={quick.url}"
    )
    assert (
        "llm_load: on_progress=5 cannot be called: give a function of one argument, a LoadProgress"
        in run.text
    )

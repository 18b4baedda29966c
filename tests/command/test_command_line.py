"""The command line: exit codes as pytest's, faults on stderr with what to do, nothing heavy for --help."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from pytest_llmserve import __version__
from pytest_llmserve.command import main
from pytest_llmserve.command import report as report_verb
from pytest_llmserve.command.screen import Screen, is_coloured
from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.reports.kept import KeptRuns

NODEID = "tests/test_a.py::test_it"


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    """In a folder with two kept runs of one test: branch is as fast as main, slow half as fast."""
    import msgspec

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    for name, times in (("main", 1.0), ("branch", 1.0), ("slow", 2.0)):
        e2e = [times * (80 + place * 7919 % 41) for place in range(1200)]
        run = Measurement(
            name=name,
            plan=msgspec.to_builtins(LoadPlan(users=4, requests=1200)),
            series={"e2e_ms": e2e},
            throughput={"requests_per_s": 40.0 / times},
            rates={"requests_per_s": [40.0 / times + place % 3 for place in range(20)]},
            counts={"sent": 1200, "failed": 0},
        )
        KeptRuns(tmp_path / ".llmserve" / name, name).save(NODEID, [run])


def said(capsys, *words):
    """Exit code, stdout, stderr."""
    code = main(list(words))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_help_and_version_need_nothing(capsys):
    """Examples, codes; of each verb too."""
    code, out, _ = said(capsys, "--help")
    assert code == 0
    assert "pytest-llmserve report run.jsonl -o run.html --check 'latency(p99_ms=2000)'" in out
    assert "exit codes: 0 every limit holds, 1 a limit is broken, 2 interrupted" in out
    assert said(capsys, "--version") == (0, f"pytest-llmserve {__version__}\n", "")
    assert said(capsys, "report", "--help")[0] == said(capsys, "compare", "--help")[0] == 0


def test_asking_for_help_imports_nothing_heavy():
    """Started as a module, as `python -m pytest_llmserve.command`."""
    code = (
        "import sys; from pytest_llmserve.command import main; main(['--help']);"
        "heavy = {'pytest', 'httpx', 'scipy', 'numpy', 'psutil', 'rich', 'msgspec'};"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    command = [sys.executable, "-m", "pytest_llmserve.command", "report"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1] == (
        "ERROR: the following arguments are required: RUNS.jsonl; see pytest-llmserve report --help"
    )


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (
            ["compare", "main", "other"],
            "other: there is no folder .llmserve/other: run pytest once with --llm-save other, or give"
            " the file of another: runs.jsonl",
        ),
        (
            ["compare", "main", "./none"],
            "./none: there is no folder none: name a folder that pytest --llm-save has written",
        ),
        (
            ["compare", "main", "branch", "--check", "latency(p99_ms=2)"],
            "--check 'latency(p99_ms=2)': compare judges no_regression alone; for the limits of one run:"
            " pytest-llmserve report RUNS.jsonl",
        ),
        (
            ["compare", "main", "branch", "-o", "x.pdf", "-o", "."],
            "-o x.pdf: the ending must be one of .json, .html, .md\n"
            "ERROR: -o .: the ending must be one of .json, .html, .md",
        ),
        (
            ["compare", "main", "branch", "--test", "test_b"],
            f"--test test_b: no such test in main; there are {NODEID}",
        ),
        (
            ["report", "r.json"],
            "r.json is the JSON report: report and compare read the .jsonl of the session, written by pytest"
            " --llm-report=FILE.jsonl",
        ),
        (
            ["compare", "main", "r.json"],
            "r.json is the JSON report: report and compare read the .jsonl of the session, written by pytest"
            " --llm-report=FILE.jsonl",
        ),
        (
            ["report", "."],
            ". is a folder: report and compare read the .jsonl of the session, written by pytest"
            " --llm-report=FILE.jsonl",
        ),
        (["report", "none.jsonl"], "none.jsonl cannot be read: No such file or directory; check the path"),
        (["report", "x.jsonl", "-o", "y.jsonl"], "-o y.jsonl: the ending must be one of .json, .html, .md"),
    ],
)
def test_wrong_use_ends_with_4_and_says_what_to_do(words, fault, capsys, tmp_path):
    """On stderr, word for word; nothing is printed beside it."""
    (tmp_path / "r.json").write_text("{\n}")
    assert said(capsys, *words) == (4, "", f"ERROR: {fault}\n")


def test_what_cannot_be_written_is_wrong_use_and_hides_nothing(tmp_path, capsys):
    """The comparison is printed, the other file written."""
    (tmp_path / "file").write_text("")
    code, out, err = said(capsys, "compare", "main", "branch", "-o", "file/x.md", "-o", "y.md")
    assert code == 4
    assert "report: y.md" in out
    assert "no difference seen" in out
    assert err == ("ERROR: -o file/x.md: cannot be written: File exists (file); name a file that can be\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".llmserve", "file", "y.md"]


def test_a_fault_of_our_own_in_one_file_leaves_the_others(tmp_path, capsys, monkeypatch):
    """Its traceback is there, and which files are not; the code is that of a fault of ours."""
    monkeypatch.setattr("pytest_llmserve.reports.pairs_markdown.write", lambda document, _: document["none"])
    (tmp_path / "file").write_text("")
    named = ["-o", "x.md", "-o", "file/x.json", "-o", "y.json"]
    code, out, err = said(capsys, "compare", "main", "branch", *named)
    assert code == 3
    assert "report: y.json" in out
    assert "KeyError: 'none'\n-o x.md is not written" in err
    assert "-o file/x.json: cannot be written: File exists (file)" in err
    assert err.endswith("this is pytest-llmserve's fault, not the server's\n")


def test_kept_names_are_compared_and_judged(capsys):
    """Names and folders; a limit that holds, one that is broken, one that cannot be told."""
    code, out, err = said(capsys, "compare", "main", "branch", "--check", "no_regression(percent=10)")
    assert (code, err) == (0, "")
    assert "no difference seen in " in out.splitlines()[-1]
    assert 'pass: p50 e2e latency against "main"' in out
    code, out, _ = said(capsys, "compare", "main", "./.llmserve/slow", "--check", "no_regression(percent=10)")
    assert code == 1
    assert "e2e p50 ms" in out
    assert "100% slower (95% interval " in out
    assert out.splitlines()[-1].startswith("3 of 4 limits broken; worse: p50 e2e latency 100% slower, ")
    assert said(capsys, "compare", "main", "slow")[0] == 0  # nothing was promised
    undecided = "no_regression(percent=10, metrics='output_tokens_per_s')"
    assert said(capsys, "compare", "main", "branch", "--check", undecided)[0] == 1  # no evidence is no pass


def test_ctrl_c_is_2_and_a_fault_of_ours_3(monkeypatch, capsys):
    """So that a pipeline never takes either for a broken limit."""

    def interrupted(path, wanted):
        raise KeyboardInterrupt

    def broken(path, wanted):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(report_verb, "_tests", interrupted)
    assert said(capsys, "report", "x.jsonl") == (2, "", "interrupted\n")
    monkeypatch.setattr(report_verb, "_tests", broken)
    code, _, err = said(capsys, "report", "x.jsonl")
    assert code == 3
    assert err.splitlines()[-2:] == [
        "ZeroDivisionError: planted",
        "this is pytest-llmserve's fault, not the server's",
    ]


@pytest.mark.parametrize(("after", "code"), [("main", 0), ("slow", 1)])
def test_a_reader_that_leaves_changes_no_verdict(after, code, tmp_path):
    """`compare ... | head -1`, the pipe closed before anything is written: files are written all the same."""
    command = [sys.executable, "-m", "pytest_llmserve.command", "compare", "main", after]
    command += ["--check", "no_regression(percent=50)", "-o", "y.md"]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (code, b"")
    assert (tmp_path / "y.md").exists()


@pytest.mark.parametrize(
    ("environ", "terminal", "coloured"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": "1", "PY_COLORS": "1"}, False, True),
        ({"PY_COLORS": "0", "FORCE_COLOR": "1"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colours_follow_pytest(environ, terminal, coloured):
    """PY_COLORS, NO_COLOR, FORCE_COLOR, then the terminal."""
    assert is_coloured(environ, terminal) is coloured


def test_a_stream_of_few_letters_stops_nothing():
    """What an ASCII stream cannot write is shown escaped."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    Screen(out).line("p95 ≤ 3")
    out.flush()
    assert raw.getvalue() == b"p95 \\u2264 3\n"

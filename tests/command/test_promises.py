"""Checks as text: read as data, each fault told as a marker's would be."""

from __future__ import annotations

import pytest

from pytest_llmserve.checks.isolation import Isolation
from pytest_llmserve.checks.latency import Latency
from pytest_llmserve.checks.no_leak import NoLeak
from pytest_llmserve.checks.resources import Resources
from pytest_llmserve.command.promises import promises
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.keywords import build

LATENCY = build(Latency, "latency", (), {"p99_ms": 2000, "ttft_p95_ms": 0.5})


@pytest.mark.parametrize(
    "text",
    [
        "latency(p99_ms=2000, ttft_p95_ms=0.5)",
        " latency( p99_ms = 2_000, ttft_p95_ms=+.5 ) ",
        "pytest.mark.latency(p99_ms=2000, ttft_p95_ms=.5)",
        "@pytest.mark.latency(p99_ms=2000, ttft_p95_ms=.5)",
    ],
)
def test_written_as_the_marker_is(text):
    """With or without pytest.mark., however it is spaced."""
    assert promises([text]) == [LATENCY]


def test_any_literal_and_several_checks():
    """Texts and numbers, in the order they were given; what promises something bare may stand bare."""
    found = promises(["no_leak(mb=100, per='hour')", "isolation", "resources(queue=10)"])
    assert found == [
        build(NoLeak, "no_leak", (), {"mb": 100, "per": "hour"}),
        Isolation(),
        build(Resources, "resources", (), {"queue": 10}),
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("latency(p99=3)", "latency: no keyword 'p99', did you mean p99_ms?"),
        ("latency(2000)", "latency: takes keywords only, got 2000"),
        ("throughput(min_rps=-1)", "throughput: min_rps: -1 is not over 0"),
        (
            "latncy(p99_ms=3)",
            "no check 'latncy': one of latency, throughput, goodput, error_rate, no_leak, no_degradation,"
            " no_regression, resources, no_log_errors, isolation",
        ),
        (
            "latency(p99_ms=LIMIT, p95_ms=1, p95_ms=2, **{})",
            "p99_ms: LIMIT is not a value: write the number or text itself; p95_ms is given twice;"
            " **{}: write the keywords themselves",
        ),
        (
            "latency",
            "promises nothing without a keyword: write it as latency(KEYWORD=VALUE), docs/markers.md has the"
            " keywords, as has pytest --markers",
        ),
        (
            "latency(p99_ms=",
            "is not written as a check is ('(' was never closed): write it as latency(p99_ms=2000)",
        ),
        ("1 + 1", "is not a check: write it as latency(p99_ms=2000)"),
    ],
)
def test_each_fault_says_what_is_wrong(text, fault):
    """Word for word, with the text it stands in."""
    with pytest.raises(SetupError) as error:
        promises([text])
    assert str(error.value) == f"--check {text!r}: {fault}"


def test_all_faults_are_told_at_once():
    """A line for each check that is wrong."""
    with pytest.raises(SetupError) as error:
        promises(["latency(p99=3)", "error_rate(max=0.1)", "goodput(min=2)"])
    lines = str(error.value).splitlines()
    assert [line.split(": ")[-2] for line in lines] == ["latency", "min"]


@pytest.mark.parametrize(
    "text", ["latency(p99_ms=__import__('os').system('touch ran'))", "exit()", "a.b()(c=1)"]
)
def test_nothing_in_it_is_run(text, tmp_path, monkeypatch):
    """Code is refused, not evaluated."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SetupError):
        promises([text])
    assert list(tmp_path.iterdir()) == []


def test_text_no_parser_takes_is_refused():
    """Not a crash: nesting without end, and a NUL."""
    for text in ("(" * 5000, "latency(p99_ms=" + "-" * 5000 + "1)", "a\0b"):
        with pytest.raises(SetupError, match="write"):
            promises([text])


def test_checks_that_cannot_be_judged_here_say_where():
    """A verb that judges one check alone points to the other verb."""
    with pytest.raises(SetupError) as error:
        promises(["latency(p99_ms=3)"], ("no_regression",), "judge it with report")
    assert str(error.value) == "--check 'latency(p99_ms=3)': judge it with report"

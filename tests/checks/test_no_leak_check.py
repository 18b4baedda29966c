"""The leak check."""

from __future__ import annotations

import pytest

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.no_leak import NoLeak
from pytest_llmserve.domain.errors import MarkerError
from pytest_llmserve.domain.keywords import build
from pytest_llmserve.domain.samples import ResourceWindow
from pytest_llmserve.domain.units import NS_PER_S

BEFORE = [412.0] * 7


def only(check: NoLeak, *runs):
    (verdict,) = check.judge(Evidence(runs=runs))
    return verdict


@pytest.mark.parametrize(
    ("after", "verdict", "holds"),
    [
        ([400.0] * 7, "pass", True),
        ([511.0] * 7, "pass", True),
        ([512.0] * 7, "pass", True),
        ([513.0] * 7, "fail", False),
        ([510, 511, 511.5, 512, 512.5, 513, 514], "undecided", True),
        ([510, 511, 511.5, 512.1, 512.5, 513, 514], "undecided", False),
    ],
)
def test_retained_memory_is_judged_under_at_and_over_the_limit(after, verdict, holds, make):
    found = only(NoLeak(mb=100), make.run_of([1.0], memory=make.memory(BEFORE, after)))
    assert (found.verdict, found.holds, found.n) == (verdict, holds, 14)


@pytest.mark.parametrize(
    ("after", "sentence"),
    [
        (
            [543, 544, 544, 544, 544, 544, 545],
            (
                "memory retained 132 MB > 100 MB (USS + swap, 412 -> 544 MB, settled 5 s after the load,"
                " 95% interval 131-133 MB, n=14 readings)"
            ),
        ),
        (
            [413.2] * 7,
            (
                "memory retained 1.20 MB <= 100 MB (USS + swap, 412 -> 413 MB, settled 5 s after the load,"
                " 95% interval 1.20-1.20 MB, n=14 readings)"
            ),
        ),
        (
            [500, 505, 508, 510, 513, 515, 520],
            (
                "memory retained 98.0 MB <= 100 MB, undecided (USS + swap, 412 -> 510 MB, settled 5 s after"
                " the load, 95% interval 88.0-108 MB, n=14 readings):"
                " the readings differ among themselves by more than is left to the limit"
            ),
        ),
    ],
    ids=["fail", "pass", "undecided"],
)
def test_it_says_so_in_words(after, sentence, make):
    found = only(NoLeak(mb=100), make.run_of([1.0], memory=make.memory(BEFORE, after)))
    assert found.sentence == sentence


@pytest.mark.parametrize(
    ("before", "after", "verdict", "said"),
    [
        (7, 7, "fail", "95% interval"),
        (6, 6, "fail", "93% interval"),
        (5, 5, "undecided", "87% interval"),
        (1, 1, "undecided", "0% interval"),
    ],
)
def test_fewer_than_6_readings_a_side_give_no_verdict(before, after, verdict, said, make):
    """5 readings all lie on one side of their median in 1 case of 32: both sides, 6 %."""
    memory = make.memory([412.0] * before, [600.0] * after)
    found = only(NoLeak(mb=100), make.run_of([1.0], memory=memory))
    assert (found.verdict, found.holds) == (verdict, False)
    assert said in found.sentence
    if verdict == "undecided":
        assert found.sentence.endswith(": 6 readings before and 6 after are needed")


def test_the_measure_is_named(make):
    memory = make.memory(BEFORE, [600.0] * 7, measure="RSS", settled_after_ns=NS_PER_S * 3 // 2)
    found = only(NoLeak(mb=100), make.run_of([1.0], memory=memory))
    assert "(RSS, 412 -> 600 MB, settled 1.5 s after the load," in found.sentence


@pytest.mark.parametrize(("after", "verdict"), [([412.0] * 7, "pass"), ([412.1] * 7, "fail")])
def test_a_limit_of_nothing_is_a_limit(after, verdict, make):
    assert only(NoLeak(mb=0), make.run_of([1.0], memory=make.memory(BEFORE, after))).verdict == verdict


@pytest.mark.parametrize(
    ("latencies", "memory_missing", "sentence"),
    [
        (
            [1.0],
            "the server's process 123 ended",
            (
                "memory retained: no evidence, the server's process 123 ended;"
                " for a server on this machine give --llm-server-pid"
            ),
        ),
        (["refused"], None, "memory retained: no evidence, no request of the run was answered"),
        ([], None, "memory retained: no evidence, no request of the run was answered"),
    ],
)
def test_what_was_not_measured_is_no_evidence(latencies, memory_missing, sentence, make):
    """An idle server leaks nothing: a run without an answer shows nothing either."""
    memory = make.memory(BEFORE, [] if memory_missing else BEFORE, missing=memory_missing)
    found = only(NoLeak(mb=100), make.run_of(latencies, memory=memory))
    assert (found.verdict, found.estimate, found.holds) == ("undecided", None, None)
    assert found.sentence == sentence


@pytest.mark.parametrize("empty", ["before", "after"])
def test_one_side_alone_is_no_evidence(empty, make):
    memory = make.memory(BEFORE, BEFORE, **{empty: ()})
    assert only(NoLeak(mb=100), make.run_of([1.0], memory=memory)).sentence == (
        "memory retained: no evidence, memory was not read;"
        " for a server on this machine give --llm-server-pid"
    )


def test_an_unwatched_server_is_no_evidence_and_the_reason_is_passed_on(make):
    run = make.run_of([1.0], resources=ResourceWindow(missing="10.0.0.5 is not this machine"))
    assert only(NoLeak(mb=100), run).sentence == (
        "memory retained: no evidence, 10.0.0.5 is not this machine;"
        " for a server on this machine give --llm-server-pid"
    )


def test_each_run_is_judged_on_its_own(make):
    runs = [make.run_of([1.0], memory=make.memory(BEFORE, [mb] * 7)) for mb in (412.0, 600.0)]
    found = NoLeak(mb=100).judge(Evidence(runs=tuple(runs)))
    assert [(v.verdict, v.what) for v in found] == [
        ("pass", "memory retained (run 1 of 2)"),
        ("fail", "memory retained (run 2 of 2)"),
    ]


@pytest.mark.parametrize(
    ("keywords", "fault"),
    [
        ({}, "no_leak: needs mb, the memory in MB that may be retained, such as mb=100"),
        ({"mb": -1}, "no_leak: mb: -1 is below 0"),
        (
            {"mb": 1, "per": "hour"},
            "no_leak: per: 'hour' is not known: write \"run\", the memory kept after each run",
        ),
    ],
)
def test_a_faulty_marker_is_refused(keywords, fault):
    with pytest.raises(MarkerError) as caught:
        build(NoLeak, "no_leak", (), keywords)
    assert str(caught.value) == fault


def test_settling_is_5_seconds_unless_said_otherwise():
    assert NoLeak(mb=1).settle == 5 * NS_PER_S
    assert build(NoLeak, "no_leak", (), {"mb": 1, "settle": "500ms"}).settle == NS_PER_S // 2

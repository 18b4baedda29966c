"""Which of several that serve has the failures, or the slow answers."""

from __future__ import annotations

import random

import pytest

from pytest_llmserve.checks.diagnosis import diagnose
from pytest_llmserve.checks.standing_out import most_failures, sentences, slowest
from pytest_llmserve.domain.samples import ResourceWindow


@pytest.fixture
def served(make):
    """A run of (who, e2e in ms or how it failed, how often), shuffled."""

    def of(*rows):
        each = make.spread_out([(who, e2e) for who, e2e, times in rows for _ in range(times)])
        return make.run([make.record(number, e2e, served_by=who) for number, (who, e2e) in enumerate(each)])

    return of


def test_the_one_at_which_requests_fail_is_named(served):
    found = served(("a", 10, 40), ("b", 10, 30), ("b", "refused", 10), ("c", 10, 40))
    assert sentences(found) == [
        "10 of 10 failures at b, one of 3 that serve: 25.0 % of its requests failed, 0.0 % of the others'"
    ]


def test_the_one_whose_answers_take_long_is_named(served):
    found = served(("a", 10, 30), ("b", 30, 30))
    assert sentences(found) == [
        "15 of the 15 slowest answers at b, one of 2 that serve: e2e p50 30.0 ms, 10.0 ms at the others"
    ]


def test_a_stray_one_elsewhere_hides_nobody(served):
    """One bad request of one is the largest share, and tells nothing."""
    fails = served(("a", 10, 100), ("b", 10, 50), ("b", "refused", 50), ("c", "refused", 1))
    assert most_failures(fails).name == "b"
    slow = served(("a", 10, 100), ("b", 30, 100), ("c", 90, 1))
    assert slowest(slow).name == "b"


def test_of_several_that_stand_out_the_least_probable_is_named(served):
    """The one of more evidence; where both are beyond any figure, the one of the larger share."""
    found = served(("a", 10, 100), ("b", 10, 40), ("b", "refused", 60), ("c", "refused", 12))
    assert most_failures(found).name == "b"
    both = served(("a", 10, 9000), ("b", 10, 100), ("b", "refused", 900), ("c", "refused", 1000))
    assert most_failures(both).name == "c"


@pytest.mark.parametrize(
    "rows",
    [
        [("a", 10, 40), ("a", "refused", 4), ("b", 10, 40), ("b", "refused", 5)],
        [("a", 10, 40), ("b", 10, 38), ("b", "refused", 2)],
        [("a", 10, 40), ("b", 12, 40)],
        [("a", 10, 4), ("b", 30, 4)],
        [("a", 10, 40), ("a", 30, 20)],
        [(None, 10, 40), (None, "refused", 20)],
        [],
    ],
    ids=["failures alike", "two failures", "hardly slower", "too few", "one alone", "not known", "nothing"],
)
def test_nobody_is_named_without_evidence(rows, served):
    found = served(*rows)
    assert (most_failures(found), slowest(found)) == (None, None)


def test_chance_names_hardly_anybody(make):
    """Of 400 runs in which all are alike, about the one in a thousand that is allowed."""
    rng = random.Random(5)
    named = 0
    for _ in range(400):
        each = [make.record(n, rng.lognormvariate(3, 1), served_by="abc"[n % 3]) for n in range(120)]
        named += slowest(make.run(each)) is not None
    assert named <= 3


def test_the_diagnosis_says_what_to_do(served):
    nothing = ResourceWindow(missing="not watched")
    fails = diagnose([served(("a", 10, 40), ("b", "refused", 40))], nothing)
    assert [str(each) for each in fails] == [
        "one replica fails: b, one of 2 that serve, failed 100.0 % of its requests, the others 0.0 %: look"
        " into that one, its log and its process, or take it out of the turns"
    ]
    assert fails[0].figures == {"served_by": "b", "failed_share": 1.0, "failed_share_others": 0.0}
    slow = diagnose([served(("a", 10, 40), ("b", 30, 40))], nothing)
    assert [str(each) for each in slow] == [
        "one replica is slow: b, one of 2 that serve, took 30.0 ms for an answer (p50), the others 10.0 ms:"
        " see what differs there: its machine, its model, what else runs beside it"
    ]

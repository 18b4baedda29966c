"""The error rate check."""

from __future__ import annotations

import pytest

from pytest_llmserve.checks.error_rate import ErrorRate
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.domain.errors import MarkerError
from pytest_llmserve.domain.keywords import build
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.result import GeneratorHealth
from pytest_llmserve.domain.units import NS_PER_S


def only(check: ErrorRate, *runs):
    (verdict,) = check.judge(Evidence(runs=runs))
    return verdict


@pytest.fixture
def mixed(make):
    """3 of 100 requests fail."""
    return make.run_of(make.spread_out([1.0] * 97 + ["http_5xx"] * 2 + ["timed_out"]))


@pytest.mark.parametrize(
    ("most", "verdict", "holds"),
    [
        (0.001, "fail", False),
        (0.02, "undecided", False),
        (0.03, "undecided", True),
        (0.04, "undecided", True),
        (0.09, "pass", True),
    ],
)
def test_the_rate_is_judged_under_at_and_over_the_limit(most, verdict, holds, mixed):
    found = only(ErrorRate(max=most), mixed)
    assert (found.verdict, found.holds, found.estimate, found.n) == (verdict, holds, 0.03, 100)


@pytest.mark.parametrize(
    ("most", "sentence"),
    [
        (0.001, "error rate 3% > 0.1% (95% interval 0.62-8.5%, n=100): {note}"),
        (0.09, "error rate 3% <= 9% (95% interval 0.62-8.5%, n=100): {note}"),
        (
            0.02,
            (
                "error rate 3% > 2%, undecided (95% interval 0.62-8.5%, n=100): {note};"
                " that can be chance where 2 may be: about 760 requests would tell if 3% stay failing"
            ),
        ),
        (
            0.04,
            (
                "error rate 3% <= 4%, undecided (95% interval 0.62-8.5%, n=100): {note};"
                " 4% at 95% needs 192 requests with 3 failing, about 1200 if 3% stay failing"
            ),
        ),
    ],
)
def test_it_says_how_many_failed_and_how(most, sentence, mixed):
    note = "3 of 100 requests failed (http_5xx 2, timed_out 1)"
    assert only(ErrorRate(max=most), mixed).sentence == sentence.format(note=note)


@pytest.mark.parametrize(("failed", "verdict"), [(0, "pass"), (1, "fail")])
def test_a_limit_of_none_is_a_statement_about_the_sample(failed, verdict, make):
    assert only(ErrorRate(max=0), make.run_of([1.0] * 9 + ["reset"] * failed)).verdict == verdict


def test_a_limit_of_none_says_so_in_words(make):
    found = only(ErrorRate(max=0), make.run_of([1.0] * 9 + ["reset"]))
    assert found.sentence == (
        "error rate 10% > 0% (95% interval 0.25-45%, n=10): 1 of 10 requests failed (reset 1)"
    )


def test_all_failed_fails_however_few_they_are(make):
    found = only(ErrorRate(max=0.9), make.run_of(["refused"]))
    assert found.verdict == "fail"
    assert found.sentence.endswith(": the only request failed (refused 1)")


def test_two_in_a_thousand_needs_1497_requests_without_a_failure(make):
    few, enough = (only(ErrorRate(max=0.002), make.run_of([1.0] * n)) for n in (1496, 1497))
    assert (few.verdict, enough.verdict) == ("undecided", "pass")
    assert few.sentence == (
        "error rate 0% <= 0.2%, undecided (95% interval 0-0.25%, n=1496):"
        " 0.2% at 95% needs 1497 requests with none failing"
    )
    assert enough.sentence == "error rate 0% <= 0.2% (95% interval up to 0.2%, n=1497)"


def test_the_first_seconds_are_told_but_not_judged(make):
    """Requests go out every 10 ms; the first 100 lie within the first second."""
    run = make.run_of(["refused"] * 3 + [1.0] * 397)
    found = only(ErrorRate(max=0.02, startup_grace=NS_PER_S), run)
    assert (found.verdict, found.estimate, found.n) == ("pass", 0.0, 300)
    assert found.sentence == (
        "error rate 0% <= 2% (95% interval 0-1.2%, n=300):"
        " 0 of 300 requests failed, and 3 of 100 in the first 1 s, not judged"
    )


def test_failures_after_the_first_seconds_are_told_beside_those_within(make):
    run = make.run_of(["refused"] * 3 + [1.0] * 297 + ["http_5xx"] * 100)
    found = only(ErrorRate(max=0.01, startup_grace=NS_PER_S), run)
    assert found.verdict == "fail"
    assert found.sentence.endswith(
        ": 100 of 300 requests failed (http_5xx 100), and 3 of 100 in the first 1 s, not judged"
    )


def test_the_grace_counts_from_the_first_send_of_all_warm_up_included(make):
    warm = [make.record(i, 1.0, warm_up=True) for i in range(100)]
    run = make.run(warm + [make.record(100 + i, "refused") for i in range(10)])
    assert only(ErrorRate(max=0.02, startup_grace=NS_PER_S), run).n == 10


def test_a_run_within_its_grace_is_no_evidence(make):
    found = only(ErrorRate(max=0.02, startup_grace=15 * NS_PER_S), make.run_of([1.0] * 5))
    assert found.sentence == (
        "error rate: no evidence, no request was sent after the first 15 s:"
        " run longer, or with less startup_grace"
    )


def test_the_grace_is_scaled_as_the_run_is(make):
    """60 s with a grace of 15 s at --llm-scale=0.1: 6 s, of which 4.5 are judged."""
    records = [make.record(i, "refused" if i < 3 else 1.0) for i in range(600)]
    run = make.run(records, plan=LoadPlan(users=4, scale=0.1))
    found = only(ErrorRate(max=0.02, startup_grace=15 * NS_PER_S), run)
    assert (found.verdict, found.n) == ("pass", 450)
    assert found.sentence.endswith("and 3 of 150 in the first 1.5 s, not judged")


RESENT = " requests were sent again, as the server closed their kept connection just then"


@pytest.mark.parametrize(
    ("reopened", "resent", "failed", "verdict", "note"),
    [
        (20, 20, 0, "pass", ""),  # 1 % of 2000
        (21, 21, 0, "pass", f": 21{RESENT}"),
        (4, 4, 0, "pass", ""),
        (100, 100, 0, "pass", f": 100{RESENT}"),  # 5 %, just the limit
        (101, 101, 0, "undecided", f": 101{RESENT}; as failures, 5.1% > 5%"),
        (2, 2, 0, "pass", ""),
        (61, 61, 40, "undecided", f"; 61{RESENT}; as failures, 5.1% > 5%"),
        (60, 60, 200, "fail", f"; 60{RESENT}"),
        # Each answer's connection is closed, and was seen to be while idle: that is how this server works.
        (1990, 900, 0, "pass", ""),
        (1990, 1900, 0, "undecided", f": 1900{RESENT}; as failures, 95% > 5%"),
        (1500, 900, 0, "undecided", f": 900{RESENT}; as failures, 45% > 5%"),
    ],
)
def test_requests_sent_again_leave_no_pass_where_they_could_break_the_limit(
    make, reopened, resent, failed, verdict, note
):
    """The server may have read them and failed: a process that dies at once looks as one that closes."""
    latencies = make.spread_out(["reset"] * failed + [1.0] * (2000 - failed))
    run = make.run_of(latencies, healthy=GeneratorHealth(reopened=reopened, resent=resent))
    found = only(ErrorRate(max=0.05), run)
    assert (found.verdict, found.holds) == (verdict, verdict != "fail")
    said = found.sentence.partition("n=2000)")[2]
    log = ": the server's log tells whether it closed idle connections or broke on these requests"
    told = f": {failed} of 2000 requests failed (reset {failed})" if failed else ""
    assert said == told + note + (log if verdict == "undecided" else "")


def test_one_request_sent_again_leaves_a_sample_without_failures_undecided(make):
    """max=0 is about the very requests: that none failed is not known then."""
    run = make.run_of([1.0] * 200, healthy=GeneratorHealth(reopened=1, resent=1))
    found = only(ErrorRate(max=0), run)
    assert (found.verdict, found.fails(strict=False), found.fails(strict=True)) == ("undecided", False, True)
    assert ": 1 request was sent again, as " in found.sentence


def test_retries_are_told_from_first_tries(make):
    records = [make.record(i, 1.0) for i in range(297)]
    records += [make.record(297 + i, "reset") for i in range(3)]
    records += [make.record(297 + i, 1.0, sent_ns=4 * NS_PER_S, attempt=2) for i in range(3)]
    run = make.run(records, plan=LoadPlan(users=4, retries=1))
    found = only(ErrorRate(max=0.02, retries=1), run)
    assert (found.verdict, found.n) == ("pass", 300)
    assert found.sentence == (
        "error rate 0% <= 2% (95% interval 0-1.2%, n=300): 3 failed at the first try, 0 after 1 retry"
    )


def test_a_request_that_fails_every_retry_has_failed(make):
    records = [make.record(0, "reset", attempt=attempt) for attempt in (1, 2, 3)] + [make.record(1, 1.0)]
    run = make.run(records, plan=LoadPlan(users=4, retries=2))
    found = only(ErrorRate(max=0, retries=2), run)
    assert (found.verdict, found.estimate) == ("fail", 0.5)
    assert found.sentence.endswith(
        ": 1 of 2 requests failed (reset 1); 1 failed at the first try, 1 after 2 retries"
    )


def test_nothing_sent_and_no_run_are_no_evidence(make):
    assert only(ErrorRate(max=0.1), make.run([])).sentence == (
        "error rate: no evidence, no request was sent: give more requests=, or a longer duration="
    )
    assert only(ErrorRate(max=0.1)).sentence == (
        "error rate: no evidence, no load ran in this test: call llm_load()"
    )


def test_a_busy_generator_does_not_excuse_failures(make):
    run = make.run_of(["reset"] * 20 + [1.0] * 20, healthy=GeneratorHealth(cpu_percent=99.0))
    assert only(ErrorRate(max=0.01), run).verdict == "fail"


@pytest.mark.parametrize(
    ("keywords", "fault"),
    [
        ({}, "error_rate: needs max, the share of requests that may fail, such as max=0.002"),
        ({"max": 1}, "error_rate: max=1 would hold whatever happens"),
        ({"max": 2}, "error_rate: max: 2 is not a share from 0 to 1 (0.2 % is 0.002)"),
        (
            {"max": 0.1, "startup_grace": "15 sec", "retries": -1},
            (
                'error_rate: startup_grace: \'15 sec\' is not a duration: write "60s", "5m", "1500ms",'
                ' "4h" or seconds; retries: -1 is not a whole number of 0 or more'
            ),
        ),
    ],
)
def test_a_faulty_marker_is_refused(keywords, fault):
    with pytest.raises(MarkerError) as caught:
        build(ErrorRate, "error_rate", (), keywords)
    assert str(caught.value) == fault


def test_durations_are_read_as_people_write_them():
    assert (
        build(ErrorRate, "error_rate", (), {"max": 0.1, "startup_grace": "15s"}).startup_grace
        == 15 * NS_PER_S
    )

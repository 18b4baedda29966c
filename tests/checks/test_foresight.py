"""What is said before a run of limits that it cannot show to be kept."""

from __future__ import annotations

import pytest

from pytest_llmserve.checks import CHECKS, check_class
from pytest_llmserve.checks.error_rate import ErrorRate
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.foresight import Sending, earliest, needs, sent_by, too_few
from pytest_llmserve.checks.goodput import Goodput
from pytest_llmserve.checks.latency import Latency
from pytest_llmserve.checks.no_leak import NoLeak
from pytest_llmserve.checks.resources import Resources
from pytest_llmserve.checks.throughput import Throughput
from pytest_llmserve.domain.plan import LoadPlan, Stage
from pytest_llmserve.domain.units import NS_PER_MS, NS_PER_S

MINUTE_NS = 60 * NS_PER_S
P99 = Latency(p99_ms=2200)


def requests(number: int, **more) -> LoadPlan:
    return LoadPlan(users=5, requests=number, **more)


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (P99, "latency(p99_ms=2200): p99 at 95% needs 299 requests with none over the limit"),
        (Latency(p50_ms=9), "latency(p50_ms=9): p50 at 95% needs 5 requests with none over the limit"),
        (
            Latency(ttft_p999_ms=0.5),
            "latency(ttft_p999_ms=0.5): p99.9 at 95% needs 2995 requests with none over the limit",
        ),
        (Latency(tpot_mean_ms=20), "latency(tpot_mean_ms=20): a mean needs 2 requests"),
        (ErrorRate(max=0.002), "error_rate(max=0.002): 0.2% at 95% needs 1497 requests with none failing"),
        (
            Goodput(min=0.95, e2e_ms=900),
            "goodput(min=0.95): 95% at 95% needs 59 requests with none over a limit",
        ),
        (Throughput(min_rps=10), "throughput(min_rps=10): 25 answers in the steady window are needed"),
    ],
    ids=lambda value: "" if isinstance(value, str) else value.name,
)
def test_a_limit_that_the_plan_cannot_decide_is_said_with_what_it_needs(check, said):
    assert too_few(LoadPlan(requests=1), [check]) == (
        f"{said}; this load sends 1, so it can end undecided or fail, not pass"
    )


@pytest.mark.parametrize(("number", "enough"), [(298, False), (299, True)])
def test_nothing_is_said_from_the_least_number_on(number, enough):
    assert (too_few(requests(number), [P99]) == "") is enough


def test_all_limits_of_all_checks_stand_in_one_sentence():
    """Those that the plan can decide are left out."""
    checks = [Latency(p90_ms=500, p99_ms=2200), Throughput(min_rps=1), ErrorRate(max=0.002)]
    assert too_few(requests(150), checks) == (
        "latency(p99_ms=2200): p99 at 95% needs 299 requests with none over the limit;"
        " error_rate(max=0.002): 0.2% at 95% needs 1497 requests with none failing;"
        " this load sends 150, so they can end undecided or fail, not pass"
    )


def test_a_plan_made_smaller_by_the_scale_says_so():
    assert too_few(requests(30, scale=0.1), [P99]).endswith(
        "; this load sends 30 (--llm-scale 0.1), so it can end undecided or fail, not pass"
    )


@pytest.mark.parametrize(
    "check",
    [
        Latency(max_ms=5),
        Latency(itl_p99_ms=5),
        ErrorRate(max=0),
        Goodput(min=1, e2e_ms=5),
        NoLeak(mb=1),
        Resources(rss_mb=1),
    ],
    ids=["maximum", "gaps", "no failure", "all good", "no_leak", "resources"],
)
def test_what_any_number_decides_or_nobody_knows_before_is_not_foretold(check):
    """Statements about the sample; and how many gaps an answer has."""
    assert too_few(LoadPlan(requests=1), [check]) == ""


@pytest.mark.parametrize(
    ("plan", "sending"),
    [
        (LoadPlan(users=9, requests=40), Sending(40)),
        (LoadPlan(users=9, requests=40, duration_ns=MINUTE_NS), Sending(40, "at most")),
        (LoadPlan(users=9, duration_ns=MINUTE_NS), None),
        (LoadPlan(rate=5.0, duration_ns=MINUTE_NS), Sending(300, "about")),
        (LoadPlan(rate=5.0, duration_ns=MINUTE_NS, warm_up_ns=MINUTE_NS), Sending(300, "about")),
        (LoadPlan(rate=5.0, duration_ns=MINUTE_NS, arrival="constant"), Sending(300)),
        (LoadPlan(rate=5.0, duration_ns=MINUTE_NS, requests=40), Sending(40)),
        (LoadPlan(rate=5.0, duration_ns=MINUTE_NS, requests=900), Sending(300, "about")),
        # 2/s for a minute, then from 2 to 4 in another: 120 + 180.
        (
            LoadPlan(rate_stages=(Stage(2, 2, MINUTE_NS), Stage(2, 4, MINUTE_NS))),
            Sending(300, "about"),
        ),
        # Each of 3 users at 0, 10, ... 60 s.
        (
            LoadPlan(users=3, duration_ns=MINUTE_NS, think_time_ns=(10 * NS_PER_S, 20 * NS_PER_S)),
            Sending(21, "at most"),
        ),
        (LoadPlan(users=3, duration_ns=MINUTE_NS, think_time_ns=(0, NS_PER_S)), None),
        (
            LoadPlan(stages=(Stage(1, 3, MINUTE_NS),), think_time_ns=(10 * NS_PER_S, 10 * NS_PER_S)),
            Sending(21, "at most"),
        ),
        (LoadPlan(stages=(Stage(1, 3, MINUTE_NS),)), None),
        (LoadPlan(users=9, requests=40, until="decided"), Sending(40, "at most")),
        (LoadPlan(rate=5.0, duration_ns=MINUTE_NS, until="decided"), Sending(300, "about")),
        (LoadPlan(trace="calls.jsonl"), None),
        (LoadPlan(trace="calls.jsonl", duration_ns=MINUTE_NS), None),
        (LoadPlan(trace="calls.jsonl", requests=40), Sending(40, "at most")),
    ],
)
def test_how_many_requests_a_plan_sends(plan, sending):
    """By its requests, or by a rate or the pauses of its users and its length; else nobody knows."""
    assert sent_by(plan) == sending


def test_a_number_that_is_not_exact_says_so():
    about = LoadPlan(rate=4.0, duration_ns=MINUTE_NS)
    assert too_few(about, [P99]).endswith(
        "this load sends about 240, so it can end undecided or fail, not pass"
    )
    most = LoadPlan(users=9, requests=40, duration_ns=MINUTE_NS)
    assert too_few(most, [P99]).endswith(
        "this load sends at most 40, so it can end undecided or fail, not pass"
    )


def test_of_a_load_that_ends_by_its_duration_nothing_is_said():
    assert too_few(LoadPlan(users=1, duration_ns=1), [P99]) == ""


def good_run(make, number, plan):
    """As good a run as can be: each answer the same, far within every limit."""
    records = [make.streamed(i, 0.5, [0.5]) for i in range(number)]
    return make.run(records, steady_s=number / 100, plan=plan)


def test_a_load_until_decided_says_what_it_needs_at_least():
    """The limit that needs most; nothing of a load that has an end of its own."""
    plan = LoadPlan(users=4, duration_ns=MINUTE_NS, until="decided")
    checks = [Latency(p50_ms=5, p99_ms=2200), ErrorRate(max=0.02)]
    assert too_few(plan, checks) == ""
    assert earliest(plan, checks) == (
        "latency(p99_ms=2200): p99 at 95% needs 388 requests with none over the limit;"
        " this load goes on until all is decided"
    )
    assert earliest(plan, [Resources(rss_mb=1)]) == ""
    assert earliest(LoadPlan(users=4, duration_ns=MINUTE_NS), checks) == ""


def test_a_load_until_decided_that_may_not_send_enough_says_so():
    plan = LoadPlan(users=4, requests=300, until="decided")
    assert too_few(plan, [P99]) == (
        "latency(p99_ms=2200): p99 at 95% needs 388 requests with none over the limit;"
        " this load sends at most 300, so it can end undecided or fail, not pass"
    )


KINDS = [
    P99,
    Latency(p50_ms=2200),
    Latency(ttft_p95_ms=300),
    Latency(tpot_p90_ms=300),
    ErrorRate(max=0.02),
    Goodput(min=0.9, e2e_ms=900),
    Throughput(min_rps=1),
]


# A throughput until decided needs 2 s as well, however many answers there are.
UNTIL = [
    (check, until) for check in KINDS for until in (None, "decided") if not (until and check is KINDS[-1])
]


@pytest.mark.parametrize(("check", "until"), UNTIL)
def test_the_check_itself_passes_from_that_number_on_and_not_below(check, until, make):
    """With one request fewer the best of all runs is undecided."""
    plan = LoadPlan(users=1, requests=1, until=until)
    (need,) = needs(check, plan)

    def word(number: int) -> str:
        (verdict,) = check.judge(Evidence(runs=(good_run(make, number, plan),)))
        return verdict.verdict

    assert [word(need.least - 1), word(need.least)] == ["undecided", "pass"]


def test_the_answers_under_way_when_the_window_ends_are_none_of_throughput():
    """Of 5 users 4 wait for an answer when the first finds nothing left to begin; not so in a short run."""
    (need,) = needs(Throughput(min_rps=1), requests(28))
    assert (need.least, need.said) == (
        29,
        "25 answers in the steady window are needed, and at its end 4 of the requests are still under way",
    )
    for plan in (
        requests(10),
        requests(28, warm_up_ns=NS_PER_MS),
        requests(28, ramp_up_ns=NS_PER_MS),
        requests(28, think_time_ns=(0, NS_PER_MS)),
        LoadPlan(rate=1.0, requests=28),
    ):
        (need,) = needs(Throughput(min_rps=1), plan)
        assert need.least == 25


def test_every_check_that_a_share_or_mean_decides_is_reckoned_with():
    """A further check that needs numbers would be left out silently."""
    reckoned = {check.name for check in KINDS}
    sample_only = {"no_leak", "resources", "no_degradation", "no_regression", "no_log_errors"} | {"isolation"}
    assert set(CHECKS) - sample_only == reckoned
    assert all(check_class(name) for name in CHECKS)


@pytest.mark.parametrize("check", [ErrorRate(max=1e-7), Goodput(min=0.9999999, e2e_ms=900)])
def test_a_share_too_small_for_any_load_is_told_and_not_stumbled_over(check):
    plan = LoadPlan(users=5, until="decided", duration_ns=MINUTE_NS)
    assert "needs over 10000000 requests with none" in earliest(plan, [check])

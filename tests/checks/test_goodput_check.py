"""The goodput check."""

from __future__ import annotations

import pytest

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.goodput import Goodput
from pytest_llmserve.domain.errors import MarkerError
from pytest_llmserve.domain.keywords import build
from pytest_llmserve.domain.result import GeneratorHealth


def only(check: Goodput, *runs):
    (verdict,) = check.judge(Evidence(runs=runs))
    return verdict


@pytest.fixture
def mixed(make):
    """0, 1, ... 980 ms and 19 failures: 911 of 1000 within 910 ms."""
    return make.run_of(make.spread_out([float(i) for i in range(981)] + ["http_5xx"] * 19))


@pytest.mark.parametrize(
    ("least", "verdict", "holds"),
    [
        (0.89, "pass", True),
        (0.9, "undecided", True),
        (0.911, "undecided", True),
        (0.912, "undecided", False),
        (0.93, "fail", False),
    ],
)
def test_goodput_is_judged_under_at_and_over_the_limit(least, verdict, holds, mixed):
    found = only(Goodput(min=least, e2e_ms=910), mixed)
    assert (found.verdict, found.holds, found.estimate, found.n) == (verdict, holds, 0.911, 1000)
    assert found.estimate == mixed.goodput(e2e_ms=910)


@pytest.mark.parametrize(
    ("least", "sentence"),
    [
        (0.88, "goodput 91.1% >= 88% (95% interval 89-92.8%, n=1000): {note}"),
        (0.95, "goodput 91.1% < 95% (95% interval 89-92.8%, n=1000): {note}"),
        (
            0.9,
            (
                "goodput 91.1% >= 90%, undecided (95% interval 89-92.8%, n=1000): {note};"
                " 90% at 95% needs 1053 requests with 89 over a limit,"
                " about 2200 if 8.9% stay over a limit"
            ),
        ),
        (
            0.92,
            (
                "goodput 91.1% < 92%, undecided (95% interval 89-92.8%, n=1000): {note};"
                " that can be chance where 80 may be:"
                " about 2800 requests would tell if 8.9% stay over a limit"
            ),
        ),
    ],
)
def test_it_says_how_many_missed_which_limit(least, sentence, mixed):
    note = "89 of 1000 requests over a limit (e2e_ms > 910: 70, failed: 19)"
    assert only(Goodput(min=least, e2e_ms=910), mixed).sentence == sentence.format(note=note)


def test_a_request_must_meet_all_limits_at_once(make):
    slow_start = [make.streamed(i, 400, [10, 10]) for i in range(30)]
    slow_flow = [make.streamed(30 + i, 40, [90, 90]) for i in range(30)]
    fine = [make.streamed(60 + i, 40, [10, 10]) for i in range(40)]
    found = only(Goodput(min=0.98, ttft_ms=300, tpot_ms=50), make.run(slow_start + slow_flow + fine))
    assert (found.verdict, found.estimate) == ("fail", 0.4)
    assert "60 of 100 requests over a limit (ttft_ms > 300: 30, tpot_ms > 50: 30)" in found.sentence


@pytest.mark.parametrize(("limit_ms", "verdict"), [(999, "fail"), (1000, "pass"), (1001, "pass")])
def test_a_share_of_one_is_a_statement_about_the_sample(limit_ms, verdict, make):
    run = make.run_of(make.spread_out([float(i) for i in range(1, 1001)]))
    assert only(Goodput(min=1, e2e_ms=limit_ms), run).verdict == verdict


def test_99_percent_needs_299_good_requests(make):
    few, enough = (only(Goodput(min=0.99, e2e_ms=50), make.run_of([9.0] * n)) for n in (298, 299))
    assert (few.verdict, enough.verdict) == ("undecided", "pass")
    assert few.sentence == (
        "goodput 100% >= 99%, undecided (95% interval 98.8-100%, n=298):"
        " 99% at 95% needs 299 requests with none over a limit"
    )
    assert enough.sentence == "goodput 100% >= 99% (95% interval 99% and above, n=299)"


def test_all_failed_fails(make):
    found = only(Goodput(min=0.001, e2e_ms=50), make.run_of(["reset"] * 2))
    assert (found.verdict, found.estimate) == ("fail", 0.0)
    assert found.sentence.endswith("2 of 2 requests over a limit (failed: 2)")


def test_tpot_without_token_counts_is_no_evidence(make):
    run = make.run([make.record(0, 5.0), make.record(1, 5.0, output_tokens=None)])
    found = only(Goodput(min=0.9, tpot_ms=20), run)
    assert (found.verdict, found.estimate) == ("undecided", None)
    assert found.sentence == (
        "goodput: no evidence, 1 of 2 answers came without a token count:"
        " stream them, or have the server send its usage"
    )
    assert only(Goodput(min=0.9, e2e_ms=20), run).estimate == 1.0


@pytest.mark.parametrize("token_ns", [(5_000_000,), (5_000_000,) * 50], ids=["not streamed", "held back"])
def test_tpot_of_answers_in_one_piece_is_no_evidence(token_ns, make):
    """50 tokens at once are not 50 tokens in no time."""
    run = make.run([make.record(i, 5.0, output_tokens=50, token_ns=token_ns) for i in range(400)])
    found = only(Goodput(min=0.9, tpot_ms=20), run)
    assert (found.verdict, found.estimate, found.holds) == ("undecided", None, None)
    assert found.sentence == (
        "goodput: no evidence, no answer of more than one token came in more than one piece: is streaming on?"
    )
    assert run.goodput(tpot_ms=20) == 0.0
    assert run.tpot_ms.n == 0
    assert run.goodput(e2e_ms=20) == 1.0


def test_an_answer_of_one_token_meets_a_limit_on_tpot(make):
    run = make.run([make.record(i, 5.0) for i in range(400)])
    assert only(Goodput(min=0.9, tpot_ms=20), run).verdict == "pass"
    assert run.goodput(tpot_ms=20) == 1.0
    assert make.run([make.record(0, 5.0, output_tokens=None)]).goodput(tpot_ms=20) == 0.0


@pytest.mark.parametrize(
    ("slow", "pieces", "word", "estimate"),
    [
        pytest.param(0, 5, "pass", 1.0, id="too few to matter"),
        pytest.param(0, 60, "undecided", 1.0, id="would be too many, were they slow"),
        pytest.param(200, 20, "fail", 180 / 380, id="too many are slow anyway"),
    ],
)
def test_answers_in_one_piece_count_against_either_verdict(slow, pieces, word, estimate, make):
    """As slow ones where the limit is to be shown kept, as quick ones where it is to be shown missed."""
    kinds = make.spread_out(["slow"] * slow + ["piece"] * pieces + ["quick"] * (400 - slow - pieces))
    records = {
        "slow": lambda i: make.streamed(i, 40, [90, 90]),
        "quick": lambda i: make.streamed(i, 40, [10, 10]),
        "piece": lambda i: make.record(i, 60.0, output_tokens=3),
    }
    run = make.run([records[kind](i) for i, kind in enumerate(kinds)])
    found = only(Goodput(min=0.9, tpot_ms=50), run)
    assert (found.verdict, found.n) == (word, 400)
    assert found.estimate == pytest.approx(estimate)
    low, high = found.interval
    assert low <= (400 - slow - pieces) / 400 <= (400 - slow) / 400 <= high
    if word == "undecided":
        assert found.sentence.endswith(": 60 of 400 answers came in one piece, so their TPOT is not known")
    if slow:
        assert "200 of 400 requests over a limit (tpot_ms > 50: 200)" in found.sentence


def test_goodput_of_all_is_not_shown_by_answers_in_one_piece(make):
    records = [make.streamed(i, 40, [10, 10]) for i in range(30)]
    one_piece = make.record(30, 60.0, output_tokens=3)
    found = only(Goodput(min=1, tpot_ms=50), make.run([*records, one_piece]))
    assert (found.verdict, found.estimate) == ("undecided", 1.0)
    assert found.sentence.endswith(": 1 of 31 answers came in one piece, so their TPOT is not known")
    slow = make.streamed(31, 40, [90])
    assert only(Goodput(min=1, tpot_ms=50), make.run([*records, one_piece, slow])).verdict == "fail"
    late = make.record(30, 60.0, output_tokens=3)
    assert only(Goodput(min=1, tpot_ms=50, e2e_ms=59), make.run([*records[:3], late])).verdict == "fail"


def test_nothing_sent_and_no_run_are_no_evidence(make):
    check = Goodput(min=0.9, ttft_ms=20)
    assert only(check, make.run([])).sentence == (
        "goodput: no evidence, no request was sent: give more requests=, or a longer duration="
    )
    assert only(check).sentence == "goodput: no evidence, no load ran in this test: call llm_load()"


def test_the_strictest_limit_is_the_one_a_send_lag_is_held_against(make):
    run = make.run_of([9.0] * 400, healthy=GeneratorHealth(send_lag_ms={"p99": 1.0}))
    assert only(Goodput(min=0.9, e2e_ms=500), run).verdict == "pass"
    spoiled = only(Goodput(min=0.9, ttft_ms=50, e2e_ms=500), run)
    assert spoiled.verdict == "undecided"
    assert spoiled.sentence.endswith(
        "the load generator was the bottleneck (send lag p99 1.0 ms, over 1% of the limit);"
        " add --llm-load-workers, or run on a quieter machine"
    )


@pytest.mark.parametrize(("latency_ms", "word"), [(52.1, "fail"), (50.9, "undecided"), ("malformed", "fail")])
def test_late_sends_do_not_excuse_what_is_over_its_limits_by_more(latency_ms, word, make):
    run = make.run_of([5.0] * 10 + [latency_ms] * 390, healthy=GeneratorHealth(send_lag_ms={"p99": 2.0}))
    assert only(Goodput(min=0.9, e2e_ms=50), run).verdict == word


@pytest.mark.parametrize(
    ("keywords", "fault"),
    [
        ({"ttft_ms": 5}, "goodput: needs min, the share of requests that must be good, such as min=0.99"),
        ({"min": 0.9}, "goodput: needs at least one of ttft_ms, tpot_ms, e2e_ms"),
        ({"min": 0, "e2e_ms": 5}, "goodput: min=0 would hold whatever happens"),
        ({"min": 99, "e2e_ms": 5}, "goodput: min: 99 is not a share from 0 to 1 (0.2 % is 0.002)"),
    ],
)
def test_a_faulty_marker_is_refused(keywords, fault):
    with pytest.raises(MarkerError) as caught:
        build(Goodput, "goodput", (), keywords)
    assert str(caught.value) == fault

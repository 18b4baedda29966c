"""What an undecided sentence says is still needed is true: a run of that size decides."""

from __future__ import annotations

import math
import random
import re
from statistics import NormalDist

import pytest

from pytest_llmserve.checks.error_rate import ErrorRate
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.finding import ALPHA
from pytest_llmserve.checks.latency import Latency
from pytest_llmserve.checks.shares import Share
from pytest_llmserve.checks.throughput import Throughput
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.stats.binomial import requests_at_share


def judged(check, run):
    return check.judge(Evidence(runs=(run,)))


def number_in(sentence: str) -> int:
    """The number after "about", which is rounded up."""
    (found,) = re.findall(r"about ([\d,]+)", sentence)
    return int(found.replace(",", ""))


SHARES = [(k, n) for n in (50, 200, 900, 4000) for k in {1, 2, round(0.004 * n), n // 20, n // 8} if k]


@pytest.mark.parametrize("allowed", [0.002, 0.01, 0.05, 0.1])
@pytest.mark.parametrize(("bad", "n"), SHARES)
@pytest.mark.parametrize("alike", [1.0, 3.0])
def test_so_many_observations_decide_if_the_share_stays(bad, n, allowed, alike):
    """And half as many do not, where whole numbers are no matter: it is not merely large."""
    needed = requests_at_share(bad / n, allowed, ALPHA)
    if needed is None:
        assert bad / n == allowed
        return

    def decided(size: int) -> bool:
        share = Share(round(size * bad / n), size, allowed, alike, alike)
        return (share.p_beyond if bad / n > allowed else share.p_within) <= ALPHA

    assert decided(round(needed * alike))
    assert needed * bad / n < 10 or not decided(round(needed * alike / 2))


@pytest.mark.parametrize(
    ("bad", "n", "limit", "word"), [(3, 100, 0.02, "fail"), (3, 100, 0.04, "pass"), (1, 300, 0.01, "pass")]
)
def test_a_run_of_the_size_that_the_sentence_names_is_decided(bad, n, limit, word, make):
    """The same share failing in a run so much longer."""

    def run(failed: int, size: int):
        return make.run_of(make.spread_out(["reset"] * failed + [1.0] * (size - failed)))

    check = ErrorRate(max=limit)
    (found,) = judged(check, run(bad, n))
    assert found.verdict == "undecided"
    size = number_in(found.sentence)
    (longer,) = judged(check, run(round(size * bad / n), size))
    assert longer.verdict == word


def test_the_number_is_of_a_verdict_among_all_limits_of_the_marker(make):
    """Of two limits one is shown to be broken at half the level, so it takes more requests."""
    run = make.run_of(make.spread_out([1000.0 + i for i in range(200)]))
    alone = judged(Latency(p99_ms=1196), run)[0]
    beside = judged(Latency(p99_ms=1196, p50_ms=1110), run)[1]
    assert (alone.verdict, beside.verdict) == ("undecided", "undecided")
    assert number_in(beside.sentence) > number_in(alone.sentence)


def test_a_share_at_the_limit_itself_is_said_to_be_so(make):
    """No run would ever tell."""
    run = make.run_of(make.spread_out(["reset"] * 2 + [1.0] * 98))
    (found,) = judged(ErrorRate(max=0.02), run)
    assert found.sentence.endswith(
        "2% at 95% needs 313 requests with 2 failing; no number would tell if 2% stay failing"
    )


@pytest.mark.parametrize(("limit_ms", "word"), [(102, "pass"), (98.5, "fail")])
def test_so_many_requests_decide_a_mean_if_mean_and_spread_stay(limit_ms, word, make):
    """Normal latencies of mean 100 and spread 10, in an order without dependence; half as many do not."""

    def verdict(n: int):
        values = [NormalDist(100, 10).inv_cdf((i + 0.5) / n) for i in range(n)]
        return judged(Latency(mean_ms=limit_ms), make.run_of(make.spread_out(values)))[0]

    found = verdict(60)
    assert (found.verdict, round(found.estimate)) == ("undecided", 100)
    needed = number_in(found.sentence)
    assert needed > 60
    assert [verdict(needed // 2).verdict, verdict(needed).verdict] == ["undecided", word]


def test_a_mean_of_one_value_says_that_it_needs_two(make):
    (found,) = judged(Latency(mean_ms=500), make.run_of([100.0]))
    assert found.sentence == (
        "mean e2e latency 100 ms <= 500 ms, undecided (95% interval unbounded, n=1): a mean needs 2 requests"
    )


def test_a_mean_at_its_limit_is_said_to_be_so(make):
    (found,) = judged(Latency(mean_ms=100), make.run_of([90.0, 110.0] * 10))
    assert found.sentence.endswith("n=20): no number of requests would tell if mean and spread stay")


def answers(make, count: int, seconds: float, seed: int):
    """So many answers at random instants of a window, of a server with a constant rate."""
    source = random.Random(seed)
    at_ms = sorted(source.uniform(0, 1000 * seconds) for _ in range(count))
    records = [make.record(i, 0.001, sent_ns=round(at * 1e6)) for i, at in enumerate(at_ms)]
    return make.run(records, steady_s=seconds)


@pytest.mark.parametrize(("limit", "word"), [(19.0, "pass"), (21.0, "fail")])
def test_so_long_a_window_decides_a_throughput_if_rate_and_spread_stay(limit, word, make):
    """20 answers a second: the number found in 10 s, twice that long, decides nearly all further runs."""
    check = Throughput(min_rps=limit)
    needed, words = [], []
    for seed in range(40):
        (found,) = judged(check, answers(make, 200, 10, seed))
        if found.verdict != "undecided":
            continue
        (times,) = re.findall(r"a steady window ([\d.]+) times as long", found.sentence)
        needed.append(float(times))
    assert len(needed) > 20
    typical = sorted(needed)[len(needed) // 2]
    for seed in range(100, 140):
        longer = answers(make, round(200 * 2 * typical), 10 * 2 * typical, seed)
        words.append(judged(check, longer)[0].verdict)
    assert words.count(word) >= 36
    shorter = [judged(check, answers(make, 100, 5, seed))[0].verdict for seed in range(200, 240)]
    assert shorter.count("undecided") >= 20


def test_a_throughput_at_its_floor_is_said_to_be_so(make):
    run = make.run([make.record(i, 0.001, sent_ns=(10 * i + i % 7) * 10**6) for i in range(100)], steady_s=1)
    (found,) = judged(Throughput(min_rps=100), run)
    assert found.verdict == "undecided"
    assert found.sentence.endswith(": no longer run would tell if rate and spread stay")


UNTIL = LoadPlan(users=4, until="decided", duration_ns=60_000_000_000)


@pytest.mark.parametrize(("bad", "n", "limit", "word"), [(3, 100, 0.02, "fail"), (0, 120, 0.01, "pass")])
def test_a_run_until_decided_is_so_after_the_number_that_its_sentence_names(bad, n, limit, word, make):
    """Each tenth answer fails, or none, as in the beginning: a few looks later it is decided."""

    def run(failed: int, size: int):
        failing = {round((i + 0.5) * size / failed) for i in range(failed)}
        return make.run_of(["reset" if i in failing else 1.0 for i in range(size)], plan=UNTIL)

    check = ErrorRate(max=limit)
    (found,) = judged(check, run(bad, n))
    assert found.verdict == "undecided"
    assert found.sentence.endswith(": raise max_duration or requests")
    size = round(1.1 * number_in(found.sentence))
    (longer,) = judged(check, run(round(size * bad / n), size))
    assert longer.verdict == word


@pytest.mark.parametrize(("limit_ms", "word"), [(103, "pass"), (97, "fail")])
def test_a_mean_until_decided_names_the_look_that_decides(limit_ms, word, make):
    hundred = [NormalDist(100, 20).inv_cdf((i + 0.5) / 100) for i in range(100)]
    values = [value for seed in range(30) for value in random.Random(seed).sample(hundred, 100)]
    check = Latency(mean_ms=limit_ms)

    def verdict(n: int):
        return judged(check, make.run_of(values[:n], plan=UNTIL))[0]

    assert verdict(60).sentence.endswith(": a mean needs 100 requests")
    found = verdict(110)
    assert found.verdict == "undecided"
    needed = number_in(found.sentence)
    assert 110 < needed < 1500
    assert verdict(2 * needed).verdict == word


def test_a_throughput_until_decided_needs_two_seconds(make):
    run = make.run([make.record(i, 1.0) for i in range(150)], steady_s=1.5, plan=UNTIL)
    (found,) = judged(Throughput(min_rps=50), run)
    assert found.sentence == (
        "throughput 100 requests/s >= 50 requests/s, undecided (n=150):"
        " 25 answers in the steady window are needed, and 2 s of it"
    )


def test_a_throughput_until_decided_names_the_window_that_decides(make):
    """20 answers in each second, at random instants of it; 5.4 s are looked at after 2, 3 and 4.5 s."""

    def verdict(seconds: float):
        source = random.Random(12)
        at_s = sorted(second + source.random() for second in range(math.ceil(seconds)) for _ in range(20))
        records = [make.record(i, 0.001, sent_ns=round(at * 1e9)) for i, at in enumerate(at_s)]
        return judged(Throughput(min_rps=18), make.run(records, steady_s=seconds, plan=UNTIL))[0]

    found = verdict(5.4)
    assert found.verdict == "undecided"
    (times,) = re.findall(
        r"a steady window ([\d.]+) times as long, .+, would tell .+: raise max_duration or requests",
        found.sentence,
    )
    assert 1 < float(times) < 30
    assert verdict(5.4 * float(times)).verdict == "pass"

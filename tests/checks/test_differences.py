"""How two runs differ, in words: a difference is told only where its interval leaves 0."""

from __future__ import annotations

import math
import random
import re

import pytest

from pytest_llmserve.checks.differences import Difference, differences, spread
from pytest_llmserve.domain.measurement import Measurement


def run(times=1.0, *, n=1500, seed=1, failed=0, rate=None):
    """Latencies of 100 ms, more or less, so many times as long; so many failed, here and there."""
    dice = random.Random(seed)
    e2e = [times * dice.uniform(80, 120) for _ in range(n)]
    for place in dice.sample(range(n), failed):
        e2e[place] = math.inf
    rates = {} if rate is None else {"requests_per_s": [rate * dice.uniform(0.95, 1.05) for _ in range(20)]}
    return Measurement(
        name="x",
        plan={},
        series={"e2e_ms": e2e, "ttft_ms": [math.nan] * n, "tpot_ms": [math.nan] * n},
        rates=rates,
        throughput={} if rate is None else {"requests_per_s": rate},
        counts={"sent": n, "failed": failed},
    )


def told(before, after):
    return {each.metric: each for each in differences(before, after)}


def test_slower_and_faster_are_told_with_their_interval():
    """12 % more is seen as such, and as much less the other way; the interval holds the truth."""
    found = told(run(), run(1.12, seed=2))["e2e_p50"]
    assert found.seen
    assert found.worse
    assert found.interval[0] < 12 < found.interval[1]
    low, high = (f"{end:.0f}" if end >= 10 else f"{end:.1f}" for end in found.interval)
    assert found.sentence == f"{found.change:.0f}% slower (95% interval {low} to {high}%)"
    back = told(run(1.12, seed=2), run())["e2e_p50"]
    assert (back.seen, back.worse) == (True, False)
    assert "% faster (95% interval " in back.sentence
    assert -16 < back.interval[0] < back.interval[1] < 0


def test_no_difference_says_what_could_have_been_seen():
    """Two runs of one server: never "the same", but how large a change would have shown."""
    found = told(run(), run(seed=2))["e2e_p95"]
    assert (found.seen, found.worse) == (False, None)
    assert found.sentence.startswith("no difference seen, smallest detectable was ")
    assert 0 < found.detectable < 10


def test_intervals_of_a_table_hold_together():
    """Beside ten other figures an interval is wider than alone."""
    pair = run(rate=50), run(1.12, seed=2, rate=50)
    alone = differences(*pair, metrics=["e2e_p50"])[0].interval
    beside = told(*pair)["e2e_p50"].interval
    assert beside[0] < alone[0] < alone[1] < beside[1]


def test_few_requests_say_how_many_are_needed():
    """A p99 of 60 requests is told, and nothing claimed of it."""
    found = told(run(n=60), run(2.0, n=60, seed=2))["e2e_p99"]
    assert (found.seen, found.interval) == (None, None)
    needed = re.fullmatch(r"not known: (\d+) requests in each run are needed", found.sentence)
    assert int(needed[1]) >= 300  # three beyond p99, in each


def test_an_interval_that_bounds_nothing_is_no_difference_seen():
    """Four times as slow, in a table of so many figures that ten requests bound none: nothing is known."""
    found = told(run(n=10, rate=40), run(4.4, n=10, seed=2, rate=40))["e2e_p50"]
    assert (found.seen, found.interval) == (None, None)
    assert found.sentence == "not known: too few independent requests to bound it; run longer"


def test_figures_nobody_has_are_left_out():
    """No TTFT on either side: no row; a rate on one side alone: a row that says so."""
    found = told(run(rate=40), run())
    assert not any(metric.startswith(("ttft", "tpot")) for metric in found)
    assert found["throughput"].sentence == "not known: it is not known here"
    assert found["throughput"].before == 40


def test_failures_that_reach_a_figure_are_a_difference():
    """The p99 of a run in which 5 % failed is no number, and that is told."""
    found = told(run(), run(seed=2, failed=75))
    assert found["e2e_p99"].sentence == "failed requests reach this figure now"
    assert (found["e2e_p99"].seen, found["e2e_p99"].worse) == (True, True)
    errors = found["error_rate"]
    assert errors.sentence.startswith("5.0 percentage points more (95% interval ")
    assert (errors.before, errors.after, errors.worse) == (0, 5, True)
    back = told(run(seed=2, failed=75), run())
    assert back["e2e_p99"].sentence == "failed requests no longer reach this figure"
    chance = told(run(n=200), run(n=200, seed=2, failed=3))["e2e_p99"]
    assert (chance.seen, chance.worse) == (None, None)
    said = (
        "not known: failed requests reach this figure now, but that can be chance; more requests would tell"
    )
    assert chance.sentence == said
    both = told(run(failed=75), run(seed=2, failed=75))
    assert both["e2e_p99"].sentence == "not known: failed requests reach this figure in both runs"


def test_less_throughput_is_worse():
    """A rate that falls is to the worse, one that rises to the better."""
    found = told(run(rate=50), run(seed=2, rate=40))["throughput"]
    assert (found.seen, found.worse) == (True, True)
    assert "% less (95% interval " in found.sentence
    assert not told(run(rate=40), run(seed=2, rate=50))["throughput"].worse


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((8.2, 16.4), "8.2 to 16%"),
        ((-16.4, -8.2), "8.2 to 16%"),
        ((8.2, math.inf), "8.2% and more"),
        ((0.002, 3.6), "0.002 to 3.6%"),
        ((0.21, 0.24), "0.21 to 0.24%"),
    ],
)
def test_an_interval_on_one_side_of_0_never_seems_to_hold_it(interval, said):
    """Signs are in the word; digits are enough that a low end over 0 is over 0."""
    assert spread(interval, "%") == said


def test_plain_data_has_no_number_that_json_has_not():
    """Infinite and unknown are None."""
    plain = Difference(
        metric="e2e_p50", name="p50 e2e latency", unit="ms", before=1.0, after=math.inf, sentence="s"
    ).as_json()
    assert (plain["before"], plain["after"], plain["change"], plain["interval"]) == (1.0, None, None, None)

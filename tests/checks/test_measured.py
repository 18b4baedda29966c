"""A run as a measurement: what a later run is held against."""

from __future__ import annotations

import math

import msgspec
import pytest

from pytest_llmserve.checks import measured
from pytest_llmserve.checks.measured import measurement_of
from pytest_llmserve.checks.series import in_order
from pytest_llmserve.domain.metrics import DEFINITIONS
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.result import GeneratorHealth
from pytest_llmserve.domain.units import NS_PER_MS


def test_series_stand_in_the_order_of_sending(make):
    """Whatever order the records have; neighbours in time are neighbours in the series."""
    records = [make.record(number, 10.0 + number) for number in (2, 0, 1)]
    assert list(measurement_of(make.run(records)).series["e2e_ms"]) == [10.0, 11.0, 12.0]


def test_a_failed_request_is_infinite_in_every_series(make):
    """Also where it had a token before it failed."""
    failed = make.record(1, "cut_off", token_ns=(12 * NS_PER_MS,))
    found = measurement_of(make.run([make.record(0, 10.0), failed]))
    assert {name: values[1] for name, values in found.series.items()} == dict.fromkeys(found.series, math.inf)
    assert found.counts == {"sent": 2, "failed": 1, "dropped": 0}


def test_a_figure_that_a_request_has_not_is_no_number(make):
    """The TPOT of one token; every series has a place for each request."""
    found = measurement_of(make.run([make.record(0, 10.0), make.streamed(1, 5.0, [2.0, 4.0])]))
    assert math.isnan(found.series["tpot_ms"][0])
    assert found.series["tpot_ms"][1] == pytest.approx(3.0)
    assert {len(values) for values in found.series.values()} == {2}


def test_every_try_of_a_request_counts(make):
    """A server whose first tries all fail is not as good as one that answers them."""
    records = [make.record(0, "reset"), make.record(0, 10.0, attempt=2, sent_ns=40 * NS_PER_MS)]
    found = measurement_of(make.run(records, plan=LoadPlan(users=1, retries=1)))
    assert list(found.series["e2e_ms"]) == [math.inf, 10.0]
    assert found.counts == {"sent": 2, "failed": 1, "dropped": 0}


def test_dropped_requests_are_counted_apart(make):
    """They say nothing of the server."""
    found = measurement_of(make.run([make.record(0, 10.0), make.record(1, "dropped")]))
    assert found.counts == {"sent": 1, "failed": 0, "dropped": 1}
    assert len(found.series["e2e_ms"]) == 1


def test_rates_are_those_of_the_slices_of_the_steady_window(make):
    """One answer in each 10 ms: 100 a second in every slice, and over the whole window."""
    records = [make.streamed(number, 1.0, [1.0]) for number in range(100)]
    found = measurement_of(make.run(records, steady_s=1))
    assert found.rates["requests_per_s"] == pytest.approx([100.0] * 20)
    assert found.rates["output_tokens_per_s"] == pytest.approx([200.0] * 20)
    assert found.throughput == pytest.approx({"requests_per_s": 100.0, "output_tokens_per_s": 200.0})


def test_tokens_that_were_not_counted_have_no_rate(make):
    """Not a rate of zero."""
    records = [make.record(number, 2.0, output_tokens=None, tokens_from=None) for number in range(100)]
    found = measurement_of(make.run(records, steady_s=1))
    assert found.rates["output_tokens_per_s"] == []
    assert math.isnan(found.throughput["output_tokens_per_s"])


def test_what_the_figures_depend_on_comes_along(make):
    """Plan, prompts' hash, definitions, where, of whom, when, and how the run went."""
    run = make.run(
        [make.record(0, 10.0)],
        plan=LoadPlan(users=7, requests=1),
        healthy=GeneratorHealth(cpu_percent=97.0, ended="interrupted", server_gone="from 2 s on"),
        prompts="abc",
    )
    server = {"url": "http://x"}
    found = measurement_of(run, name="main", environment={"cpus": 2}, server=server, taken_at="2026-01-02")
    assert found.plan == msgspec.to_builtins(run.plan)
    assert (found.name, found.prompts, found.taken_at) == ("main", "abc", "2026-01-02")
    assert (found.environment, found.server, found.definitions) == ({"cpus": 2}, server, DEFINITIONS)
    assert (found.ended, found.gone) == ("interrupted", "from 2 s on")
    assert "busiest load worker at 97% CPU" in found.spoiled


def test_nothing_that_a_request_says_comes_along(make):
    """A system prompt or a key may be a field of the request; where a trace lies is no one's business."""
    params = {"temperature": 0.2, "system": "You are Aunt Agatha.", "api_key": "sk-secret"}
    plan = LoadPlan(users=1, params=params, trace="/home/agatha/calls.jsonl")
    found = measurement_of(make.run([make.record(0, 10.0)], plan=plan)).plan
    assert (found["params"]["temperature"], found["trace"]) == (0.2, "calls.jsonl")
    assert found["params"].keys() == params.keys()
    assert not any(word in str(found).lower() for word in ("agatha", "secret"))


def test_the_figures_of_a_run_are_gathered_once(make, monkeypatch):
    """It is judged, compared and kept; how the run went is asked each time."""
    gathered = []
    monkeypatch.setattr(measured, "in_order", lambda records: gathered.append(1) or in_order(records))
    run = make.run([make.record(0, 10.0)])
    first = measurement_of(run)
    run.generator = GeneratorHealth(ended="interrupted")
    again = measurement_of(run, name="main")
    assert len(gathered) == 1
    assert (again.series, again.counts, again.name) == (first.series, first.counts, "main")
    assert (first.ended, again.ended) == ("complete", "interrupted")
    assert measurement_of(make.run([make.record(0, 20.0)])).series != first.series


def test_who_served_each_request_is_kept(make):
    """As a place among the names; NaN where it is not known. Of one that served all there is nothing."""
    served = ["b:2", "a:1", None, "b:2"]
    run = make.run([make.record(number, 10.0, served_by=name) for number, name in enumerate(served)])
    found = measurement_of(run)
    assert found.served_by == ["a:1", "b:2"]
    places = list(found.series["served_by"])
    assert [places[0], places[1], places[3]] == [1.0, 0.0, 1.0]
    assert math.isnan(places[2])
    alone = measurement_of(make.run_of([10.0]))
    assert (alone.served_by, "served_by" in alone.series) == ([], False)

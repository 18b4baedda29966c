"""The truth that verdicts are held against is itself right."""

from __future__ import annotations

import math

import numpy as np
import pytest

NAMES = [
    "exponential",
    "bimodal",
    "mm1-80",
    "ml1-65",
    "md1-80",
    "mm4-80",
    "closed-8-4",
    "bursts-5",
    "stalls-10",
    "pauses-50",
]
NAMES += ["drift-up", "drift-down", "ar1-90", "periodic-20", "failures-10"]


@pytest.mark.parametrize("name", NAMES)
def test_runs_are_over_the_true_quantile_as_often_as_it_says(proof, name):
    """Of many short runs, each begun in the steady state, 1 - q of all requests are over quantile q."""
    process = proof("processes").PROCESSES[name]
    drawn = process.draw(np.random.default_rng(3), 2000, 100)
    assert drawn.latency.shape == drawn.sent.shape == (2000, 100)
    assert (np.diff(drawn.sent, axis=1) >= 0).all()
    for q in (0.5, 0.9, 0.97):
        over = (drawn.latency > process.quantile(q)).mean(axis=1)
        # Runs are independent of each other: the error of the mean is known, whatever is alike within a run.
        error = over.std() / math.sqrt(len(over))
        assert abs(over.mean() - (1 - q)) < 5 * error, (q, over.mean(), error)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.8), (4, 0.8), (4, 0.5)])
def test_the_formula_of_a_queue_agrees_with_its_simulation(proof, servers, load):
    queues = proof("queues")
    latency, _ = queues.Queue("m", servers, load).draw(np.random.default_rng(4), 20_000, 40)
    means = latency.mean(axis=1)
    waits = queues.erlang_c(servers, load) / (servers * (1 - load))
    mean_ms = queues.SERVICE_MS * (1 + waits)
    assert abs(means.mean() - mean_ms) < 5 * means.std() / math.sqrt(len(means))


@pytest.mark.parametrize("service", "mld")
def test_waits_in_the_steady_state_have_the_mean_of_pollaczek_and_khinchine(proof, service):
    """load * E[residual] / (1 - load)."""
    queues = proof("queues")
    rng = np.random.default_rng(5)
    waits = queues.stationary_wait(rng, service, 0.8, 200_000)
    served = queues.SERVICES[service].draw(rng, (1_000_000,))
    residual = (served**2).mean() / (2 * served.mean())
    assert waits.mean() == pytest.approx(0.8 * residual / 0.2, rel=0.03)


def test_failures_come_as_often_as_said(proof):
    for name in ("failures-1", "failures-10", "failures-50"):
        process = proof("processes").PROCESSES[name]
        drawn = process.draw(np.random.default_rng(6), 4000, 100)
        failed = np.isinf(drawn.latency).mean(axis=1)
        assert abs(failed.mean() - process.failing) < 5 * failed.std() / math.sqrt(len(failed))


def test_slow_spells_have_the_length_said(proof):
    slow = proof("processes").spells(np.random.default_rng(7), 2000, 500, 20.0, 0.1)
    begun = (slow[:, 1:] & ~slow[:, :-1]).sum()
    assert slow[:, 1:].sum() / begun == pytest.approx(20.0, rel=0.1)

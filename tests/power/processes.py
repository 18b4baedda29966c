"""Latency processes of known quantiles: what a server may be like, drawn many runs at a time.

A process draws `Runs`: arrays of shape (runs, requests), each row a run of its own that begins in the steady
state. Its true quantile is that of the whole process, not of a run: from its formula where there is one, else
from ten million values or more of a seed of its own. Times are in milliseconds.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import queues
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import optimize, special

Array = NDArray[np.float64]

GAP_MS = 10.0
"""Mean time between sends where nothing else says when a request is sent."""
MEDIAN_MS = 100.0
TRUTH_SEED = 20_000_000
TRUTH_VALUES = 10_000_000
TRUTH_BLOCK = 1_000_000


class Runs(NamedTuple):
    """Latencies and the times of sending, in milliseconds, each (runs, requests); inf = failed."""

    latency: Array
    sent: Array


class Process(NamedTuple):
    """One law.

    Attributes:
        family: processes that are alike, one part of the table.
        told: what it is, in a few words.
        draw: (generator, runs, requests) -> `Runs`.
        quantile: of latency, in milliseconds.
        failing: share of requests that fail.
    """

    name: str
    family: str
    told: str
    draw: Callable[[Generator, int, int], Runs]
    quantile: Callable[[float], float]
    failing: float = 0.0


def poisson_sends(rng: Generator, runs: int, n: int) -> Array:
    """Times of sending of an open loop."""
    return np.cumsum(rng.exponential(GAP_MS, (runs, n)), axis=1)


def lognormal(rng: Generator, shape: tuple[int, ...], sigma: float, median_ms: float = MEDIAN_MS) -> Array:
    return median_ms * np.exp(sigma * rng.standard_normal(shape))


def lognormal_above(limit_ms: float, sigma: float, median_ms: float = MEDIAN_MS) -> float:
    """Share of a lognormal law over a limit."""
    return float(special.ndtr(-math.log(limit_ms / median_ms) / sigma))


def from_shares(above: Callable[[float], float]) -> Callable[[float], float]:
    """The quantile function of a law given by its share over a limit."""

    @functools.cache
    def quantile(q: float) -> float:
        return float(optimize.brentq(lambda ms: above(ms) - (1 - q), 1e-3, 1e6, xtol=1e-9, rtol=1e-13))

    return quantile


def from_values(draw: Callable[[Generator, int], Array]) -> Callable[[float], float]:
    """The quantile function of a law that can be drawn only: of ten million values, kept in memory."""

    @functools.cache
    def values() -> Array:
        rng = np.random.default_rng(TRUTH_SEED)
        blocks = [draw(rng, TRUTH_BLOCK) for _ in range(TRUTH_VALUES // TRUTH_BLOCK)]
        return np.sort(np.concatenate(blocks))

    return lambda q: float(np.quantile(values(), q))


# Independent requests


def independent(
    name: str, told: str, draw: Callable[[Generator, tuple[int, int]], Array], quantile: Any
) -> Process:
    return Process(
        name,
        "independent",
        told,
        lambda rng, runs, n: Runs(draw(rng, (runs, n)), poisson_sends(rng, runs, n)),
        quantile,
    )


HIT_SHARE, HIT_MS, MISS_MS = 0.7, 30.0, 200.0


def hit_or_miss(rng: Generator, shape: tuple[int, int]) -> Array:
    """A prompt cache: most answers fast, the others slow."""
    median = np.where(rng.random(shape) < HIT_SHARE, HIT_MS, MISS_MS)
    return median * lognormal(rng, shape, 0.25, 1.0)


def hit_or_miss_above(limit_ms: float) -> float:
    hits = lognormal_above(limit_ms, 0.25, HIT_MS)
    return HIT_SHARE * hits + (1 - HIT_SHARE) * lognormal_above(limit_ms, 0.25, MISS_MS)


# Spells, pauses, drift, waves: requests that are alike because of when they were sent

SLOW_SHARE, SLOW_FACTOR = 0.1, 3.0


def spells(
    rng: Generator, runs: int, n: int, mean_length: float, share: float = SLOW_SHARE
) -> NDArray[np.bool_]:
    """Which requests are in spells of a mean length in requests: a Markov chain in its steady state."""
    leave = 1 / mean_length
    enter = min(1.0, leave * share / (1 - share))
    within = np.empty((n, runs), np.bool_)
    state = rng.random(runs) < share
    for at in range(n):
        within[at] = state
        change = rng.random(runs)
        state = np.where(state, change >= leave, change < enter)
    return within.T


def slowed(name: str, told: str, share: float, factor: float, length: Callable[[int], float]) -> Process:
    """A share of the requests is slower by a factor, in spells of a mean length that a run's length gives."""

    def draw(rng: Generator, runs: int, n: int) -> Runs:
        slow = spells(rng, runs, n, max(2.0, length(n)), share)
        latency = lognormal(rng, (runs, n), 0.3) * np.where(slow, factor, 1.0)
        return Runs(latency, poisson_sends(rng, runs, n))

    def above(limit_ms: float) -> float:
        slow = lognormal_above(limit_ms / factor, 0.3)
        return share * slow + (1 - share) * lognormal_above(limit_ms, 0.3)

    return Process(name, "bursts", told, draw, from_shares(above))


def bursts(part_of_run: float) -> Process:
    """A tenth of the requests three times as slow, in spells of a part of the run."""
    percent = round(100 * part_of_run)
    told = f"slow spells of {percent} % of the run"
    return slowed(f"bursts-{percent}", told, SLOW_SHARE, SLOW_FACTOR, lambda n: part_of_run * n)


def stalls(length: float) -> Process:
    """A few requests stalled for very long, in spells of so many."""
    told = f"3 % are 50 times slower, in spells of {length:g}"
    return slowed(f"stalls-{length:g}", told, 0.03, 50.0, lambda _: length)


def pauses(every_ms: float, stop_ms: float) -> Process:
    """The server stops again and again; what is under way or sent meanwhile waits for its end."""

    def late(phase: Array, base: Array) -> Array:
        """`phase` = time from the begin of the last stop to the sending."""
        waiting = np.maximum(0.0, stop_ms - phase)
        ends = phase + waiting + base
        return base + waiting + stop_ms * np.floor(np.maximum(0.0, ends) / every_ms)

    def draw(rng: Generator, runs: int, n: int) -> Runs:
        sent = poisson_sends(rng, runs, n)
        phase = (sent + rng.uniform(0, every_ms, (runs, 1))) % every_ms
        return Runs(late(phase, lognormal(rng, (runs, n), 0.3)), sent)

    def some(rng: Generator, count: int) -> Array:
        return late(rng.uniform(0, every_ms, count), lognormal(rng, (count,), 0.3))

    told = f"a stop of {stop_ms:g} ms every {every_ms / GAP_MS:g} requests"
    return Process(f"pauses-{every_ms / GAP_MS:g}", "pauses", told, draw, from_values(some))


def drift(total: float) -> Process:
    """The median goes evenly from one value to another; the truth is the quantile of the whole run."""

    def draw(rng: Generator, runs: int, n: int) -> Runs:
        level = 1 + total * (np.arange(n) + 0.5) / n
        return Runs(lognormal(rng, (runs, n), 0.3) * level, poisson_sends(rng, runs, n))

    def above(limit_ms: float) -> float:
        parts = 1 + total * (np.arange(2000) + 0.5) / 2000
        return float(np.mean(special.ndtr(-np.log(limit_ms / (MEDIAN_MS * parts)) / 0.3)))

    way = "up" if total > 0 else "down"
    told = f"the median creeps {way} by {abs(total):.0%}"
    return Process(f"drift-{way}", "drift", told, draw, from_shares(above))


def correlated(rho: float) -> Process:
    """The logarithm of latency is an autoregressive series of first order."""
    sigma = 0.5

    def draw(rng: Generator, runs: int, n: int) -> Runs:
        noise = rng.standard_normal((n, runs))
        series = np.empty((n, runs))
        series[0] = noise[0]
        fresh = math.sqrt(1 - rho**2)
        for at in range(1, n):
            series[at] = rho * series[at - 1] + fresh * noise[at]
        return Runs(MEDIAN_MS * np.exp(sigma * series.T), poisson_sends(rng, runs, n))

    told = f"neighbours correlated by {rho:g}"
    law = from_shares(functools.partial(lognormal_above, sigma=sigma))
    return Process(f"ar1-{round(100 * rho)}", "correlated", told, draw, law)


def periodic(period: int) -> Process:
    """Latency swings by a half, once in so many requests."""

    def swung(phase: Array, base: Array) -> Array:
        return base * (1 + 0.5 * np.sin(2 * np.pi * phase))

    def draw(rng: Generator, runs: int, n: int) -> Runs:
        phase = np.arange(n) / period + rng.random((runs, 1))
        return Runs(swung(phase, lognormal(rng, (runs, n), 0.3)), poisson_sends(rng, runs, n))

    def some(rng: Generator, count: int) -> Array:
        return swung(rng.random(count), lognormal(rng, (count,), 0.3))

    return Process(f"periodic-{period}", "periodic", f"a wave of {period} requests", draw, from_values(some))


def failures(mean_length: float, share: float = 0.02) -> Process:
    """Some requests fail, one by one or in spells of a mean length in requests."""

    def draw(rng: Generator, runs: int, n: int) -> Runs:
        failed = (
            rng.random((runs, n)) < share if mean_length <= 1 else spells(rng, runs, n, mean_length, share)
        )
        latency = lognormal(rng, (runs, n), 0.3)
        return Runs(np.where(failed, math.inf, latency), poisson_sends(rng, runs, n))

    how = "one by one" if mean_length <= 1 else f"in spells of {mean_length:g}"
    return Process(
        f"failures-{mean_length:g}",
        "failures",
        f"2 % fail, {how}",
        draw,
        lambda q: (
            math.inf
            if q > 1 - share
            else from_shares(lambda ms: share + (1 - share) * lognormal_above(ms, 0.3))(q)
        ),
        failing=share,
    )


# Queues


def open_queue(queue: queues.Queue) -> Process:
    return Process(
        queue.name, queue.family, queue.told, lambda *asked: Runs(*queue.draw(*asked)), queue.quantile
    )


def closed_loop(users: int, slots: int, think_ms: float = 0.0) -> Process:
    law = queues.Closed(users, slots, think_ms)
    return Process(law.name, "closed loop", law.told, lambda *asked: Runs(*law.draw(*asked)), law.quantile)


def _all() -> list[Process]:
    exponential = from_shares(lambda ms: math.exp(-ms / MEDIAN_MS))
    return [
        independent("exponential", "exponential", lambda rng, s: rng.exponential(MEDIAN_MS, s), exponential),
        *(
            independent(
                f"lognormal-{sigma:g}",
                f"lognormal, sigma {sigma:g}",
                lambda rng, s, sigma=sigma: lognormal(rng, s, sigma),
                from_shares(functools.partial(lognormal_above, sigma=sigma)),
            )
            for sigma in (0.3, 1.0)
        ),
        independent("bimodal", "cache hit or miss", hit_or_miss, from_shares(hit_or_miss_above)),
        *(open_queue(queue) for queue in queues.QUEUES),
        *(closed_loop(*each) for each in ((4, 1), (8, 4), (8, 4, 100.0))),
        *map(bursts, (0.01, 0.05, 0.1)),
        stalls(10.0),
        *(pauses(*each) for each in ((500.0, 50.0), (5000.0, 200.0))),
        *map(drift, (0.1, -0.1)),
        *map(correlated, (0.5, 0.9)),
        *map(periodic, (20, 200)),
        *map(failures, (1, 10, 50)),
    ]


PROCESSES: dict[str, Process] = {process.name: process for process in _all()}

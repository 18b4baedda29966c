"""Queues with a first-come-first-served line, simulated for many runs at a time.

One server: Lindley's recursion (1952), begun in the steady state by the formula of Pollaczek and
Khinchine: the wait of an M/G/1 queue is a geometric number of residual services. Several: the vector of
workloads of Kiefer and Wolfowitz (1955), begun empty and run in. Times are in milliseconds; the mean service
is 100 ms.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import optimize

Array = NDArray[np.float64]

SERVICE_MS = 100.0
TRUTH_SEED = 10_000_000
TRUTH_VALUES = 10_000_000
SPREAD = 0.5
"""Sigma of lognormal service."""
JITTER = 0.1
"""A nearly fixed service lies within this part of its mean, evenly."""


class Service(NamedTuple):
    """How long a request is served, and how long a service met at a random instant has still to go."""

    told: str
    draw: Callable[[Generator, tuple[int, ...]], Array]
    residual: Callable[[Generator, int], Array]


def _lognormal(rng: Generator, shape: tuple[int, ...]) -> Array:
    return rng.lognormal(math.log(SERVICE_MS) - SPREAD**2 / 2, SPREAD, shape)


def _lognormal_residual(rng: Generator, count: int) -> Array:
    # A service met at a random instant is drawn in proportion to its length: mu + sigma^2.
    return rng.random(count) * rng.lognormal(math.log(SERVICE_MS) + SPREAD**2 / 2, SPREAD, count)


def _fixed(rng: Generator, shape: tuple[int, ...]) -> Array:
    return SERVICE_MS * rng.uniform(1 - JITTER, 1 + JITTER, shape)


def _fixed_residual(rng: Generator, count: int) -> Array:
    low, high = (1 - JITTER) ** 2, (1 + JITTER) ** 2
    return rng.random(count) * SERVICE_MS * np.sqrt(rng.uniform(low, high, count))


SERVICES = {
    "m": Service(
        "exponential",
        lambda rng, shape: rng.exponential(SERVICE_MS, shape),
        lambda rng, count: rng.exponential(SERVICE_MS, count),
    ),
    "l": Service("lognormal", _lognormal, _lognormal_residual),
    "d": Service("nearly fixed", _fixed, _fixed_residual),
}


@dataclass(frozen=True)
class Queue:
    """M/G/c: Poisson arrivals, `servers` of them busy for `load` of the time."""

    service: str
    servers: int
    load: float

    @property
    def name(self) -> str:
        return f"m{self.service}{self.servers}-{round(100 * self.load)}"

    @property
    def family(self) -> str:
        return "queue, up to 80 % load" if self.load <= 0.8 else "queue, over 80 % load"

    @property
    def told(self) -> str:
        slots = "1 slot" if self.servers == 1 else f"{self.servers} slots"
        return f"{slots}, {SERVICES[self.service].told} service, {self.load:.0%} load"

    def draw(self, rng: Generator, runs: int, n: int) -> tuple[Array, Array]:
        """Latencies and times of sending, (runs, n) each."""
        gaps = rng.exponential(SERVICE_MS / (self.load * self.servers), (runs, n))
        if self.servers == 1:
            latency = self._lindley(rng, gaps)
        else:
            latency = self._workloads(rng, gaps)
        return latency, np.cumsum(gaps, axis=1)

    def quantile(self, q: float) -> float:
        """True quantile of the time in the system."""
        if self.service == "m":
            return _sojourn_quantile(self.servers, self.load, q)
        return float(np.quantile(_truth(self), q))

    def _lindley(self, rng: Generator, gaps: Array) -> Array:
        runs, n = gaps.shape
        service = SERVICES[self.service].draw(rng, (runs, n))
        latency = np.empty((runs, n))
        wait = stationary_wait(rng, self.service, self.load, runs)
        for at in range(n):
            if at:
                wait = np.maximum(0.0, latency[:, at - 1] - gaps[:, at])
            latency[:, at] = wait + service[:, at]
        return latency

    def _workloads(self, rng: Generator, gaps: Array) -> Array:
        runs, n = gaps.shape
        work = np.zeros((runs, self.servers))
        for _ in range(self.run_in):
            gap = rng.exponential(SERVICE_MS / (self.load * self.servers), runs)
            self._serve(rng, work, gap)
        return np.stack([self._serve(rng, work, gaps[:, at]) for at in range(n)], axis=1)

    def _serve(self, rng: Generator, work: Array, gap: Array) -> Array:
        """One arrival a run; `work` holds what each server has still to do, least first."""
        np.maximum(0.0, work - gap[:, None], out=work)
        latency = work[:, 0] + SERVICES[self.service].draw(rng, (len(work),))
        work[:, 0] = latency
        work.sort(axis=1)
        return latency

    @property
    def run_in(self) -> int:
        """Arrivals until the start is forgotten: five relaxation times of a single fast server."""
        return round(5 * 2 / (1 - math.sqrt(self.load)) ** 2)


def stationary_wait(rng: Generator, service: str, load: float, count: int) -> Array:
    """Waits of an M/G/1 queue in its steady state, independent of each other."""
    residuals = rng.geometric(1 - load, count) - 1
    wait = np.zeros(count)
    left = np.flatnonzero(residuals)
    while len(left):
        wait[left] += SERVICES[service].residual(rng, len(left))
        residuals[left] -= 1
        left = left[residuals[left] > 0]
    return wait


@functools.cache
def _truth(law: Queue | Closed) -> Array:
    rng = np.random.default_rng(TRUTH_SEED)
    if isinstance(law, Queue) and law.servers == 1:
        waits = stationary_wait(rng, law.service, law.load, TRUTH_VALUES)
        return np.sort(waits + SERVICES[law.service].draw(rng, (TRUTH_VALUES,)))
    latency, _ = law.draw(rng, 5000, TRUTH_VALUES // 5000)
    return np.sort(latency, axis=None)


def erlang_c(servers: int, load: float) -> float:
    """Probability that a request of M/M/c has to wait."""
    offered = servers * load
    none_waits = sum(offered**k / math.factorial(k) for k in range(servers))
    waiting = offered**servers / math.factorial(servers) / (1 - load)
    return waiting / (none_waits + waiting)


@functools.cache
def _sojourn_quantile(servers: int, load: float, q: float) -> float:
    """Of M/M/c: the wait is exponential with probability C (Erlang), the service follows it."""
    waits = erlang_c(servers, load)
    drain, serve = servers * (1 - load), 1.0  # rates, in units of a mean service

    def above(t: float) -> float:
        served = math.exp(-serve * t)
        if math.isclose(drain, serve):
            return (1 - waits) * served + waits * (1 + t) * served
        both = (drain * served - serve * math.exp(-drain * t)) / (drain - serve)
        return (1 - waits) * served + waits * both

    return SERVICE_MS * float(optimize.brentq(lambda t: above(t) - (1 - q), 1e-9, 1e4, xtol=1e-12))


@dataclass(frozen=True)
class Closed:
    """Closed loop: each user sends again when answered, after an exponential pause; exponential service."""

    users: int
    slots: int
    think_ms: float = 0.0

    @property
    def name(self) -> str:
        return f"closed-{self.users}-{self.slots}{'-think' if self.think_ms else ''}"

    @property
    def told(self) -> str:
        slots = "1 slot" if self.slots == 1 else f"{self.slots} slots"
        return f"{self.users} users, {slots}{', who think' if self.think_ms else ''}"

    def draw(self, rng: Generator, runs: int, n: int) -> tuple[Array, Array]:
        """Latencies and times of sending, (runs, n) each, in the order of sending."""
        rows, run_in = np.arange(runs), 50 * self.users
        asks = np.zeros((runs, self.users))
        free = np.zeros((runs, self.slots))
        latency, sent = np.empty((n, runs)), np.empty((n, runs))
        for at in range(-run_in, n):
            user, slot = asks.argmin(axis=1), free.argmin(axis=1)
            begun = asks[rows, user]
            end = np.maximum(begun, free[rows, slot]) + rng.exponential(SERVICE_MS, runs)
            if at >= 0:
                latency[at], sent[at] = end - begun, begun
            free[rows, slot] = end
            asks[rows, user] = end + (rng.exponential(self.think_ms, runs) if self.think_ms else 0.0)
        return latency.T, (sent - sent[0]).T

    def quantile(self, q: float) -> float:
        """True quantile of latency, from a long simulation."""
        return float(np.quantile(_truth(self), q))


LOADS = (0.3, 0.5, 0.65, 0.8, 0.9, 0.95)
QUEUES = [
    *(Queue("m", 1, load) for load in LOADS),
    *(Queue("m", 4, load) for load in LOADS),
    *(Queue(service, servers, load) for service in "ld" for servers in (1, 4) for load in LOADS),
]

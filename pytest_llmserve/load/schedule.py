"""When the requests of an open loop are due. No clock: times are counted from the start of the run.

There is one schedule, made of the plan and its seed alone. Every worker walks through all of
it and takes each arrival whose number is its own modulo the workers, so the same instants
are kept whatever the number of workers. It is made as it is walked: nothing of it is stored.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

import msgspec

from pytest_llmserve.domain.plan import POISSON, LoadPlan, Stage
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.load.stages import stage_at, stage_starts

# The order of prompts and the arrivals are drawn apart, or their numbers would be related.
_ARRIVAL_SEED = 0x5EED_A221


class Arrival(msgspec.Struct, frozen=True):
    """One request that is due: its number in the whole run, and when."""

    number: int
    at_ns: int
    warm_up: bool = False
    stage: int = 0


class Schedule:
    """Walks through the arrivals of one worker; mutable, once through.

    Args:
        plan: with `rate`, `rate_stages`, or `trace`.
        worker: whose arrivals.
        recorded_ns: of a trace: the instants of this worker's rows.
        recorded_end_ns: where the whole trace ends: not with this worker's last row.

    Attributes:
        end_ns: known when all is walked through: the end of the stages or the duration, or where
            the first arrival beyond `requests` would have been.
    """

    def __init__(
        self,
        plan: LoadPlan,
        worker: int = 0,
        recorded_ns: Sequence[int] | None = None,
        recorded_end_ns: int = 0,
    ) -> None:
        self.end_ns: int | None = None
        self._plan, self._worker, self._recorded_ns = plan, worker, recorded_ns
        self._recorded_end_ns = recorded_end_ns

    def __iter__(self) -> Iterator[Arrival]:
        plan = self._plan
        if self._recorded_ns is not None:
            yield from self._recorded(self._recorded_ns)
            return
        over_ns = None if plan.measured_ns is None else plan.warm_up_ns + plan.measured_ns
        starts, measured = stage_starts(plan), 0
        for number, at_ns in enumerate(instants(plan)):
            if over_ns is not None and at_ns >= over_ns:
                break
            warm_up = at_ns < plan.warm_up_ns
            if not warm_up and plan.requests is not None:
                if measured >= plan.requests:
                    self.end_ns = at_ns
                    return
                measured += 1
            if number % plan.workers == self._worker:
                yield Arrival(number, at_ns, warm_up, stage_at(starts, at_ns))
        self.end_ns = over_ns

    def _recorded(self, recorded_ns: Sequence[int]) -> Iterator[Arrival]:
        for place, at_ns in enumerate(recorded_ns):
            yield Arrival(
                self._worker + place * self._plan.workers, at_ns, warm_up=at_ns < self._plan.warm_up_ns
            )
        self.end_ns = self._recorded_end_ns


def instants(plan: LoadPlan) -> Iterator[int]:
    """Instants of all arrivals in ns, without an end unless stages give one.

    A Poisson process of unit rate (exponential gaps), or the whole numbers for constant
    arrivals, carried over to the rate in force by inverting its integral: Cinlar,
    *Introduction to Stochastic Processes*, 1975, section 4.7.
    """
    counts = _unit_poisson(plan.seed) if plan.arrival == POISSON else _whole_numbers()
    begin_s = passed = 0.0
    pieces = _pieces(plan)
    begin, end, length_s = next(pieces)
    for count in counts:
        while count >= passed + _arrivals_in(begin, end, length_s):
            passed += _arrivals_in(begin, end, length_s)
            begin_s += length_s
            piece = next(pieces, None)
            if piece is None:
                return
            begin, end, length_s = piece
        yield round((begin_s + _inverted(count - passed, begin, end, length_s)) * NS_PER_S)


def _unit_poisson(seed: int) -> Iterator[float]:
    uniform, at = random.Random(seed ^ _ARRIVAL_SEED).random, 0.0
    while True:
        at -= math.log(1.0 - uniform())
        yield at


def _whole_numbers() -> Iterator[float]:
    number = 0.0
    while True:
        yield number
        number += 1.0


def _pieces(plan: LoadPlan) -> Iterator[tuple[float, float, float]]:
    """(rate at the beginning, rate at the end, seconds), the warm-up first."""
    if plan.rate is not None:
        yield plan.rate, plan.rate, math.inf
        return
    first = plan.rate_stages[0].begin
    warm_up = Stage(first, first, plan.warm_up_ns)
    for stage in (warm_up, *plan.rate_stages):
        if stage.duration_ns:
            yield stage.begin, stage.end, stage.duration_ns / NS_PER_S


def _arrivals_in(begin: float, end: float, length_s: float) -> float:
    return (begin + end) / 2 * length_s


def _inverted(count: float, begin: float, end: float, length_s: float) -> float:
    """Seconds until `count` arrivals, at a rate that goes evenly from `begin` to `end`.

    Solves begin * x + (end - begin) / length * x^2 / 2 = count, in the form that does not cancel.
    """
    bend = (end - begin) / length_s
    divisor = begin + math.sqrt(max(0.0, begin * begin + 2 * bend * count))
    return 2 * count / divisor if divisor else 0.0

"""Workers' beats to one `LoadProgress`. No clock: instants come in."""

from __future__ import annotations

import math
import random
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter, deque

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.progress import LoadProgress, Quantiles
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.load.job import Beat

RATE_WINDOW_NS = 5 * NS_PER_S
LEAST_STEP_NS = 400_000_000
MOST_VALUES = 20_000


class LatenciesSoFar:
    """Exact up to `most` values; from there on a uniform sample of all (reservoir, algorithm R).

    The p99 of 20,000 values taken from more is off by less than 0.15 % in rank, nearly always.
    """

    def __init__(self, most: int = MOST_VALUES, seed: int = 0) -> None:
        self._most = most
        self._random = random.Random(seed)
        self._values: list[float] = []
        self._n = 0

    def add(self, values_ms: bytes) -> None:
        """Take an array of float32."""
        values = array("f", values_ms)
        room = max(0, self._most - len(self._values))
        self._values.extend(values[:room])
        self._n += min(room, len(values))
        for value in values[room:]:
            self._n += 1
            at = int(self._random.random() * self._n)
            if at < self._most:
                self._values[at] = value

    def quantiles(self) -> Quantiles:
        """Of all values so far."""
        # In place: what was sorted last time is sorted again in one pass, and which of the places
        # a new value takes is drawn without regard to their order.
        self._values.sort()
        return Quantiles(p50=self._quantile(0.5), p99=self._quantile(0.99), n=self._n)

    def over(self, limit_ms: float) -> tuple[int, int]:
        """How many of the values kept are finite and over a limit, and how many are kept."""
        self._values.sort()
        return bisect_left(self._values, math.inf) - bisect_right(self._values, limit_ms), len(self._values)

    def _quantile(self, q: float) -> float:
        if not self._values:
            return math.nan
        return self._values[max(1, math.ceil(q * len(self._values) - 1e-9)) - 1]


class ProgressTally:
    """Mutable; one a run.

    Args:
        plan: of the whole run.
        begin_ns: when it began, monotonic.
    """

    def __init__(self, plan: LoadPlan, begin_ns: int) -> None:
        self._plan, self._begin_ns = plan, begin_ns
        self._by_outcome: Counter[str] = Counter()
        self._tokens = self._warm_up = 0
        self._sent: dict[int, int] = {}
        self._active: dict[int, int] = {}
        self._oldest: dict[int, int | None] = {}
        self._e2e, self._ttft = LatenciesSoFar(), LatenciesSoFar()
        self._answered = self._answered_tokens = 0
        self._steps: deque[tuple[int, int, int]] = deque([(begin_ns, 0, 0)])
        self._news = False
        self._last: LoadProgress | None = None
        self._last_ns = begin_ns

    def add(self, worker: int, beat: Beat, at_ns: int) -> None:
        """Take what a worker told at an instant."""
        self._by_outcome.update(beat.by_outcome)
        self._tokens += beat.tokens
        self._warm_up += beat.warm_up
        self._sent[worker], self._active[worker] = beat.sent, beat.active
        self._oldest[worker] = beat.oldest_ns
        self._e2e.add(beat.e2e_ms)
        self._ttft.add(beat.ttft_ms)
        self._answered += beat.by_outcome.get("ok", 0) + beat.warm_up_ok
        self._answered_tokens += beat.tokens + beat.warm_up_tokens
        self._steps.append((at_ns, self._answered, self._answered_tokens))
        while len(self._steps) > 2 and self._steps[1][0] <= at_ns - RATE_WINDOW_NS:
            self._steps.popleft()
        self._news = True

    def over(self, figure: str, limit_ms: float) -> tuple[int, int]:
        """Answers over a limit so far, and of how many requests; see `LatenciesSoFar`.

        Args:
            figure: "e2e" or "ttft".
            limit_ms: failed requests are not over it: how they failed is known.
        """
        return (self._ttft if figure == "ttft" else self._e2e).over(limit_ms)

    def progress(self, now_ns: int, *, over: bool = False) -> LoadProgress:
        """The run as of now: the very object of the last call until there is news and some time has passed.

        Args:
            now_ns: monotonic.
            over: all workers are done, so that all news counts at once.
        """
        due = over or now_ns - self._last_ns >= LEAST_STEP_NS
        if self._last is None or (self._news and due):
            self._last, self._last_ns, self._news = self._make(now_ns), now_ns, False
        return self._last

    def _make(self, now_ns: int) -> LoadProgress:
        (from_ns, answered, tokens), (to_ns, *_) = self._steps[0], self._steps[-1]
        seconds = (to_ns - from_ns) / NS_PER_S
        return LoadProgress(
            elapsed_ns=max(0, now_ns - self._begin_ns),
            total_ns=planned_ns(self._plan),
            total_requests=self._plan.requests,
            sent=sum(self._sent.values()),
            active=sum(self._active.values()),
            oldest_ns=max((age for age in self._oldest.values() if age is not None), default=None),
            by_outcome=dict(self._by_outcome),
            warm_up=self._warm_up,
            tokens=self._tokens,
            requests_per_s=(self._answered - answered) / seconds if seconds > 0 else math.nan,
            tokens_per_s=(self._answered_tokens - tokens) / seconds if seconds > 0 else math.nan,
            ttft_ms=self._ttft.quantiles(),
            e2e_ms=self._e2e.quantiles(),
        )


def planned_ns(plan: LoadPlan) -> int | None:
    """From the start to where no request begins any more; None when only requests bound the run."""
    return None if plan.measured_ns is None else plan.warm_up_ns + plan.measured_ns

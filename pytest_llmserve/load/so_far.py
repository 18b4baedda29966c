"""What is known of a load that goes on, as if it had ended at an instant."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from pytest_llmserve.domain.outcome import DROPPED
from pytest_llmserve.domain.plan import COMPLETE, LoadPlan
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult
from pytest_llmserve.load.health import Lateness
from pytest_llmserve.load.job import Strain, WorkerSummary
from pytest_llmserve.load.merge import health, in_order
from pytest_llmserve.load.shard import ShardTail


class SoFar:
    """The requests that were begun up to an instant, and no others; all of them are over.

    What has ended so far is no fair sample of what was begun: the slow ones are still under way.
    So each worker's requests count in the order of their beginning, up to the first that is not
    over; and all workers' up to the instant that the one that is furthest behind has reached.
    Mutable; one a run.

    Args:
        plan: of the run, with the number of workers that play it.
        shards: path prefix of each worker's files, in their order.
        begin_ns: the run's first instant, monotonic.
    """

    def __init__(self, plan: LoadPlan, shards: Sequence[str], begin_ns: int) -> None:
        self._plan, self._begin_ns = plan, begin_ns
        self._tails = [ShardTail(shard) for shard in shards]
        self._prefixes = [Prefix(index, plan.workers, plan.retries) for index in range(len(shards))]
        self._strains: dict[int, Strain] = {}
        self._send_lag = [Lateness() for _ in shards]

    def hear(self, worker: int, strain: Strain) -> None:
        """Take what a worker tells of itself."""
        self._strains[worker] = strain
        for delay_ns in array("q", strain.send_lag_ns):
            self._send_lag[worker].add(delay_ns)

    def count(self) -> int:
        """Read what has come, and count the measured requests that are known.

        Raises:
            GeneratorError: a shard is missing or damaged.
        """
        for tail, prefix in zip(self._tails, self._prefixes, strict=True):
            prefix.add(tail.read())
        until_ns = self._until_ns()
        return sum(prefix.measured_until(until_ns) for prefix in self._prefixes)

    def result(self) -> LoadResult:
        """What `count` has counted, with as much of the generator's health as is known before its end."""
        until_ns = self._until_ns()
        records = in_order(record for prefix in self._prefixes for record in prefix.records_until(until_ns))
        steady_ns = self._begin_ns + max(self._plan.warm_up_ns, self._plan.ramp_up_ns)
        return LoadResult(
            self._plan,
            records,
            self._health(records),
            (steady_ns, max(steady_ns, until_ns)),
            start_ns=self._begin_ns,
        )

    def _health(self, records: Sequence[RequestRecord]) -> GeneratorHealth:
        """Late sends, busy cores, dropped arrivals: a verdict that these leave open is not given yet."""
        # Arrivals are crowded out up to now, records known up to an instant.
        crowded = min(
            sum(strain.crowded for strain in self._strains.values()),
            sum(record.outcome == DROPPED for record in records),
        )
        summaries = [
            WorkerSummary(
                index=index,
                start_ns=0,
                drain_ns=0,
                end_ns=strain.elapsed_ns,
                cpu_ns=strain.cpu_ns,
                chunks=0,
                stamped_reads=0,
                unstamped_reads=0,
                send_lag_ns=self._send_lag[index].sample(),
                receive_lag_ns=[],
                reopened=0,
                unfinished=0,
                crowded=0 if place else crowded,
                ended=COMPLETE,
            )
            for place, (index, strain) in enumerate(self._strains.items())
        ]
        return health(summaries, records, self._plan.transport, is_open=self._plan.is_open)

    def _until_ns(self) -> int:
        return min(prefix.until_ns for prefix in self._prefixes)


class Prefix:
    """One worker's records in the order of their requests' beginning, without a gap. Mutable.

    Args:
        index: of the worker; its requests are `index`, `index + step`, ... in the order of beginning.
        step: the number of workers.
        retries: how often a failed request is sent again; until then it is not over.
    """

    def __init__(self, index: int, step: int, retries: int = 0) -> None:
        self._next_id, self._step, self._retries = index, step, retries
        self._ahead: dict[int, list[RequestRecord]] = {}
        self._over: set[int] = set()
        self._records: list[RequestRecord] = []
        # Of each record: when its request was first due, and how many had been measured then, it among them.
        self._due_ns, self._measured = array("q"), array("q")

    @property
    def until_ns(self) -> int:
        """When the last known request was due; every one that was due before is known. 0 without any."""
        return self._due_ns[-1] if self._due_ns else 0

    def add(self, records: Iterable[RequestRecord]) -> None:
        """Take records in any order but that of the tries of one request."""
        for record in records:
            self._ahead.setdefault(record.id, []).append(record)
            if record.ok or record.attempt > self._retries or record.outcome == DROPPED:
                self._over.add(record.id)
        while self._next_id in self._over:
            self._over.remove(self._next_id)
            self._append(self._ahead.pop(self._next_id))
            self._next_id += self._step

    def _append(self, tries: list[RequestRecord]) -> None:
        # A turn may be due a little before that of an earlier request, where two answers came together.
        due_ns = max(self.until_ns, tries[0].scheduled_ns)
        measured = (self._measured[-1] if self._measured else 0) + (not tries[0].warm_up)
        for record in tries:
            self._records.append(record)
            self._due_ns.append(due_ns)
            self._measured.append(measured)

    def measured_until(self, until_ns: int) -> int:
        """Number of measured requests that were due up to an instant."""
        place = bisect_right(self._due_ns, until_ns)
        return self._measured[place - 1] if place else 0

    def records_until(self, until_ns: int) -> list[RequestRecord]:
        """The records of all requests that were due up to an instant, warm-up too."""
        return self._records[: bisect_right(self._due_ns, until_ns)]

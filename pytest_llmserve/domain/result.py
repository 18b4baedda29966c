"""What one load run found."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Any

import msgspec

from pytest_llmserve.domain import metrics
from pytest_llmserve.domain.errors import MissingExtra
from pytest_llmserve.domain.metrics import Distribution, Throughput
from pytest_llmserve.domain.outcome import DROPPED
from pytest_llmserve.domain.plan import COMPLETE, DECIDED, LoadPlan
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.samples import MemoryChange, ResourceWindow
from pytest_llmserve.domain.stacks import Profile
from pytest_llmserve.domain.stages import stage_rows
from pytest_llmserve.domain.turns import turn_rows


class GeneratorHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How well the load generator itself did.

    Attributes:
        transport: what carried the requests: "sockets" or "httpx".
        protocols: HTTP versions of the answers, such as "HTTP/2".
        clock: where receive stamps came from: "kernel", "user", or "mixed".
        send_lag_ms: delay of sends that is ours, p50, p99 and max.
        receive_lag_ms: how long an answer lay unread: from the kernel's stamp to our read, or longer, as
            long as the load worker was busy elsewhere.
        cpu_percent: share of one core, of the busiest worker.
        late_share: closed loop: the p99 send lag as a share of the median e2e latency, by which the
            load was less than planned; None in open loop and without answers.
        dropped: requests never sent, because we were late or no connection was free.
        crowded: those of them for which none was free: too many others were unanswered.
        merged_share: of the chunks, those that came with another of their answer in one read: they share
            its stamp. So a server writes them, or they were read late.
        reopened: connections the server closed while idle, opened again without a failure.
        resent: measured requests that were sent again on a new connection, as the server closed the kept
            one within 100 ms of their sending: it may have closed it as an idle one, or failed with them.
        unfinished: requests under way when the run was cut short; not in the records.
        saturated: why the generator may have been the bottleneck, or None.
        remedy: what to change where it was.
        pinned: each worker had a CPU of its own to stay on.
        gc_pauses, gc_longest_ms: garbage collections in the workers while they measured.
        ended: why the run ended: "complete", "decided" (of a plan until then), "interrupted", or a sentence.
        server_gone: since when and why the server was gone at the end of the load, "from 4 h on, no
            connection for 5 s (Connection refused)": the load was given up for that, or the server did
            not say a byte for as long as a request may take; or None.
        server_gone_ns: that instant, monotonic clock, where it is known.
        stalls_ns: the first 30 stretches, monotonic clock, in which it sent or read 100 ms late or more.
    """

    transport: str = "sockets"
    protocols: list[str] = []
    clock: str = "user"
    send_lag_ms: dict[str, float] = msgspec.field(default_factory=dict)
    receive_lag_ms: dict[str, float] = msgspec.field(default_factory=dict)
    cpu_percent: float = 0.0
    cpu_s: float = 0.0
    chunks: int = 0
    workers: int = 1
    late_share: float | None = None
    dropped: int = 0
    crowded: int = 0
    merged_share: float = 0.0
    reopened: int = 0
    resent: int = 0
    unfinished: int = 0
    saturated: str | None = None
    remedy: str = "add --llm-load-workers"
    pinned: bool = False
    gc_pauses: int = 0
    gc_longest_ms: float = 0.0
    ended: str = COMPLETE
    server_gone: str | None = None
    server_gone_ns: int | None = None
    stalls_ns: list[tuple[int, int]] = []


class LoadResult:
    """Records of one run, and the figures made of them.

    Warm-up requests are in `warm_up`, and in no figure but the throughput of a window that they reach into.

    Args:
        plan: what was asked for.
        records: all requests, warm-up too.
        generator: health of the load generator.
        steady_ns: (start, stop) of the steady window, monotonic clock.
        resources: the server's samples during the run.
        memory: the server's memory before the run and after settling, when it was watched.
        start_ns: first instant of the plan, monotonic clock; None = reckoned back from `steady_ns`.
        prompts: hash of the prompts it was made with, `load.prompts.prompts_hash`; None = not known.
        rounds: how many rounds of a comparison it was put together of; None = a run of its own. The stamps of
            rounds are moved together, those of `resources` are not.
    """

    def __init__(
        self,
        plan: LoadPlan,
        records: list[RequestRecord],
        generator: GeneratorHealth,
        steady_ns: tuple[int, int] = (0, 0),
        resources: ResourceWindow | None = None,
        memory: MemoryChange | None = None,
        start_ns: int | None = None,
        prompts: str | None = None,
        rounds: int | None = None,
    ) -> None:
        self.plan = plan
        self.requests = [r for r in records if not r.warm_up]
        self.warm_up = [r for r in records if r.warm_up]
        self.generator = generator
        self.steady_ns = steady_ns
        self.resources = resources or ResourceWindow(missing="not watched")
        self.memory = memory
        before_ns = max(plan.warm_up_ns, plan.ramp_up_ns)
        self.start_ns = steady_ns[0] - before_ns if start_ns is None else start_ns
        self.prompts = prompts
        self.rounds = rounds
        self.profile: Profile | None = None
        """The flame graph recorded meanwhile, which disturbs the server; None = none was asked for."""

    @property
    def judged(self) -> list[RequestRecord]:
        """The last try of each request: what a user with retries would see."""
        if not self.plan.retries:
            return self.tried
        last = {r.id: r for r in sorted(self.tried, key=lambda r: r.attempt)}
        return list(last.values())

    @cached_property
    def tried(self) -> list[RequestRecord]:
        """Requests without those that were dropped, which say nothing of the server."""
        return [r for r in self.requests if r.outcome != DROPPED]

    @property
    def everything(self) -> list[RequestRecord]:
        """All that the server was busy with, warm-up too: rates of a window are made of it."""
        return [*self.warm_up, *self.requests]

    @property
    def dropped(self) -> list[RequestRecord]:
        """Requests of an open loop that were never sent because the load generator was too late."""
        return [r for r in self.requests if r.outcome == DROPPED]

    @cached_property
    def ok(self) -> list[RequestRecord]:
        """Requests answered in full."""
        return [r for r in self.requests if r.ok]

    @cached_property
    def failed(self) -> list[RequestRecord]:
        """Requests that ended in any other way; those never sent are in `dropped`."""
        return [r for r in self.tried if not r.ok]

    @property
    def error_rate(self) -> float:
        """Failed / all; NaN when nothing was sent, so that no limit holds."""
        return len(self.failed) / len(self.tried) if self.tried else float("nan")

    @cached_property
    def by_outcome(self) -> dict[str, int]:
        """Number of requests by outcome, most frequent first."""
        return dict(Counter(r.outcome for r in self.requests).most_common())

    @cached_property
    def ttft_ms(self) -> Distribution:
        """Time to first token; a failed request counts as infinitely slow."""
        return metrics.distribution((r.ttft_ms for r in self.ok), len(self.failed))

    @cached_property
    def ttft_sent_ms(self) -> Distribution:
        """Time to first token from the send, also in open loop, where `ttft_ms` counts from the schedule."""
        return metrics.distribution((r.ttft_sent_ms for r in self.ok), len(self.failed))

    @cached_property
    def e2e_sent_ms(self) -> Distribution:
        """End-to-end latency from the send, also in open loop."""
        return metrics.distribution((r.e2e_sent_ms for r in self.ok), len(self.failed))

    @cached_property
    def e2e_ms(self) -> Distribution:
        """End-to-end latency; a failed request counts as infinitely slow."""
        return metrics.distribution((r.e2e_ms for r in self.ok), len(self.failed))

    @cached_property
    def tpot_ms(self) -> Distribution:
        """Time per output token; a failed request counts as infinitely slow."""
        return metrics.distribution((r.tpot_ms for r in self.ok), len(self.failed))

    @cached_property
    def itl_ms(self) -> Distribution:
        """All gaps between chunks of answered requests. A failed request has no gaps to count."""
        return metrics.itl_ms(self.ok)

    @cached_property
    def throughput(self) -> Throughput:
        """Completions per second in the steady window."""
        return metrics.throughput(self.everything, *self.steady_ns)

    @property
    def duration_s(self) -> float:
        """From the first send to the last end, warm-up left out."""
        sent = [r.sent_ns for r in self.requests if r.sent_ns is not None]
        ended = [r.end_ns for r in self.requests if r.end_ns is not None]
        return (max(ended) - min(sent)) / 1e9 if sent and ended else 0.0

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that its requests belong to, in the order of their first; empty without."""
        return tuple(dict.fromkeys(r.task for r in self.everything if r.task is not None))

    def by_task(self, name: str) -> LoadResult:
        """The requests of one task and their figures; the generator and the server are those of the run.

        Raises:
            ValueError: no request belongs to such a task.
        """
        if name not in self.tasks:
            had = f"its tasks are {', '.join(self.tasks)}" if self.tasks else "it has no tasks"
            raise ValueError(f"no task {name!r} in this run: {had}")
        return self._only([r for r in self.everything if r.task == name])

    @cached_property
    def replicas(self) -> tuple[str | None, ...]:
        """Who served it, where several did: each `RequestRecord.served_by`; None = not known of some."""
        names = dict.fromkeys(r.served_by for r in self.everything)
        return tuple(sorted(names, key=lambda name: (name is None, name))) if any(names) else ()

    def by_replica(self, *names: str | None) -> LoadResult:
        """The requests that these of `replicas` served, as `by_task`.

        Raises:
            ValueError: nobody of that name served any.
        """
        for name in names:
            if name not in self.replicas:
                had = f"served by {', '.join(map(str, self.replicas))}" if self.replicas else "one served all"
                raise ValueError(f"no replica {name!r} in this run: {had}")
        return self._only([r for r in self.everything if r.served_by in names])

    def _only(self, records: list[RequestRecord]) -> LoadResult:
        """Some of its requests and their figures; the generator and the server are those of the run."""
        return LoadResult(
            self.plan,
            records,
            self.generator,
            self.steady_ns,
            self.resources,
            start_ns=self.start_ns,
            prompts=self.prompts,
            rounds=self.rounds,
        )

    def goodput(
        self, *, ttft_ms: float | None = None, tpot_ms: float | None = None, e2e_ms: float | None = None
    ) -> float:
        """Share of requests that meet all limits at once; NaN when nothing was sent."""
        if not self.tried:
            return float("nan")
        good = sum(metrics.within_all(r, ttft_ms, tpot_ms, e2e_ms) for r in self.tried)
        return good / len(self.tried)

    @property
    def stages(self) -> list[dict[str, Any]]:
        """One row a stage; a run without stages has one. A warm-up has a row of its own before them."""
        return stage_rows(self.plan, self.warm_up, self.requests, self.steady_ns, self.start_ns)

    @property
    def turns(self) -> list[dict[str, Any]]:
        """One row a turn of the conversations; empty where there were none."""
        return turn_rows(self.requests)

    def to_frame(self) -> Any:
        """All measured requests as a pandas DataFrame, one row a request, without texts.

        Raises:
            MissingExtra: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise MissingExtra("pandas", "pip install pandas") from None
        return pandas.DataFrame([record_row(r) for r in self.requests])

    @property
    def counts(self) -> dict[str, Any]:
        """Sent, ok, failed, by outcome: the counts of the JSON report."""
        return {
            "sent": len(self.tried),
            "ok": len(self.ok),
            "failed": len(self.failed),
            "dropped": len(self.dropped),
            "warm_up": len(self.warm_up),
            "by_outcome": self.by_outcome,
        }

    def __repr__(self) -> str:
        return (
            f"LoadResult({self.plan.describe()}: {len(self.requests)} requests, {len(self.failed)} failed,"
            f" ttft p95 {self.ttft_ms.p95:.4g} ms, e2e p95 {self.e2e_ms.p95:.4g} ms)"
        )


def early_end(ended: str, requests: int, duration_s: float) -> str | None:
    """Why a run ended before its plan's end, for people; None when it did not.

    Args:
        ended: `GeneratorHealth.ended`.
        requests: that were sent and measured.
        duration_s: of the run.
    """
    if ended == COMPLETE:
        return None
    if ended == DECIDED:
        return f"every limit decided after {requests} requests, {duration_s:.1f} s"
    return ended


def record_row(record: RequestRecord) -> dict[str, Any]:
    """A record as a flat row, in the documented order, without its text."""
    return {
        "id": record.id,
        "task": record.task,
        "scheduled_ns": record.scheduled_ns,
        "sent_ns": record.sent_ns,
        "first_byte_ns": record.first_byte_ns,
        "first_token_ns": record.first_token_ns,
        "last_token_ns": record.last_token_ns,
        "end_ns": record.end_ns,
        "token_ns": list(record.token_ns),
        "status": record.status,
        "outcome": record.outcome,
        "error": record.error,
        "input_chars": record.input_chars,
        "output_chars": record.output_chars,
        "output_tokens": record.output_tokens,
        "tokens_from": record.tokens_from,
        "finish_reason": record.finish_reason,
        "attempt": record.attempt,
        "stage": record.stage,
        "steps": [msgspec.to_builtins(step) for step in record.steps],
        "turn": record.turn,
        "conversation": record.conversation,
        "served_by": record.served_by,
    }

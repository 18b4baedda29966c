"""Several short runs, one after the other, as the one run they were cut from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from pytest_llmserve.checks.generator import pause_or_late_read
from pytest_llmserve.domain.marks import first_of, salt_after
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import RequestRecord, Step
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult
from pytest_llmserve.domain.samples import ResourceWindow
from pytest_llmserve.load.merge import saturation

_IDS_A_ROUND = 1 << 20


def round_plan(plan: LoadPlan, number: int, rounds: int, block: int) -> LoadPlan:
    """The plan of one round.

    Each round draws its prompts and pauses anew, from a seed of its own. The first has the whole
    warm-up, the others their part of it.

    Args:
        plan: of all rounds together.
        number: of the round, from 0.
        rounds: how many there are.
        block: rounds of the same block carry the same nonces.
    """
    requests = plan.requests
    if requests is not None:
        requests = requests // rounds + (number < requests % rounds)
    return msgspec.structs.replace(
        plan,
        requests=requests,
        duration_ns=None if plan.duration_ns is None else plan.duration_ns // rounds,
        warm_up_ns=plan.warm_up_ns if number == 0 else plan.warm_up_ns // rounds,
        seed=plan.seed + number,
        salt=None if plan.salt is None else salt_after(plan.salt, block * _IDS_A_ROUND),
    )


def joined(plan: LoadPlan, rounds: Sequence[LoadResult], ended: str | None = None) -> LoadResult:
    """One result of all rounds.

    Stamps are moved, so that each round's steady window begins where that of the one before it ends.
    What was under way at the end of a round is answered in the window of the next one, as in a
    load that goes on. The warm-ups come to lie before all windows, likewise one after the other. Samples
    of the server keep their instants: nothing may be reckoned from them and the records together.

    Args:
        plan: of all rounds together.
        rounds: may be none.
        ended: why there are fewer than planned, or None.
    """
    if not rounds:
        return LoadResult(plan, [], GeneratorHealth(ended=ended or "never begun"), rounds=0)
    warm_ups_ns = [run.plan.warm_up_ns for run in rounds]
    begin_ns = at_ns = rounds[0].steady_ns[0]
    warm_ns = start_ns = begin_ns - sum(warm_ups_ns)
    records: list[RequestRecord] = []
    next_id = 0
    for run, warm_up_ns in zip(rounds, warm_ups_ns, strict=True):
        steady_ns, drain_ns = run.steady_ns
        records += _moved(run.warm_up, warm_ns + warm_up_ns - steady_ns, next_id)
        records += _moved(run.requests, at_ns - steady_ns, next_id)
        next_id += 1 + max((first_of(r.id) for r in run.everything), default=-1)
        warm_ns += warm_up_ns
        at_ns += drain_ns - steady_ns
    return LoadResult(
        msgspec.structs.replace(plan, warm_up_ns=sum(warm_ups_ns)),
        records,
        _health(rounds, ended),
        (begin_ns, at_ns),
        ResourceWindow(
            samples=tuple(sample for run in rounds for sample in run.resources.samples),
            missing=next((run.resources.missing for run in rounds if run.resources.missing), None),
        ),
        start_ns=start_ns,
        prompts=rounds[0].prompts,
        rounds=len(rounds),
    )


def _moved(records: Sequence[RequestRecord], by_ns: int, first_id: int) -> Iterator[RequestRecord]:
    def moved(stamp_ns: int | None) -> int | None:
        return None if stamp_ns is None else stamp_ns + by_ns

    for record in records:
        stamps = record.token_ns
        yield msgspec.structs.replace(
            record,
            id=first_id + record.id,
            scheduled_ns=record.scheduled_ns + by_ns,
            sent_ns=moved(record.sent_ns),
            first_byte_ns=moved(record.first_byte_ns),
            end_ns=moved(record.end_ns),
            token_ns=msgspec.structs.replace(stamps, first_ns=moved(stamps.first_ns)),
            steps=tuple(_step_moved(step, by_ns) for step in record.steps),
        )


def _step_moved(step: Step, by_ns: int) -> Step:
    stamps = {name: getattr(step, name) + by_ns for name in ("sent_ns", "first_byte_ns", "end_ns")}
    return msgspec.structs.replace(step, **stamps)


def _health(rounds: Sequence[LoadResult], ended: str | None) -> GeneratorHealth:
    """How well the generator did over all rounds: counts added, shares and delays weighed by requests."""
    every = [run.generator for run in rounds]
    weights = [max(1, len(run.requests)) for run in rounds]
    late = [health.late_share for health in every if health.late_share is not None]
    clocks = {health.clock for health in every}
    chunks = sum(health.chunks for health in every)
    found = GeneratorHealth(
        transport=every[0].transport,
        protocols=sorted({name for health in every for name in health.protocols}),
        clock=clocks.pop() if len(clocks) == 1 else "mixed",
        send_lag_ms=_lags([health.send_lag_ms for health in every], weights),
        receive_lag_ms=_lags([health.receive_lag_ms for health in every], weights),
        cpu_percent=round(_mean([health.cpu_percent for health in every], weights), 2),
        cpu_s=sum(health.cpu_s for health in every),
        chunks=chunks,
        workers=every[0].workers,
        late_share=_mean(late, weights) if len(late) == len(every) else None,
        dropped=sum(health.dropped for health in every),
        crowded=sum(health.crowded for health in every),
        merged_share=round(sum(h.merged_share * h.chunks for h in every) / max(1, chunks), 6),
        reopened=sum(health.reopened for health in every),
        resent=sum(health.resent for health in every),
        unfinished=sum(health.unfinished for health in every),
        pinned=all(health.pinned for health in every),
        gc_pauses=sum(health.gc_pauses for health in every),
        gc_longest_ms=max(health.gc_longest_ms for health in every),
        ended=next((health.ended for health in every if health.ended != "complete"), ended or "complete"),
        server_gone=next((health.server_gone for health in every if health.server_gone is not None), None),
    )
    cause = saturation(
        found.cpu_percent,
        found.send_lag_ms.get("p99", 0.0),
        found.late_share,
        found.dropped,
        sum(len(run.requests) for run in rounds),
        found.crowded,
    ) or pause_or_late_read(found)
    return (
        found if cause is None else msgspec.structs.replace(found, saturated=cause.why, remedy=cause.remedy)
    )


def _lags(every: Sequence[dict[str, float]], weights: Sequence[int]) -> dict[str, float]:
    """Quantiles of the rounds weighed by their requests; the longest of all."""
    known = [(lags, weight) for lags, weight in zip(every, weights, strict=True) if lags]
    if not known:
        return {}
    shares = [weight for _, weight in known]
    figures = {name: _mean([lags[name] for lags, _ in known], shares) for name in ("p50", "p99")}
    return {name: round(value, 4) for name, value in figures.items()} | {
        "max": max(lags["max"] for lags, _ in known)
    }


def _mean(values: Sequence[float], weights: Sequence[int]) -> float:
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)

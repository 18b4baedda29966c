"""From the figures of a failed test to what ran short. Pure; silent where the figures do not show it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from pytest_llmserve.checks.diagnosis import client, cpu, gpu, memory, prefill, queueing, replica
from pytest_llmserve.checks.diagnosis.scene import NO_LOG, Scene, scene_of
from pytest_llmserve.domain.diagnosis import Diagnosis
from pytest_llmserve.domain.liveness import Fate
from pytest_llmserve.domain.log import LogWindow
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.samples import ResourceWindow
from pytest_llmserve.domain.verdict import Verdict

MOST = 3
"""Beyond the third cause a list explains nothing."""
ENDS = frozenset({"out of memory", "swapping", "too many open files", replica.FAILS})
"""What a server may have died of, and which one did; all else says how busy it was before."""

Rule = Callable[[Scene], Diagnosis | None]

RULES: tuple[Rule, ...] = (
    memory.killed,
    memory.logged_kill,
    memory.refused,
    memory.logged,
    client.slower_than_the_rate,
    client.generator_bound,
    client.too_many_files,
    replica.failing,
    replica.slow,
    memory.kv_cache_full,
    memory.logged_kv_cache_full,
    gpu.memory_bound,
    memory.swapping,
    memory.machine_short,
    cpu.throttled,
    gpu.throttled,
    gpu.compute_bound,
    cpu.compute_bound,
    cpu.one_worker,
    cpu.machine_busy,
    queueing.queueing,
    prefill.prefill_bound,
)
"""What explains most first: causes before what follows from them."""

OF_THE_TEST: frozenset[Rule] = frozenset(
    {memory.killed, memory.logged_kill, memory.logged, memory.logged_kv_cache_full}
)
"""Rules that look at the whole test; the others look at one run."""

OF_A_LOAD: frozenset[Rule] = frozenset(
    {
        *(gpu.throttled, gpu.compute_bound, cpu.throttled, cpu.compute_bound, cpu.one_worker),
        *(cpu.machine_busy, queueing.queueing, prefill.prefill_bound),
    }
)
"""Rules of how busy something was: of a test without a load they explain nothing."""

OF_THE_CLIENT: frozenset[Rule] = frozenset({client.slower_than_the_rate, client.generator_bound})
"""Rules of what was not sent as planned; a server that is gone takes nothing as planned."""


def diagnose(
    runs: Sequence[LoadResult],
    resources: ResourceWindow,
    verdicts: Sequence[Verdict] = (),
    fate: Fate | None = None,
    log: LogWindow = NO_LOG,
    loaded: bool = True,
) -> list[Diagnosis]:
    """What ran short: at most three sentences, what explains most first; empty where nothing shows.

    Of several runs the one that went worst is asked first.

    Args:
        runs: of the test, in order.
        resources: the server's samples through the whole test.
        verdicts: on the limits of the test; empty = the test failed by its own code.
        fate: what became of the server, where anything did.
        log: what the server's log told through the whole test.
        loaded: the test had a load; else how busy something was is not told.
    """
    whole = Scene(run=None, window=resources, log=log)
    scenes = _worst_first(runs, resources) if runs else [("", whole)]
    found: dict[Rule, Diagnosis] = {}
    for rule in RULES:
        if (rule in OF_THE_CLIENT and fate is not None) or (rule in OF_A_LOAD and not loaded):
            continue
        told = _told(rule, [("", whole)] if rule in OF_THE_TEST else scenes)
        if told is not None and told.what not in {earlier.what for earlier in found.values()}:
            found[rule] = told
    if fate is not None and fate.fatal:
        return [told for told in found.values() if told.what in ENDS][:MOST]
    if client.generator_bound in found and not client.may_be_accused(runs, verdicts, alone=len(found) == 1):
        del found[client.generator_bound]
    return list(found.values())[:MOST]


def _told(rule: Rule, scenes: Sequence[tuple[str, Scene]]) -> Diagnosis | None:
    for label, scene in scenes:
        told = rule(scene)
        if told is not None:
            return msgspec.structs.replace(told, sentence=told.sentence + label)
    return None


def _worst_first(runs: Sequence[LoadResult], resources: ResourceWindow) -> list[tuple[str, Scene]]:
    def badness(numbered: tuple[int, LoadResult]) -> tuple[float, float]:
        rate, slow = numbered[1].error_rate, numbered[1].e2e_ms.p95
        return (0.0 if math.isnan(rate) else rate), (0.0 if math.isnan(slow) else slow)

    several = len(runs) > 1
    return [
        (f" (run {number} of {len(runs)})" if several else "", scene_of(run, resources))
        for number, run in sorted(enumerate(runs, 1), key=badness, reverse=True)
    ]

"""From the figures of a failed test to what ran short. Pure; silent where the figures do not show it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from pytest_llmserve.checks.diagnosis import client, cpu, gpu, memory, prefill, queueing
from pytest_llmserve.checks.diagnosis.scene import Scene, scene_of
from pytest_llmserve.domain.diagnosis import Diagnosis
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.samples import ResourceWindow

MOST = 3
"""Beyond the third cause a list explains nothing."""

Rule = Callable[[Scene], Diagnosis | None]

OF_THE_TEST: tuple[Rule, ...] = (memory.killed,)
"""Rules that look at the whole test."""

RULES: tuple[Rule, ...] = (
    memory.refused,
    client.slower_than_the_rate,
    client.generator_bound,
    client.too_many_files,
    memory.kv_cache_full,
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
"""Rules that look at one run, what explains most first: causes before what follows from them."""


def diagnose(runs: Sequence[LoadResult], resources: ResourceWindow) -> list[Diagnosis]:
    """What ran short: at most three sentences, what explains most first; empty where nothing shows.

    Of several runs the one that went worst is asked first.

    Args:
        runs: of the test, in order.
        resources: the server's samples through the whole test.
    """
    whole = Scene(run=None, window=resources)
    found = [told for rule in OF_THE_TEST if (told := rule(whole)) is not None]
    scenes = _worst_first(runs, resources) if runs else [("", whole)]
    for rule in RULES:
        for label, scene in scenes:
            told = rule(scene)
            if told is not None:
                if told.what not in {earlier.what for earlier in found}:
                    found.append(msgspec.structs.replace(told, sentence=told.sentence + label))
                break
    return found[:MOST]


def _worst_first(runs: Sequence[LoadResult], resources: ResourceWindow) -> list[tuple[str, Scene]]:
    def badness(numbered: tuple[int, LoadResult]) -> tuple[float, float]:
        rate, slow = numbered[1].error_rate, numbered[1].e2e_ms.p95
        return (0.0 if math.isnan(rate) else rate), (0.0 if math.isnan(slow) else slow)

    several = len(runs) > 1
    return [
        (f" (run {number} of {len(runs)})" if several else "", scene_of(run, resources))
        for number, run in sorted(enumerate(runs, 1), key=badness, reverse=True)
    ]

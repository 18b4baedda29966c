"""Verdicts of `isolation` hold: simulated models that are imperfect, and servers that spoil their answers."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.stats import binom

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.isolation import Isolation
from pytest_llmserve.domain.mix import TaskMix
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult
from pytest_llmserve.domain.units import NS_PER_MS
from pytest_llmserve.domain.verdict import FAIL

TASKS = ("extract", "judge", "chat")
GOOD = (0.97, 0.9, 0.6)
"""How often each is right: none of them always."""
MIXES = 1000


def record(number: int) -> RequestRecord:
    stamps = {
        "scheduled_ns": number * NS_PER_MS,
        "sent_ns": number * NS_PER_MS,
        "end_ns": (number + 9) * NS_PER_MS,
    }
    nothing = dict.fromkeys(("first_byte_ns", "error", "output_tokens", "tokens_from", "finish_reason"))
    counts = {"token_ns": (), "status": 200, "outcome": "ok", "input_chars": 1, "output_chars": 1}
    return RequestRecord(id=number, task=TASKS[number % 3], **stamps, **nothing, **counts)


RECORDS = [record(number) for number in range(300)]


@cache
def run(n: int) -> LoadResult:
    return LoadResult(LoadPlan(users=8, salt="00000001"), RECORDS[:n], GeneratorHealth())


def failed(rng: np.random.Generator, *, asked: int, beside: int, noise: float, spoiled: float = 0.0) -> bool:
    """Whether one simulated mix of three tasks was accused.

    Args:
        asked: requests alone, of all tasks.
        beside: requests together; those beyond `asked` carry the same prompts again.
        noise: share of answers drawn anew when asked a second time: 0 = a model that repeats itself.
        spoiled: share of the second task's answers that are spoiled when all are asked at once.
    """
    ids = np.arange(beside)
    # Prompts are not equally hard: around the share of their task, some always right, some seldom.
    hard = rng.beta(4 * np.take(GOOD, ids % 3), 4 * (1 - np.take(GOOD, ids % 3)))[ids % asked]
    alone = rng.random(asked) < hard[:asked]
    anew = rng.random(beside) < hard
    together = np.where((ids < asked) & (rng.random(beside) >= noise), alone[ids % asked], anew)
    together &= ~((ids % 3 == 1) & (rng.random(beside) < spoiled))
    mix = TaskMix(
        tasks=TASKS,
        together=run(beside),
        alone=run(asked),
        right_alone=dict(enumerate(alone.tolist())),
        right_together=dict(enumerate(together.tolist())),
        prompt_of=dict(enumerate((ids % asked).tolist())),
    )
    verdicts = Isolation().judge(Evidence(runs=(mix.together,), mixes={0: mix}))
    return any(verdict.verdict == FAIL for verdict in verdicts)


@pytest.mark.parametrize("beside", [150, 300])
def test_a_healthy_server_is_accused_seldom(beside):
    """In at most 5 % of 1,000 mixes, chance allowed for. Hardest is a model that never repeats itself."""
    rng = np.random.default_rng(7)
    accused = sum(failed(rng, asked=150, beside=beside, noise=1.0) for _ in range(MIXES))
    assert accused <= binom.ppf(0.999, MIXES, 0.05)


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_a_drop_by_a_third_of_fifty_answers_is_found(noise):
    """From 90 % right alone to 60 % together, in at least 95 % of 200 mixes of three tasks."""
    rng = np.random.default_rng(7)
    found = sum(failed(rng, asked=150, beside=150, noise=noise, spoiled=1 / 3) for _ in range(200))
    assert found >= 190

"""Verdicts of `isolation` hold: simulated models that are imperfect, and servers that spoil their answers."""

from __future__ import annotations

from functools import cache

import msgspec
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


class Said:
    """Where an answer lies."""

    def __init__(self, text: str) -> None:
        self.text = text

    def read(self, at: int) -> str:
        return self.text


def answered(texts: list[str]) -> LoadResult:
    records = [
        msgspec.structs.replace(RECORDS[number], text_at=0, texts=Said(text))
        for number, text in enumerate(texts)
    ]
    return LoadResult(LoadPlan(users=8, salt="00000001"), records, GeneratorHealth())


def called_swapped(lone: list[str], now: list[str], prompts: int) -> bool:
    """Whether answers without marks, and without checks, were called another request's."""
    mix = TaskMix(
        tasks=TASKS,
        together=answered(now),
        alone=answered(lone),
        prompt_of={number: number % prompts for number in range(len(now))},
        repeatable=True,
    )
    (verdict,) = Isolation().judge(Evidence(runs=(mix.together,), mixes={0: mix}))
    return verdict.verdict == FAIL


def own_answers(n: int) -> list[str]:
    return [f"A long answer to question {number} alone." for number in range(n)]


@pytest.mark.parametrize("phrases", [1, 3, 20])
def test_a_model_that_refuses_now_and_then_swaps_nothing(phrases):
    """A twentieth of its prompts is refused half of the time, in so many forms: accused in 1 % at most."""
    rng = np.random.default_rng(7)

    def drawn(marginal):
        refused = marginal & (rng.random(198) < 0.5)
        forms = rng.integers(phrases, size=198)
        own = own_answers(198)
        return [f"I cannot help with that, form {forms[i]}." if refused[i] else own[i] for i in range(198)]

    accused = 0
    for _ in range(500):
        marginal = rng.random(198) < 0.05
        accused += called_swapped(drawn(marginal)[:60], drawn(marginal), 198)
    assert accused <= binom.ppf(0.999, 500, 0.01)


@pytest.mark.parametrize("labels", [6, 28, 200])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_classifier_swaps_nothing(labels, noise):
    """However many labels come once alone: without noise never accused, with a little in 1 % at most."""
    rng = np.random.default_rng(7)
    accused = 0
    for _ in range(250):
        first, second = rng.integers(labels, size=(2, 60))
        unsure = rng.random(60) < noise

        def drawn(n, first=first, second=second, unsure=unsure):
            other = unsure[np.arange(n) % 60] & (rng.random(n) < 0.5)
            chosen = np.where(other, second[np.arange(n) % 60], first[np.arange(n) % 60])
            return [f'{{"emotion": "label{label:04}"}}' for label in chosen]

        accused += called_swapped(drawn(20), drawn(66), 60)
    assert accused <= (binom.ppf(0.999, 250, 0.01) if noise else 0)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_twentieth_of_answers_that_change_places_is_found(noise):
    """Of 150 requests, in 90 % of 200 mixes at least; also where batches change a tenth of the answers."""
    rng = np.random.default_rng(7)
    found = 0
    for _ in range(200):
        lone = own_answers(150)
        now = [f"Changed: {said}" if rng.random() < noise else said for said in lone]
        for first in np.flatnonzero(rng.random(149) < 0.025).tolist():
            now[first], now[first + 1] = now[first + 1], now[first]
        found += called_swapped(lone, now, 150)
    assert found >= 180

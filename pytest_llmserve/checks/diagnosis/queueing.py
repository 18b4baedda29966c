"""Requests that wait for a free slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pytest_llmserve.checks.diagnosis.scene import Scene
from pytest_llmserve.checks.series import in_order
from pytest_llmserve.checks.wording import amount
from pytest_llmserve.domain.diagnosis import Diagnosis
from pytest_llmserve.domain.metrics import distribution, itl_ms
from pytest_llmserve.domain.plan import Stage
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.stages import level_text
from pytest_llmserve.domain.units import ms_text

WAITING = 1.0
"""On average over the load: there was as good as always one that waited."""
FEWEST = 20
"""Answers on either side: the median of fewer is moved by a few."""
SLOWER = 2.0
SLOWER_MS = 100.0
"""First tokens come so much later, and by so much: less is also what a fuller batch costs."""
FLAT = 1.25
"""Gaps between tokens grow with the batch by as much as this; by more, and work itself is slower."""

_WAYS = "let it work on more at once if it has room (--max-num-seqs, --parallel), add a replica, or send less"


class Growth(NamedTuple):
    """First tokens come later under more load, tokens after them do not."""

    ttft_ms: tuple[float, float]
    itl_ms: tuple[float, float]
    where: tuple[str, str]

    @property
    def text(self) -> str:
        """The figures of both sides."""
        (low, high), (at, later) = self.ttft_ms, self.where
        return (
            f"TTFT p50 rose from {ms_text(low)} {at} to {ms_text(high)} {later},"
            f" while ITL p50 stayed ({ms_text(self.itl_ms[0])}, {ms_text(self.itl_ms[1])})"
        )


def queueing(scene: Scene) -> Diagnosis | None:
    """The server says that requests wait, or first tokens come later under load and the others do not."""
    waiting, growth = scene.mean("queue"), _growth(scene.run)
    said: list[str] = []
    figures: dict[str, float | str] = {}
    if waiting is not None and waiting >= WAITING:
        peak, running = scene.peak("queue") or waiting, scene.mean("running")
        beside = "" if running is None else f" beside {amount(running)} in work"
        said.append(f"{amount(waiting)} requests on average, {peak:.0f} at most, waited in its queue{beside}")
        figures |= {"queue_mean": round(waiting, 2), "queue": peak}
    if growth is not None:
        said.append(growth.text)
        figures |= {
            "ttft_p50_ms": round(growth.ttft_ms[1], 3),
            "ttft_p50_before_ms": round(growth.ttft_ms[0], 3),
        }
        figures |= {"itl_p50_ms": round(growth.itl_ms[1], 3), "itl_p50_before_ms": round(growth.itl_ms[0], 3)}
    if not said:
        return None
    sentence = f"requests wait before the server begins them: {'; '.join(said)}: {_WAYS}"
    return Diagnosis(what="queueing", sentence=sentence, figures=figures)


def _growth(run: LoadResult | None) -> Growth | None:
    if run is None or run.generator.saturated is not None or not run.plan.stream:
        return None
    sides = _by_stage(run) or _by_time(run)
    if sides is None:
        return None
    (where_low, low), (where_high, high) = sides
    ttft = [distribution(r.ttft_ms for r in side) for side in (low, high)]
    itl = [itl_ms(side) for side in (low, high)]
    if min(figure.n for figure in (*ttft, *itl)) < FEWEST:
        return None
    before, after = ttft[0].p50, ttft[1].p50
    if after < SLOWER * before or after < before + SLOWER_MS or itl[1].p50 > FLAT * itl[0].p50:
        return None
    return Growth((before, after), (itl[0].p50, itl[1].p50), (where_low, where_high))


Side = tuple[str, Sequence[RequestRecord]]


def _by_stage(run: LoadResult) -> tuple[Side, Side] | None:
    """The answers of the least and of the heaviest of its stages of one level."""
    levels = [
        (stage.begin, number) for number, stage in enumerate(run.plan.steps) if stage.begin == stage.end
    ]
    if not levels or min(levels)[0] == max(levels)[0]:
        return None
    least, most = min(levels)[1], max(levels)[1]
    return _stage(run, least), _stage(run, most)


def _stage(run: LoadResult, number: int) -> Side:
    stage: Stage = run.plan.steps[number]
    return f"at {level_text(run.plan, stage)}", [r for r in run.ok if r.stage == number]


def _by_time(run: LoadResult) -> tuple[Side, Side] | None:
    """The first and the last quarter of a steady rate: users who wait for answers make no longer queue."""
    if run.plan.rate is None or run.plan.steps:
        return None
    ordered = in_order(run.ok)
    quarter = len(ordered) // 4
    return ("in the first quarter of the run", ordered[:quarter]), ("in the last", ordered[-quarter:])

"""Whether a task's right answers became fewer together, and what would decide it where that is open."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

from pytest_llmserve.checks.finding import ALPHA
from pytest_llmserve.checks.task_figures import TaskFigures
from pytest_llmserve.stats.paired import least_lost, p_of_drop, p_of_drop_within

MOST_UNSEEN = 0.5
"""A task passes where a drop by half of its answers would have been seen."""
DOUBTFUL = 0.1
"""A drop that chance gives so seldom, by the better of the two tests, is no pass."""
LEAST_PROMPTS = 5
"""A batch may shift all answers to one prompt together, so those to fewer prompts show only a great drop."""
MOST_SHIFTED = 2 / 3
"""Of the right answers to few prompts: a loss up to that is not told from such a shift."""
_SMALLEST_P = 1e-12


@dataclass(frozen=True)
class TaskDrop:
    """The drop of a task that was answered both alone and together.

    Attributes:
        level: at which it counts as beyond chance, the number of claims allowed for.
    """

    figures: TaskFigures
    level: float

    @cached_property
    def n(self) -> int:
        """Requests answered both times."""
        return len(self.figures.pairs)

    @cached_property
    def lost(self) -> int:
        """Right alone, wrong together."""
        return len(self.figures.lost)

    @cached_property
    def gained(self) -> int:
        """Wrong alone, right together."""
        return len(self.figures.gained)

    @cached_property
    def right(self) -> int:
        """Of the requests answered both times, those answered rightly alone."""
        return sum(self.figures.right_alone[id_] for id_ in self.figures.pairs)

    @property
    def tests(self) -> int:
        """Ways in which it was looked for."""
        return 2 if self.figures.strata else 1

    @cached_property
    def least_p(self) -> float:
        """Of the better of the tests."""
        return min(p_of_drop(self.lost, self.gained), p_of_drop_within(self.figures.strata))

    @property
    def p(self) -> float:
        """The same, their number allowed for."""
        return min(1.0, self.tests * self.least_p)

    @property
    def few_prompts(self) -> int | None:
        """How many, where they are too few to tell what a batch does to one prompt."""
        prompts = self.figures.prompts
        return prompts if prompts is not None and prompts < LEAST_PROMPTS else None

    @property
    def shown(self) -> bool:
        """It can be a failure, where chance does not give it."""
        if self.few_prompts is None:
            return True
        before, after = self.figures.share_alone or 0.0, self.figures.share or 0.0
        return before - after > MOST_SHIFTED * before

    @property
    def doubtful(self) -> bool:
        """Too seldom by chance to be none."""
        return self.least_p <= DOUBTFUL

    @cached_property
    def least(self) -> int:
        """Lost answers that would have been beyond chance."""
        return least_lost(self.gained, self.level / self.tests)

    @property
    def seen(self) -> float:
        """The least drop, as a share of the requests, that would have been beyond chance; inf = none."""
        return (self.least - self.gained) / self.n if self.least <= self.right else math.inf

    @property
    def doubt(self) -> str:
        """Why there is no verdict, and what would give one."""
        if self.doubtful and not self.shown:
            return (
                f"it rests on {_prompts(self.few_prompts or 0)}, and a batch may shift all answers to one:"
                f" give {LEAST_PROMPTS} or more"
            )
        if self.p <= ALPHA:
            return f"{CHANCE}: ask {self._to_tell} or more of them alone"
        if self.doubtful:
            return (
                f"as much is chance once in {1 / self.p:.0f} times: ask {self._to_tell} or more of them alone"
            )
        enough = max((self.least - self.gained) / MOST_UNSEEN, self.least * self.n / self.right)
        ask = f"ask {math.ceil(enough)} or more of them alone"
        if not math.isfinite(self.seen):
            return f"no drop could have been seen: {ask}"
        return f"only a drop by {math.ceil(100 * self.seen)} points would have been seen: {ask}"

    @property
    def _to_tell(self) -> int:
        """Requests of which a drop of this size would be beyond chance: as the square of the deviation."""
        normal = NormalDist()
        now, wanted = (-normal.inv_cdf(max(_SMALLEST_P, p)) for p in (self.least_p, self.level / self.tests))
        return max(self.n + 1, math.ceil(self.n * (wanted / now) ** 2))

    @property
    def sample(self) -> str:
        """How many requests, "n=50 alike", and of how many prompts where they are few."""
        few = self.few_prompts
        return f"n={self.n} alike" if few is None else f"n={self.n} alike, of {_prompts(few)}"


CHANCE = "where several claims are judged, one of them shows as much by chance"


def _prompts(number: int) -> str:
    return f"{number} prompt{'s' * (number != 1)} only"

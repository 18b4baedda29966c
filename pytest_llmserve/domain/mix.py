"""What a mix of tasks showed: right answers of each alone and together, and who carried which mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from pytest_llmserve.domain.result import LoadResult

CANARY = "canary"
"""The built-in task of a mix: its right answer is the request's own mark."""


class Aborted(msgspec.Struct, frozen=True):
    """A request of a client that leaves in the middle of the answer; its mark may turn up elsewhere.

    Attributes:
        mark: that its prompt carried.
        sent_ns, left_ns: monotonic clock; where the answer ended or failed before, `left_ns` is that instant.
    """

    mark: str
    sent_ns: int
    left_ns: int


@dataclass(frozen=True, kw_only=True)
class TaskMix:
    """A run of several tasks at once, and, before it, of the same requests one after the other.

    Request `id` of `alone` and of `together` is the very same request: prompt, mark and fields.

    Attributes:
        tasks: their names, in the order of the mix, the built-in `CANARY` among them where it was mixed in.
        together: all at full concurrency; one of the test's runs.
        alone: one after the other, at one user; None = left out.
        right_alone, right_together: request id -> its task's check held; of answered requests of tasks with
            a check.
        like: id of a wrong answer of `together` -> the other tasks whose check it holds.
        like_alone: the same of `alone`; None = not looked at, so that `like` cannot be held against it.
        prompt_of: request id -> number of its prompt in the mix, where it is known: answers to one prompt can
            be held together.
        repeatable: the requests asked for answers without chance (temperature 0 where the server takes it).
        aborted: requests that were left in the middle; most of them while the load ran.
    """

    tasks: tuple[str, ...]
    together: LoadResult
    alone: LoadResult | None = None
    right_alone: Mapping[int, bool] = field(default_factory=dict)
    right_together: Mapping[int, bool] = field(default_factory=dict)
    like: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    like_alone: Mapping[int, tuple[str, ...]] | None = None
    prompt_of: Mapping[int, int] = field(default_factory=dict)
    repeatable: bool = False
    aborted: tuple[Aborted, ...] = ()

    @property
    def right(self) -> float:
        """Share of right answers at full concurrency, of all tasks with a check but the canaries.

        NaN when no answer could be judged.
        """
        judged = [right for name in self.tasks if name != CANARY for right in self._judged(name, "together")]
        return _share(judged)

    @property
    def left_meanwhile(self) -> tuple[Aborted, ...]:
        """Those of `aborted` that were left between the first request of the load and its last answer."""
        asked = self.together.everything
        begun = min((record.sent_ns for record in asked if record.sent_ns), default=None)
        ended = max((record.end_ns for record in asked if record.end_ns), default=None)
        if begun is None or ended is None:
            return ()
        return tuple(one for one in self.aborted if begun <= one.left_ns <= ended)

    def share_right(self, task: str, *, alone: bool = False) -> float:
        """Share of right answers of one task, at full concurrency, or alone; NaN when none was judged.

        Raises:
            ValueError: no such task.
        """
        if task not in self.tasks:
            raise ValueError(f"no task {task!r} in this mix: its tasks are {', '.join(self.tasks)}")
        return _share(self._judged(task, "alone" if alone else "together"))

    def _judged(self, task: str, when: str) -> list[bool]:
        run, right = (
            (self.alone, self.right_alone) if when == "alone" else (self.together, self.right_together)
        )
        ids = () if run is None else dict.fromkeys(r.id for r in run.everything if r.task == task)
        return [right[request_id] for request_id in ids if request_id in right]

    def __repr__(self) -> str:
        parts = [f"{len(self.together.requests)} requests, {len(self.together.failed)} failed"]
        parts += [part for name in self.tasks if (part := self._told(name))]
        left = len(self.left_meanwhile)
        parts += [f"{left} left in the middle"] if left else []
        return f"TaskMix({self.together.plan.load_text}: {'; '.join(parts)})"

    def _told(self, task: str) -> str:
        alone, together = self._judged(task, "alone"), self._judged(task, "together")
        if not together:
            return f"{task} not judged"
        before = f", {_share(alone):.0%} alone (n={len(alone)})" if alone else ""
        return f"{task} {_share(together):.0%} right (n={len(together)}){before}"


def _share(judged: Sequence[bool]) -> float:
    return sum(judged) / len(judged) if judged else float("nan")

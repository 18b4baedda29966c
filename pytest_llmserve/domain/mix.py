"""What a mix of tasks showed: right answers of each alone and together, and who carried which mark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from pytest_llmserve.domain.result import LoadResult


class Aborted(msgspec.Struct, frozen=True):
    """A request that its client left in the middle of the answer; its mark may turn up elsewhere.

    Attributes:
        mark: that its prompt carried.
        sent_ns, left_ns: monotonic clock.
    """

    mark: str
    sent_ns: int
    left_ns: int


@dataclass(frozen=True, kw_only=True)
class TaskMix:
    """A run of several tasks at once, and, before it, of the same requests one after the other.

    Request `id` of `alone` and of `together` is the very same request: prompt, mark and fields.

    Attributes:
        tasks: their names, in the order of the mix.
        together: all at full concurrency; one of the test's runs.
        alone: one after the other, at one user; None = left out.
        right_alone, right_together: request id -> its task's check held; of answered requests of tasks with
            a check.
        like: id of a wrong answer of `together` -> the other tasks whose check it holds.
        like_alone: the same of `alone`; None = not looked at, so that `like` cannot be held against it.
        prompt_of: request id -> number of its prompt in the mix, where it is known: answers to one prompt can
            be held together.
        repeatable: the requests asked for answers without chance (temperature 0 where the server takes it).
        aborted: requests that were left in the middle meanwhile.
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

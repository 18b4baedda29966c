"""What was answered is taken out of what the server's log tells of the same moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from pytest_llmserve.domain.errors import GeneratorError
from pytest_llmserve.domain.hiding import ANSWER, without_each
from pytest_llmserve.domain.record import NOT_KEPT, RequestRecord
from pytest_llmserve.domain.result import LoadResult

NOT_SHOWN = "[a text that is not shown: it may hold an answer; --llm-keep-text shows it]"
_MOST_S = 5.0
"""Looking for answers takes no longer, all in all in what is told of a test."""
_LAST = 256


def deadline(clock: Callable[[], float] = time.monotonic) -> Callable[[], bool]:
    """From now on: whether it is too late to look for answers. `clock` in s."""
    until_s = clock() + _MOST_S
    return lambda: clock() > until_s


def without_answers(
    texts: Sequence[str],
    runs: Sequence[LoadResult],
    is_late: Callable[[], bool],
    moment: tuple[int, int] | None = None,
) -> list[str]:
    """The texts without the answers to requests of their moment, and those that such a request carried.

    They are withheld where it is late before all of those were looked for.

    Args:
        texts: of the server's log, of one moment.
        runs: of the test.
        is_late: see `deadline`.
        moment: from and to, monotonic clock; None = the end of the runs.
    """
    near = (record for run in runs for record in _near(run, moment))
    clean = without_each(texts, map(_answer, near), ANSWER, is_late)
    return [NOT_SHOWN] * len(texts) if clean is None else clean


def _near(run: LoadResult, moment: tuple[int, int] | None) -> Iterator[RequestRecord]:
    """The requests of a moment, and the turns before of their conversations.

    The stamps of a comparison's rounds were moved: all of them are.
    """
    every = run.everything
    if moment is None:
        near = sorted(every, key=_ended_ns)[-_LAST:]
    elif run.rounds is not None:
        near = list(every)
    else:
        near = [r for r in every if r.scheduled_ns <= moment[1] and _ended_ns(r) >= moment[0]]
    begun = {r.conversation for r in near if r.turn}
    known = {r.id for r in near}
    yield from near
    yield from (r for r in every if r.turn and r.conversation in begun and r.id not in known)


def _ended_ns(record: RequestRecord) -> float:
    return float("inf") if record.end_ns is None else record.end_ns


def _answer(record: RequestRecord) -> str:
    try:
        return "" if record.text_at == NOT_KEPT else record.text
    except GeneratorError:  # the folder of the answers is gone, and the answer with it
        return ""

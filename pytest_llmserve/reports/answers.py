"""What was answered is taken out of what the server's log tells of the same moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_llmserve.domain.errors import GeneratorError
from pytest_llmserve.domain.hiding import ANSWER, forms, without
from pytest_llmserve.domain.record import NOT_KEPT, RequestRecord
from pytest_llmserve.domain.result import LoadResult

NOT_SHOWN = "[a text that is not shown: it may hold an answer; --llm-keep-text shows it]"
_MOST_CHARS = 8_000_000
_LAST = 256


def without_answers(text: str, runs: Sequence[LoadResult], moment: tuple[int, int] | None = None) -> str:
    """The text without the answers to requests of its moment, and without those that such a request carried.

    All of it is withheld where there are more of them than can be looked for.

    Args:
        text: of the server's log.
        runs: of the test.
        moment: from and to, monotonic clock; None = the end of the runs.
    """
    near = [record for run in runs for record in _near(run, moment)]
    if sum(record.output_chars for record in near) > _MOST_CHARS:
        return NOT_SHOWN
    return without(text, forms(filter(None, map(_answer, near))), ANSWER)


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

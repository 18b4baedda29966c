"""What was found in an answer that belongs to another request."""

from __future__ import annotations

from typing import Any

import msgspec

MOST_TOLD = 100
"""Of the answers with something of another request, in a report."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request, as reports name it.

    Attributes:
        id: None = it left no record: its client left it, or the end of the run cut it off.
        run: its run's number in the test, from 1.
        task: None = of no named task.
        alone: asked when no other request was under way, before the run.
        aborted: its client left it in the middle of its answer.
        at_s: when it was sent, seconds into its run; None = not known.
    """

    id: int | None
    run: int
    task: str | None = None
    alone: bool = False
    aborted: bool = False
    at_s: float | None = None


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that carried something of another request.

    Attributes:
        answer: the request that was answered so.
        owner: the request that it belongs to.
        mark: of the owner, in the answer; None = the answer is, letter by letter, what the owner was answered
            when it was asked alone.
        at_char: where the mark stands in the answer, from 0.
        apart_s: the owner was over so long before the answer's request was sent; 0 = both were under
            way at the same time; None = not known.
        excerpt: the mark and what stands around it, where answers may be shown.
    """

    answer: Asked
    owner: Asked
    mark: str | None = None
    at_char: int = 0
    apart_s: float | None = None
    excerpt: str | None = None


class CarriedAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """What the answers of a test carried.

    Attributes:
        answers: that were read.
        repeated: of those of the test's runs, the ones that carried the mark of their own request.
        not_kept: that could not be read, as too many bytes of answers had been kept.
        guilty: number of answers that carried something of another request.
        carried: of those the first hundred, each with the first thing it carried.
    """

    answers: int
    repeated: int
    not_kept: int = 0
    guilty: int = 0
    carried: tuple[Carried, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For the JSON report: no word of an answer but the marks."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        for carried in document["carried"]:
            del carried["excerpt"]
        return document

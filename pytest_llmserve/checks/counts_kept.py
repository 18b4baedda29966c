"""What a run leaves open: files and threads."""

from __future__ import annotations

from pytest_llmserve.checks.finding import Finding, no_evidence
from pytest_llmserve.checks.wording import compared, whole_number
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.verdict import FAIL, PASS, Verdict

WORDS = {"open_files": "open files left behind", "threads": "threads left behind"}
"""Figure -> what is judged."""


def judge_count(check: str, what: str, limit: int, run: LoadResult, figure: str) -> Finding | Verdict:
    """At most so many more after a run than before it: a count, no estimate.

    Args:
        check: name of the check.
        what: is judged, and of which run.
        limit: most more than before.
        run: that was measured.
        figure: a key of `WORDS`.
    """
    memory = run.memory
    changes = memory.counts if memory is not None else ()
    change = next((change for change in changes if change.figure == figure), None)
    if change is None:
        lost = memory.missing if memory is not None else None
        return no_evidence(check, what, limit, lost or run.resources.missing or "they were not counted")
    kept = change.kept
    if change.missing is not None or kept is None:
        return no_evidence(check, what, limit, change.missing or "they were not counted")
    return Finding(
        check=check,
        what=what,
        limit=limit,
        estimate=kept,
        n=len(change.before) + len(change.after),
        holds=kept <= limit,
        settled=PASS if kept <= limit else FAIL,
        head=f"{what} {compared(kept, limit, '', write=whole_number)}",
        basis=f"{min(change.before)} before the run, {min(change.after)} after it",
        note=run.resources.part(figure),
        gone=run.generator.server_gone,
    )

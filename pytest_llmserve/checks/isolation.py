"""No answer carries anything of another request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import msgspec

from pytest_llmserve.checks.canaries import Batch, Found, carried_marks
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.finding import ALPHA, CONFIDENCE, Finding, conclude, no_evidence
from pytest_llmserve.checks.series import nothing_sent
from pytest_llmserve.checks.swapped import swapped
from pytest_llmserve.checks.task_findings import NAME, MixClaims
from pytest_llmserve.checks.wording import failures, percent, sureness
from pytest_llmserve.domain.isolation import MOST_TOLD, Carried, CarriedAnswers
from pytest_llmserve.domain.keywords import keyword, share
from pytest_llmserve.domain.mix import CANARY, Aborted
from pytest_llmserve.domain.verdict import FAIL, PASS, UNDECIDED, Verdict
from pytest_llmserve.stats.binomial import upper_bound

LEAST_REPEATED = 30
"""Answers that repeat their own mark beside others, before their silence on others counts."""
_ASK = "ask through llm_tasks, or ask for the code in brackets that stands before each prompt"


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """No answer carries anything of another request, and no task is answered worse beside others than alone.

    A bare marker judges both.
    """

    name: ClassVar[str] = NAME
    stops_early: ClassVar[bool] = False

    same_answers: float | None = keyword(
        share, doc="least share of answers that are the same, word for word, alone and together"
    )

    def __post_init__(self) -> None:
        if self.same_answers == 0:
            raise ValueError("same_answers=0 would hold whatever happens")

    def judge(self, evidence: Evidence) -> list[Verdict]:
        """One verdict on the answers of all runs, and one for each task of a mix that was asked alone too."""
        missing = _missing(evidence)
        if missing is not None:
            return [missing]
        claims = self._claims(evidence)
        found = carried_marks(_batches(evidence), _aborted(evidence), evidence.keep_text, evidence.clean)
        copies = [one for place, mix in evidence.mixes.items() for one in swapped(mix, place + 1)]
        carried, settled = _proof(found, copies)
        judged: list[Finding | Verdict] = [settled or _silence(evidence, found, claims)]
        among = sum(each.chances for each in claims)
        for each in claims:
            judged += each.findings(among)
        if self.same_answers is not None and not claims:
            why = "no run was a mix of tasks: ask through llm_tasks"
            judged.append(no_evidence(NAME, "same answers alone and together", self.same_answers, why))
        first, *others = conclude([_with_gone(judged[0], evidence), *judged[1:]])
        return [msgspec.structs.replace(first, answers=_answers(found, carried)), *others]

    def _claims(self, evidence: Evidence) -> list[MixClaims]:
        return [
            MixClaims(mix, evidence.label(place), self.same_answers) for place, mix in evidence.mixes.items()
        ]


def _missing(evidence: Evidence) -> Verdict | None:
    """The verdict where nothing was answered."""
    if not evidence.runs:
        return no_evidence(NAME, NAME, 0.0, evidence.no_run)
    if not any(run.tried for run in evidence.runs):
        return no_evidence(NAME, NAME, 0.0, nothing_sent(evidence.runs[0]))
    return None


def _batches(evidence: Evidence) -> list[Batch]:
    """In the order in which they were sent: of a mix, first what was asked alone."""
    found = []
    for place, run in enumerate(evidence.runs):
        mix = evidence.mixes.get(place)
        if mix is not None and mix.alone is not None:
            found.append(Batch(place + 1, mix.alone, alone=True))
        found.append(Batch(place + 1, run))
    return found


def _proof(found: Found, copies: Sequence[Carried]) -> tuple[list[Carried], Finding | None]:
    """The answers that are proof, and what they prove; none where chance gives as many marks."""
    marked = list(found.carried) if found.p_chance <= ALPHA else []
    known = {(one.answer.run, one.answer.id, one.answer.alone) for one in marked}
    copied = [one for one in copies if (one.answer.run, one.answer.id, one.answer.alone) not in known]
    carried = [*marked, *copied]
    if not carried:
        return [], None
    said = [f"{len(marked)} of {found.answers} answers carried another request's mark"] if marked else []
    if copied:
        whose = "were another request's, letter by letter"
        said.append(
            f"{len(copied)} more {whose}" if marked else f"{len(copied)} of {found.answers} answers {whose}"
        )
    return carried, Finding(
        check=NAME,
        what=NAME,
        limit=0.0,
        estimate=len(carried) / max(1, found.answers),
        n=found.answers,
        holds=False,
        settled=FAIL,
        head=f"{NAME}: {', '.join(said)}",
        note=_not_read(found),
    )


def _silence(evidence: Evidence, found: Found, claims: Sequence[MixClaims]) -> Finding | Verdict:
    """What it is worth that no answer carried anything of another request."""
    for run in evidence.runs:
        if run.tried and not run.ok:
            return _finding(found, FAIL, f"{NAME}: {failures(run.tried)}", estimate=math.inf)
    head = f"{NAME}: no answer carried another request's mark"
    if not found.together and (found.repeated or claims):
        told = f"{found.repeated} of {found.marked} repeated their own"
        alone = "no two requests were under way at once: give users=2 or more"
        return _finding(found, UNDECIDED, head, told, doubt=alone)
    tasks = [figures.task for each in claims for figures in each.working if figures.task != CANARY]
    if found.repeated == 0 and not tasks:
        return no_evidence(NAME, NAME, 0.0, _why_silent(evidence, found))
    told = f"{found.beside} of {found.marked} repeated their own"
    told += " while another request was under way" if found.beside < found.repeated else ""
    if found.beside >= LEAST_REPEATED:
        seen = percent(upper_bound(0, found.beside, CONFIDENCE))
        worth = f"so a swap in {seen}% of the requests would have been seen at {sureness(CONFIDENCE)}"
        return _finding(found, PASS, head, f"{told}, {worth}")
    if tasks:
        rests = f"this rests on the right answers of {', '.join(dict.fromkeys(tasks))}"
        return _finding(found, PASS, head, f"only {told}, so {rests}")
    ask = "give more users=" if found.repeated >= LEAST_REPEATED else _ASK
    return _finding(found, UNDECIDED, head, told, doubt=f"{LEAST_REPEATED} or more are needed: {ask}")


def _finding(
    found: Found, word: str, head: str, note: str = "", *, doubt: str = "", estimate: float = 0.0
) -> Finding:
    said = "; ".join(part for part in (note, _by_chance(found), _not_read(found)) if part)
    return Finding(
        check=NAME,
        what=NAME,
        limit=0.0,
        estimate=estimate,
        n=found.answers,
        holds=word != FAIL,
        settled=word,
        head=head,
        note=said,
        doubt=doubt,
    )


def _why_silent(evidence: Evidence, found: Found) -> str:
    """Why no answer could have shown anything, and what to do."""
    if not found.answers:
        return _not_read(found) or "no answer had any text"
    if not found.marked and all(run.rounds is not None for run in evidence.runs):
        return "rounds of a comparison share their marks: call llm_load or llm_tasks"
    if not found.marked:
        return "no prompt carried a mark (nonce=False): leave it out, or ask through llm_tasks"
    return f"none of {found.marked} answers repeated the mark of its own request: {_ASK}"


def _by_chance(found: Found) -> str:
    if not found.carried or found.p_chance <= ALPHA:
        return ""
    n = len(found.carried)
    return f"{n} carried eight hex digits that are also another's mark, as many as chance gives"


def _not_read(found: Found) -> str:
    return f"{found.not_kept} answers were one too many to be kept, and not read" if found.not_kept else ""


def _with_gone(finding: Finding | Verdict, evidence: Evidence) -> Finding | Verdict:
    gone = next((gone for run in evidence.runs if (gone := run.generator.server_gone)), None)
    if gone is None or isinstance(finding, Verdict):
        return finding
    return replace(finding, gone=gone)


def _aborted(evidence: Evidence) -> list[Aborted]:
    return [one for mix in evidence.mixes.values() for one in mix.aborted]


def _answers(found: Found, carried: Sequence[Carried]) -> CarriedAnswers:
    return CarriedAnswers(
        answers=found.answers,
        repeated=found.repeated,
        not_kept=found.not_kept,
        guilty=len(carried),
        carried=tuple(carried[:MOST_TOLD]),
    )

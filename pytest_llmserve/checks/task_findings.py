"""Whether the tasks of a mix were answered worse together than alone."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from pytest_llmserve.checks.finding import ALPHA, Finding, interval_basis, no_evidence
from pytest_llmserve.checks.shares import share_of
from pytest_llmserve.checks.task_drop import CHANCE, MOST_UNSEEN, TaskDrop
from pytest_llmserve.checks.task_figures import TaskFigures, task_figures
from pytest_llmserve.checks.wording import compared, percent, spread
from pytest_llmserve.domain.mix import CANARY, TaskMix
from pytest_llmserve.domain.verdict import Verdict
from pytest_llmserve.stats.paired import p_of_drop

NAME = "isolation"
_IDS = 4
_SMALL_P = 1e-4


@dataclass(frozen=True)
class MixClaims:
    """What can be shown of a mix that was asked alone too, and of how many claims chance has a part in.

    Attributes:
        mix: of one run.
        label: of that run, such as " (run 2 of 3)".
        least_same: least share of answers of the same words; None = not judged.
    """

    mix: TaskMix
    label: str = ""
    least_same: float | None = None

    @cached_property
    def figures(self) -> list[TaskFigures]:
        """Of all tasks; none of a mix that was not asked alone."""
        return [] if self.mix.alone is None else task_figures(self.mix)

    @property
    def working(self) -> list[TaskFigures]:
        """Tasks whose check held for an answer that was given alone."""
        return [each for each in self.figures if each.pairs and each.share_alone]

    @property
    def chances(self) -> int:
        """How many of its claims are a matter of chance."""
        return len(self.working) + (self._forms is not None) + (self.least_same is not None)

    def findings(self, among: int) -> list[Finding | Verdict]:
        """One for each task with a check, for answers in the form of another task, and for the same words.

        Args:
            among: how many claims are judged together.
        """
        level = ALPHA / max(1, among)
        judged = [each for each in self.figures if each.right or each.right_alone]
        if not any(each.task == CANARY for each in self.working):  # then nothing rests on it
            judged = [each for each in judged if each.task != CANARY]
        found: list[Finding | Verdict] = [self._task(each, level) for each in judged]
        if self._forms is not None:
            found.append(self._forms_finding(self._forms, level))
        if self.least_same is not None:
            found.append(self._same(self.least_same))
        return found

    @property
    def when(self) -> str:
        """When all were asked at once, in a sentence."""
        plan = self.mix.together.plan
        return "together" if plan.is_open else f"at {plan.most_users} users"

    def _task(self, figures: TaskFigures, level: float) -> Finding | Verdict:
        what = f"right answers of {figures.task}{self.label}"
        missing = _missing(figures)
        if missing is not None:
            return no_evidence(NAME, what, 0.0, missing)
        drop = TaskDrop(figures, level)
        right = (drop.right, drop.right - drop.lost + drop.gained)
        alone, together = (f"{percent(k / drop.n)}%" for k in right)
        passes = not drop.doubtful and drop.seen <= MOST_UNSEEN
        return Finding(
            check=NAME,
            what=what,
            limit=0.0,
            estimate=(drop.lost - drop.gained) / drop.n,
            n=drop.n,
            holds=drop.p > level or not drop.shown,
            p_within=0.0 if passes else 1.0,
            p_beyond=drop.p if drop.shown else 1.0,
            head=f"{figures.task}{self.label}: {alone} right alone, {together} {self.when}",
            basis=f"{drop.sample}, {p_text(drop.p)}",
            note=_note(figures, drop.seen if passes else None),
            doubt=drop.doubt,
            gone=self.mix.together.generator.server_gone,
        )

    @cached_property
    def _forms(self) -> _Forms | None:
        """Answers that changed to or from the form of another task; None where none did, or nobody looked."""
        mix = self.mix
        if mix.like_alone is None:
            return None
        # A task that is never right answers as it pleases: its form tells nothing.
        pairs = [id_ for each in self.working for id_ in each.pairs]
        together = [id_ for id_ in pairs if mix.like.get(id_) and not mix.like_alone.get(id_)]
        alone = [id_ for id_ in pairs if mix.like_alone.get(id_) and not mix.like.get(id_)]
        return _Forms(together, alone, len(pairs)) if together or alone else None

    def _forms_finding(self, forms: _Forms, level: float) -> Finding:
        p = p_of_drop(len(forms.together), len(forms.alone))
        counts = f"{len(forms.together)} only {self.when}, {len(forms.alone)} only alone"
        return Finding(
            check=NAME,
            what=f"answers in the form of another task{self.label}",
            limit=0.0,
            estimate=(len(forms.together) - len(forms.alone)) / forms.n,
            n=forms.n,
            holds=p > level,
            p_within=0.0 if p > ALPHA else 1.0,
            p_beyond=p,
            head=f"wrong answers that the check of another task holds for{self.label}: {counts}",
            basis=f"n={forms.n} alike, {p_text(p)}",
            note=self._named(forms.together),
            doubt=CHANCE,
            gone=self.mix.together.generator.server_gone,
        )

    def _named(self, ids: Iterable[int]) -> str:
        """Which task in the form of which: "sentiment as chat: id 4, 17"."""
        task_of = {r.id: r.task for r in self.mix.together.everything}
        by_kind: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for id_ in ids:
            for other in self.mix.like[id_]:
                by_kind[task_of.get(id_) or "?", other].append(id_)
        return "; ".join(f"{task} as {other}: {ids_text(found)}" for (task, other), found in by_kind.items())

    def _same(self, least: float) -> Finding | Verdict:
        what = f"same answers alone and together{self.label}"
        same = {id_: mark for each in self.figures for id_, mark in each.alike.items()}
        alike = [same[id_] for id_ in sorted(same)]  # about in the order of sending: neighbours may be alike
        if self.mix.alone is None:
            return no_evidence(NAME, what, least, "the mix was not asked alone: llm_tasks(..., alone=True)")
        if not self.mix.repeatable:
            return no_evidence(NAME, what, least, "answers are drawn by chance: ask at temperature 0")
        if not alike:
            return no_evidence(NAME, what, least, "no request was answered both alone and together")
        other = share_of([not each for each in alike], 1 - least)
        interval, estimate = (1 - other.interval[1], 1 - other.interval[0]), 1 - other.estimate
        return Finding(
            check=NAME,
            what=what,
            limit=least,
            estimate=estimate,
            interval=interval,
            n=other.n,
            holds=not other.exceeded,
            p_within=other.p_within,
            p_beyond=other.p_beyond,
            head=f"{what} {compared(estimate, least, '%', write=percent, at_least=True, scale=100)}",
            basis=interval_basis(spread(*interval, "%", percent), f"n={other.n}"),
            doubt=lambda level: other.doubt(f"{percent(least)}%", "answers", "other than alone", level=level),
            gone=self.mix.together.generator.server_gone,
        )


@dataclass(frozen=True)
class _Forms:
    """Requests whose answer was in the form of another task, of `n` answered both times."""

    together: list[int]
    alone: list[int]
    n: int


def p_text(p: float) -> str:
    """A p-value with its sign: "p=0.0003", "p<0.0001"."""
    return f"p={p:.1g}" if p >= _SMALL_P else f"p<{_SMALL_P:.4f}"


def ids_text(ids: Iterable[int]) -> str:
    """A few of them: "id 4, 17, 23, 31 and 3 more"."""
    all_ids = list(ids)
    more = f" and {len(all_ids) - _IDS} more" if len(all_ids) > _IDS else ""
    return f"id {', '.join(map(str, all_ids[:_IDS]))}{more}"


def _missing(figures: TaskFigures) -> str | None:
    """Why a task tells nothing, and what to do."""
    if not figures.pairs and figures.right and figures.right.keys().isdisjoint(figures.beside or ()):
        return "no answer was given while another request was under way: give users=2 or more"
    if not figures.pairs:
        return "none of its requests was answered both alone and together: ask more of them alone"
    if not figures.share_alone:
        alone = len(figures.right_alone)
        return f"none of its {alone} answers was right alone: its check or its prompts are wrong"
    return None


def _note(figures: TaskFigures, seen: float | None) -> str:
    parts = [f"wrong only together: {ids_text(figures.lost)}"] if figures.lost else []
    if figures.strata:
        n = sum(each.n_after for each in figures.strata)
        share = percent(sum(each.right_after for each in figures.strata) / n)
        parts.append(f"of {n} further answers to the same prompts {share}% right")
    if seen is not None:
        parts.append(f"a drop by {math.ceil(100 * seen)} points would have been seen")
    return "; ".join(parts)

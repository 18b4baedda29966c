"""The text of a failed check: promised and found first, then the evidence, last the way to repeat it."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_llmserve.checks.standing_out import sentences
from pytest_llmserve.domain.diagnosis import Diagnosis
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import LoadResult, early_end
from pytest_llmserve.domain.samples import ResourceWindow
from pytest_llmserve.domain.stages import level_text
from pytest_llmserve.domain.units import NS_PER_S, ms_text
from pytest_llmserve.domain.verdict import Verdict
from pytest_llmserve.reports.figures import peak_lines
from pytest_llmserve.reports.isolation import carried_lines

_SLOWEST = 5
_BY_ID = "isolation"
"""The check whose sentences name single requests."""
_SHOWN_ERRORS = 4


def failure_text(
    verdicts: Sequence[Verdict],
    runs: Sequence[LoadResult],
    resources: ResourceWindow,
    repeat: str,
    strict: str | None,
    death: str | None = None,
    diagnosis: Sequence[Diagnosis] = (),
    log: Sequence[str] = (),
    stacks: Sequence[str] = (),
    request_log: str | None = None,
) -> str:
    """All that failed, then what it rests on.

    Args:
        verdicts: of the whole test.
        runs: of the test, in order.
        resources: the server's samples through the test.
        repeat: the command that runs this test again.
        strict: why undecided fails also within the limit, "--llm-strict"; None = it does not.
        death: what became of the server during the test, in a sentence, or None.
        diagnosis: what ran short, what explains most first.
        log: lines that show what its log told of errors.
        stacks: lines on what it did meanwhile.
        request_log: where each request stands with its texts; None = nowhere.
    """
    failed = [v for v in verdicts if v.fails(strict is not None)]
    broken = [v for v in failed if not v.kept_until_then]
    fates = list(dict.fromkeys(v.fate for v in failed if v.fate is not None))
    lines = [*(v.found for v in broken[:1]), *fates, *(v.found for v in broken[1:])]
    ended = death
    if ended is not None and not failed:
        lines, ended = [ended], None
    elif ended is not None and any(fate.endswith(ended) for fate in fates):
        ended = None
    if strict is not None and any(v.verdict == "undecided" for v in failed):
        lines.append(f"undecided counts as failed ({strict})")
    carried = [*carried_lines(verdicts, len(runs)), *_where_told(failed, request_log)]
    lines += ["", *carried] if carried else []
    for number, run in enumerate(runs, 1):
        lines += ["", *_run_lines(run, f"run {number}" if len(runs) > 1 else "run")]
    lines += ["", *log] if log else []
    if ended is not None:
        lines += ["", ended]
    server = peak_lines(resources)
    if server:
        lines += ["", *server]
    if stacks:
        lines += ["", *stacks]
    others = [v for v in verdicts if v not in broken]
    if others:
        told = ("kept until then" if v.kept_until_then else v.verdict for v in others)
        lines += [
            "",
            "other limits:",
            *(f"  {word}: {v.found}" for word, v in zip(told, others, strict=True)),
        ]
    if diagnosis:
        lines += ["", *_diagnosis_lines(diagnosis)]
    return "\n".join([*lines, "", f"repeat: {repeat}"])


def evidence_text(
    death: str | None, log: Sequence[str], stacks: Sequence[str], diagnosis: Sequence[Diagnosis]
) -> str:
    """What is known of the server, to stand beside a failure of the test's own; empty when nothing is.

    Args:
        death: these are as for `failure_text`.
        log: the same.
        stacks: the same.
        diagnosis: the same.
    """
    parts = [[death] if death is not None else [], log, stacks, _diagnosis_lines(diagnosis)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _diagnosis_lines(diagnosis: Sequence[Diagnosis]) -> list[str]:
    return ["diagnosis:", *(f"  {short}" for short in diagnosis)] if diagnosis else []


def _where_told(failed: Sequence[Verdict], request_log: str | None) -> list[str]:
    if request_log is None or all(v.check != _BY_ID for v in failed):
        return []
    return [f"all requests with their texts, each with ID= and RUN=: {request_log}"]


def _run_lines(run: LoadResult, title: str) -> list[str]:
    dropped = f", {len(run.dropped)} dropped" if run.dropped else ""
    counts = f"{len(run.requests)} requests, {len(run.failed)} failed{dropped}"
    lines = [f"{title}: {run.plan.describe()}: {counts}"]
    if run.plan.is_open or run.plan.steps:
        lines.append(f"  seed {run.plan.seed}")
    ended = early_end(run.generator.ended, len(run.tried), run.duration_s)
    if ended is not None:
        lines.append(f"  ended early: {ended}")
    lines += error_lines(run)
    lines += [f"  {sentence}" for sentence in sentences(run)]
    slowest = sorted(run.ok, key=lambda r: r.e2e_ms or 0.0, reverse=True)[:_SLOWEST]
    if slowest:
        begin_ns = min(r.scheduled_ns for r in run.requests)
        lines.append("  slowest requests:")
        lines += [f"    {_request(r, begin_ns, run.plan)}" for r in slowest]
    if run.profile is not None:
        lines.append(f"  {run.profile}")
    if run.generator.saturated:
        lines.append(f"  load generator: {run.generator.saturated}; {run.generator.remedy}")
    return lines


def error_lines(run: LoadResult) -> list[str]:
    """One line for each kind of failure, with an example."""
    lines = []
    for outcome, number in run.by_outcome.items():
        examples = [r for r in run.failed if r.outcome == outcome]
        if examples:
            seen = list(dict.fromkeys(r.error or "" for r in examples))
            lines.append(f"  {outcome}: {number}, first id {examples[0].id}: {seen[0]}")
    return lines[:_SHOWN_ERRORS]


def _request(record: RequestRecord, begin_ns: int, plan: LoadPlan) -> str:
    at_s = (record.scheduled_ns - begin_ns) / NS_PER_S
    parts = [f"id {record.id}", f"at {at_s:.1f} s"]
    if plan.steps:
        parts.append(f"stage {level_text(plan, plan.steps[record.stage])}")
    parts.append(f"e2e {ms_text(record.e2e_ms or 0.0)}")
    if record.ttft_ms is not None:
        parts.append(f"ttft {ms_text(record.ttft_ms)}")
    if record.output_tokens is not None:
        parts.append(f"{record.output_tokens} tokens")
    if record.served_by is not None:
        parts.append(f"by {record.served_by}")
    return ", ".join(parts)

"""Peaks of what the server takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.finding import Finding, conclude, no_evidence
from pytest_llmserve.checks.unread import unread
from pytest_llmserve.checks.wording import Writer, amount, compared, whole_number
from pytest_llmserve.domain.keywords import keyword, not_negative, percentage, positive
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.samples import FIGURES, GPU, METRICS, PROCESS, ResourceSample
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.domain.verdict import FAIL, PASS, Verdict

_WORDS: dict[str, tuple[str, str, Writer]] = {
    "rss_mb": ("peak RSS", " MB", amount),
    "uss_mb": ("peak USS", " MB", amount),
    "memory_mb": ("peak memory (USS + swap)", " MB", amount),
    "cpu_percent": ("peak CPU", "%", amount),
    "threads": ("peak threads", "", whole_number),
    "open_files": ("peak open files", "", whole_number),
    "processes": ("peak processes", "", whole_number),
    "gpu_memory_percent": ("peak GPU memory", "%", amount),
    "gpu_memory_mb": ("peak GPU memory", " MB", amount),
    "queue": ("peak queue length", "", whole_number),
    "kv_cache_percent": ("peak KV cache", "%", amount),
}
"""Keyword -> what it is called, its unit, how it is written."""

_WAYS: dict[str, tuple[str, str, str]] = {
    PROCESS: (
        "--llm-server-pid",
        "for a server on this machine give --llm-server-pid",
        "the system does not tell {} of this process: run as the server's user",
    ),
    GPU: (
        "--llm-metrics-url",
        "for GPUs of another machine give --llm-metrics-url of their exporter",
        "the GPUs' driver does not tell {}",
    ),
    METRICS: (
        "--llm-metrics-url",
        "give --llm-metrics-url=URL of a page that tells it",
        "the server's metrics do not tell {}; give --llm-metrics-url=URL of a page that does",
    ),
}
"""Source of figures -> the option it needs, what to do where it tells nothing, what to say where it
tells other figures only."""

NOT_MEANWHILE = "was not read while the load ran: run longer"

_PER_DEVICE: dict[str, str] = {"gpu_memory_percent": "memory_percent", "gpu_memory_mb": "memory_bytes"}
"""Figures of the fullest device -> field of `GpuSample`."""


def _peak(what: str, convert: Callable[[object], float] = positive) -> Any:
    return keyword(convert, doc=f"most {what} at any sample of the test")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Peaks of the server's processes, GPUs and queue stay within limits through the whole test.

    A statement about the samples: what happens between two of them is not seen.
    """

    name: ClassVar[str] = "resources"
    stops_early: ClassVar[bool] = False

    rss_mb: float | None = _peak("resident memory, in MB of 1,000,000 bytes")
    uss_mb: float | None = _peak("memory of the server alone (USS), in MB")
    memory_mb: float | None = _peak("USS + swap, in MB")
    cpu_percent: float | None = _peak("CPU, 100 = one core,")
    threads: float | None = _peak("threads")
    open_files: float | None = _peak("open files and sockets")
    processes: float | None = _peak("processes")
    gpu_memory_percent: float | None = _peak("memory of the fullest GPU in use, in percent,", percentage)
    gpu_memory_mb: float | None = _peak("memory of the fullest GPU in use, in MB,")
    queue: float | None = _peak("requests waiting in the server's queue", not_negative)
    kv_cache_percent: float | None = _peak("of the server's KV cache in use, in percent,", percentage)

    def __post_init__(self) -> None:
        if not list(self.limits()):
            raise ValueError(f"needs at least one limit: {', '.join(_WORDS)}")

    def limits(self) -> Iterator[tuple[str, float]]:
        """(figure, limit) of each limit given: ("rss_mb", 4000.0)."""
        for field in fields(self):
            limit = getattr(self, field.name)
            if limit is not None:
                yield field.name, limit

    def judge(self, evidence: Evidence) -> list[Verdict]:
        """One verdict for each limit."""
        return conclude([_judge(evidence, figure, limit) for figure, limit in self.limits()])


def _judge(evidence: Evidence, figure: str, limit: float) -> Finding | Verdict:
    what, unit, write = _WORDS[figure]
    told = _told(evidence.resources.samples, figure)
    values = evidence.resources.values(figure)
    peak = max(values, default=None)
    if peak is None or (peak <= limit and evidence.resources.why(figure) is not None):
        return no_evidence(Resources.name, what, limit, _reason(evidence, figure, told))
    if peak <= limit and not _under_load(evidence, figure, told):
        return no_evidence(Resources.name, what, limit, f"{figure} {NOT_MEANWHILE}")
    gaps = unread(evidence.resources, figure, told, _started_ns(evidence))
    why = gaps.told((_started_ns(evidence), evidence.resources.samples[-1].at_ns), _spans(evidence))
    if peak <= limit and why is not None:
        fault = evidence.resources.faults.get(FIGURES[figure].source)
        return no_evidence(Resources.name, what, limit, why if fault is None else f"{why}: {fault}")
    settled = PASS if peak <= limit else FAIL
    highest = told[values.index(peak)]
    when = "" if settled == PASS else f", {_seconds(evidence, highest):.1f} s into the test"
    return Finding(
        check=Resources.name,
        what=what,
        limit=limit,
        estimate=peak,
        n=len(values),
        holds=peak <= limit,
        settled=settled,
        head=f"{what} {compared(peak, limit, unit, write=write)}{_where(evidence, figure, highest)}{when}",
        basis=f"n={len(values)} of {len(values) + gaps.missed} readings"
        if gaps.missed
        else f"n={len(values)} samples",
        note=evidence.resources.part(figure),
        gone=next((gone for run in evidence.runs if (gone := run.generator.server_gone)), None),
    )


def _under_load(evidence: Evidence, figure: str, told: list[ResourceSample]) -> bool:
    """One of the samples lies within a run; True without runs, and where stamps of rounds were moved.

    CPU is of the whole stretch since it was told before, so a part of that is enough.
    """
    spans = _spans(evidence)
    if not spans:
        return True
    since = told if figure != "cpu_percent" else [*evidence.resources.samples[:1], *told]
    return any(
        first.at_ns <= end_ns and last.at_ns >= start_ns
        for first, last in zip(since, told, strict=False)
        for start_ns, end_ns in spans
    )


def _spans(evidence: Evidence) -> list[tuple[int, int]]:
    """Of each run, from its start to its last end; none where stamps of rounds were moved."""
    if any(run.rounds is not None for run in evidence.runs):
        return []
    return [(run.start_ns, _last_end_ns(run)) for run in evidence.runs]


def _last_end_ns(run: LoadResult) -> int:
    return max(
        (record.end_ns for record in run.everything if record.end_ns is not None), default=run.steady_ns[1]
    )


def _reason(evidence: Evidence, figure: str, told: list[ResourceSample]) -> str:
    """Why nothing, or not enough, is known of a figure, and what to do."""
    source = FIGURES[figure].source
    option, way_out, others_only = _WAYS[source]
    why = evidence.resources.why(figure)
    if why is not None and told:
        return f"watching ended {_seconds(evidence, told[-1]):.1f} s into the test: {why}"
    if why is not None:
        # Where the process is not known its reason names the option; where it is, the option is no help.
        return why if source == PROCESS or option in why else f"{why}; {way_out}"
    if not evidence.resources.samples:
        return "no sample was taken during the test"
    if figure == "cpu_percent":
        return "cpu_percent is told of a fifth of a second and more: run longer"
    if source == PROCESS or any(_told(evidence.resources.samples, name) for name in _of(source)):
        return others_only.format(figure)
    return f"{figure} was not read; {way_out}"


def _of(source: str) -> list[str]:
    return [name for name, figure in FIGURES.items() if figure.source == source]


def _told(samples: tuple[ResourceSample, ...], figure: str) -> list[ResourceSample]:
    """The samples in which a figure stands, as `ResourceWindow.values` has them."""
    field = FIGURES[figure].field
    return [sample for sample in samples if getattr(sample, field) is not None]


def _where(evidence: Evidence, figure: str, sample: ResourceSample) -> str:
    """The device a peak is of: " on GPU 0 (NVIDIA L4)"; "" for figures that are of none."""
    field = _PER_DEVICE.get(figure)
    if field is None:
        return ""
    told = [gpu for gpu in sample.gpus if getattr(gpu, field) is not None]
    fullest = max(told, key=lambda gpu: float(getattr(gpu, field)))
    return f" on {evidence.resources.gpu_names.get(fullest.index, f'GPU {fullest.index}')}"


def _seconds(evidence: Evidence, sample: ResourceSample) -> float:
    return (sample.at_ns - _started_ns(evidence)) / NS_PER_S


def _started_ns(evidence: Evidence) -> int:
    started_ns = evidence.started_ns
    return evidence.resources.samples[0].at_ns if started_ns is None else started_ns

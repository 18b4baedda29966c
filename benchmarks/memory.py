"""How much memory a long run takes, in all processes of ours together.

``python benchmarks/memory.py`` sends 200,000 streamed requests of 100 chunks to the timed server, through the
real engine, then makes every figure, judges limits and writes the JSON report, in a process that has imported
what a pytest session with the plugin has. Samples the PSS of this process and of the load workers meanwhile,
not of the server. Exit 1 when the peak is over --limit-mb, when the workers grew after the first quarter of
the run, or when a request failed; with --out the figures are written there and bench.py judges them. Takes
about six minutes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psutil
from bounds import GROWTH_MB, PEAK_MB
from figures import Memory
from timed_server import running

from pytest_llmserve.checks.error_rate import ErrorRate
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.latency import Latency
from pytest_llmserve.checks.throughput import Throughput
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.samples import ResourceWindow
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.load.engine import LoadRun
from pytest_llmserve.reports.document import run_document, verdict_documents

if TYPE_CHECKING:
    from pytest_llmserve.domain.progress import LoadProgress
    from pytest_llmserve.domain.result import LoadResult

SAMPLE_S = 0.2
QUARTERS = (0.25, 0.5, 0.75, 1.0)


@dataclass
class Sampler:
    """Measures this process and its children but those of before, from a thread of its own.

    Attributes:
        phase: what the process is at; set by the main thread.
        ended: requests that are over; set by the main thread.
        peaks_mb: phase -> highest sum of PSS seen.
        workers_mb: (requests that were over, USS of all load workers).
    """

    phase: str = "start"
    ended: int = 0
    peaks_mb: dict[str, float] = field(default_factory=dict)
    workers_mb: list[tuple[int, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._self = psutil.Process()
        self._others = set(self._self.children(recursive=True))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_S):
            phase, ended = self.phase, self.ended
            workers = [w for w in self._self.children(recursive=True) if w not in self._others]
            found = [memory for memory in map(_memory_mb, workers) if memory is not None]
            pss_mb = sum(pss for pss, _ in found) + (_memory_mb(self._self) or (0.0, 0.0))[0]
            self.peaks_mb[phase] = max(pss_mb, self.peaks_mb.get(phase, 0.0))
            if phase == "load" and found:
                self.workers_mb.append((ended, sum(uss for _, uss in found)))

    def workers_at(self, ended: float) -> float:
        """USS of the workers when so many requests were over; NaN when none was sampled."""
        later = [mb for count, mb in self.workers_mb if count >= ended]
        return (later or [mb for _, mb in self.workers_mb[-1:]] or [float("nan")])[0]


def _memory_mb(process: psutil.Process) -> tuple[float, float] | None:
    """(PSS, USS), None of a process that has ended; where the system has no PSS, USS twice."""
    try:
        info = process.memory_full_info()
    except psutil.Error:
        return None
    return getattr(info, "pss", info.uss) / 1e6, info.uss / 1e6


def load(url: str, folder: Path, options: argparse.Namespace, sampler: Sampler) -> LoadResult:
    """The run itself, and the merge of its records."""
    target = msgspec.structs.replace(
        target_from_url(url), api="openai-chat", model="timed", stream_usage=True
    )
    plan = LoadPlan(users=options.users, requests=options.requests)

    def note(progress: LoadProgress) -> None:
        sampler.ended = progress.ended

    with LoadRun(target, plan, ["Say something."], folder) as run:
        run.start()
        sampler.phase = "load"
        run.wait(note)
        sampler.phase = "merge"
        return run.result()


def judge(result: LoadResult, sampler: Sampler) -> bytes:
    """All figures, verdicts on each kind of latency, and the report as it is written."""
    sampler.phase = "figures"
    summaries = [getattr(result, name).summary() for name in ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms")]
    print(f"{len(result.requests)} requests, {len(result.failed)} failed, {summaries[1]['n']} gaps")
    sampler.phase = "verdicts"
    evidence = Evidence((result,), ResourceWindow(missing="not watched"), None)
    limits: Any = {"ttft_p95_ms": 1e4, "itl_p99_ms": 1e4, "itl_mean_ms": 1e4, "tpot_p90_ms": 1e4}
    checks = [
        Latency(p99_ms=1e5, **limits),
        Throughput(min_rps=1, min_tokens_per_s=1),
        ErrorRate(max=0.01),
    ]
    verdicts = [verdict for check in checks for verdict in check.judge(evidence)]
    sampler.phase = "document"
    document = {"runs": [run_document(result, keep_text=False)], "verdicts": verdict_documents(verdicts)}
    return msgspec.json.encode(document)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--tokens", type=int, default=100, help="chunks of each answer")
    # Some 60,000 chunks a second: what one worker manages, with some to spare.
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--itl-ms", type=float, default=8.0)
    parser.add_argument("--limit-mb", type=float, default=PEAK_MB)
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    return parser.parse_args()


def main() -> int:
    options = parsed()
    # What a session with the plugin has in memory beside the run.
    import hypothesis  # noqa: F401
    import pytest  # noqa: F401

    import pytest_llmserve.plugin.testrun  # noqa: F401

    timing = ["--ttft-ms", options.itl_ms, "--itl-ms", options.itl_ms, "--tokens", options.tokens]
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as name,
        running(Path(name) / "server", *timing) as (url, _),
        Sampler() as sampler,
    ):
        result = load(url, Path(name) / "run", options, sampler)
        took_s = time.monotonic() - began
        report = judge(result, sampler)
    print(f"load and merge took {took_s:.0f} s, the load {result.generator.cpu_s:.0f} s of CPU")
    print(f"the report has {len(report)} bytes; peaks, PSS of all processes:")
    for phase, peak_mb in sampler.peaks_mb.items():
        print(f"  {phase:10} {peak_mb:7.1f} MB")
    found = verdict(options, sampler, len(result.failed), took_s)
    if options.out:
        options.out.write_text(json.dumps(dataclasses.asdict(found)))
        return 0
    kept = found.peak_mb <= options.limit_mb and found.growth_mb <= GROWTH_MB and not found.failed
    return 0 if kept else 1


def verdict(options: argparse.Namespace, sampler: Sampler, failed: int, took_s: float) -> Memory:
    """Print what was promised beside what was found."""
    quarters_mb = [sampler.workers_at(share * options.requests) for share in QUARTERS]
    told = [f"{mb:.1f} MB at {share:.0%}" for share, mb in zip(QUARTERS, quarters_mb, strict=True)]
    print(f"load workers, USS: {', '.join(told)}")
    growth_mb = quarters_mb[-1] - quarters_mb[0]
    found = Memory(options.requests, options.tokens, failed, took_s, sampler.peaks_mb, growth_mb)
    print(f"peak {found.peak_mb:.0f} MB, at most {options.limit_mb:.0f}")
    print(f"workers grew by {growth_mb:.1f} MB, at most {GROWTH_MB:g}")
    return found


if __name__ == "__main__":
    sys.exit(main())

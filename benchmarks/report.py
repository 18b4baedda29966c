"""Tables for the terminal and for docs/performance.md. Pure, apart from what is read about the machine."""

from __future__ import annotations

import datetime
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import bounds
from bounds import Findings, Rows
from figures import Figures, Memory, Pace, StartUp
from scenarios import Scenario

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
_LATENCY = (
    ("TTFT p99 of the server, ms", "server_p99_ms", 2),
    ("error p50, ms", "error_p50_ms", 3),
    ("error p99, ms", "error_p99_ms", 3),
    ("worst error, ms", "worst_ms", 3),
)
_COST = (
    ("requests/s", "requests_per_s", 0),
    ("peak memory, MB", "peak_rss_mb", 0),
    ("core used by others, %", "others_percent", 1),
)
_CHUNK = (("CPU us/chunk", "cpu_us_per_chunk", 1),)
_REQUEST = (("CPU us/request", "cpu_us_per_request", 1),)
_OPEN = (
    ("send lag p99, ms", "send_lag_p99_ms", 3),
    ("rate off, %", "rate_error_percent", 3),
    ("gaps: KS p", "ks_p_value", 3),
)


@dataclass(frozen=True)
class Found:
    """All that a run of the benchmark has measured.

    Attributes:
        paces: when -> pace of the client's core.
        starts: client -> its start-up.
        memory: None = not measured.
        left_out: sentences: which client is in which figures not, and why.
    """

    paces: Mapping[str, Pace]
    starts: Mapping[str, StartUp]
    rows: Rows
    memory: Memory | None
    left_out: Sequence[str]


def scenario_table(scenario: Scenario, rows: Sequence[Figures]) -> str:
    """One scenario, a line a client."""
    columns = (
        *_LATENCY,
        *(_CHUNK if scenario.stream else _REQUEST),
        *_COST,
        *(_OPEN if scenario.rate else ()),
    )
    head = ("client", "requests", *(title for title, _, _ in columns))
    lines = [
        (row.client, f"{row.n:,}", *(_number(getattr(row, name), digits) for _, name, digits in columns))
        for row in rows
    ]
    said = [f"\n{row.client}: {_accounted(row)}\n" for row in rows if scenario.letter == "S"]
    said += [
        f"\n{row.client}: stamps are {row.clock or 'unknown'}.\n" for row in rows if scenario.letter == "T"
    ]
    return f"\n### {scenario.letter}: {_described(scenario)}\n\n{table(head, lines)}\n{''.join(said)}"


def _accounted(row: Figures) -> str:
    return row.accounted or "each request, chunk and byte once in the server's record, and none beside."


def _described(scenario: Scenario) -> str:
    timing = f"{scenario.tokens} tokens, TTFT {scenario.ttft_ms:g} ms, ITL {scenario.itl_ms:g} ms"
    return f"{scenario.title} ({timing if scenario.stream else 'TTFT 0'}, {scenario.seconds:g} s)"


def start_up_table(starts: Mapping[str, StartUp]) -> str:
    """What each client costs before its first request."""
    lines = [(name, f"{start.wall_s:.2f}", f"{start.cpu_s:.2f}") for name, start in starts.items()]
    return f"\n### Start-up\n\n{table(('client', 'seconds', 'CPU seconds'), lines)}\n"


def ratio_table(rows: Rows) -> str:
    """The engine beside its peers in the same run."""
    lines = [
        (scenario.name, ratio.what, f"engine / {ratio.peer}", f"{value:.3f}")
        for scenario, clients in rows.items()
        for ratio in bounds.RATIOS
        if (value := bounds.ratio_of(ratio, scenario, clients)) is not None
    ]
    for letter, what, value in (
        ("W", "capacity, two workers / one", bounds.workers_times(rows)),
        ("T", "CPU of a chunk, TLS / plain", bounds.tls_times(rows)),
    ):
        if value is not None:
            lines.append((letter, what, "engine", f"{value:.3f}"))
    if not lines:
        return ""
    return f"\n### Ratios\n\n{table(('scenario', 'figure', 'of', 'ratio'), lines)}\n{_pairs(rows)}"


def _pairs(rows: Rows) -> str:
    pairs = bounds.workers_pairs(rows)
    if not pairs:
        return ""
    return (
        "\nW compares requests by second of CPU, times the workers, as medians of runs in turns."
        f" Of the {len(pairs)} pairs of runs one by one: {min(pairs):.3f} to {max(pairs):.3f}.\n"
    )


def pace_table(paces: Mapping[str, Pace]) -> str:
    """What the same work costs on the client's core, at the times of measuring it."""
    lines = [
        (
            when,
            f"{pace.hot_us:.0f}",
            f"{pace.slept_us:.0f}",
            f"{pace.awake_us:.0f}",
            f"{pace.slept_us / pace.hot_us:.2f}",
        )
        for when, pace in paces.items()
    ]
    head = ("when", "hot, us", "after 5 ms of sleep, us", "the same, core kept awake, us", "slept / hot")
    return f"\n### Pace of the client's core\n\n{table(head, lines)}\n"


def memory_table(memory: Memory) -> str:
    """Peaks by phase, and what grew."""
    lines = [(phase, f"{peak_mb:.0f}") for phase, peak_mb in memory.peaks_mb.items()]
    return (
        f"\n### M: memory of {memory.requests:,} requests of {memory.tokens} chunks\n\n"
        f"{table(('phase', 'peak of all processes, MB'), lines)}\n\n"
        f"Peak {memory.peak_mb:.0f} MB, at most {bounds.PEAK_MB:g}. The load workers grew by"
        f" {memory.growth_mb:.1f} MB after the first quarter of the run, at most {bounds.GROWTH_MB:g}."
        f" {memory.failed} requests failed. Load and merge took {memory.took_s:.0f} s.\n"
    )


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Markdown, its columns aligned so that a terminal shows it as well."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *lines, strict=True)]
    rule = [width * "-" for width in widths]
    rows = [head, rule, *lines]
    return "\n".join(
        "| "
        + " | ".join(
            _aligned(i, cell, width) for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in rows
    )


def _aligned(position: int, cell: str, width: int) -> str:
    return cell.ljust(width) if position == 0 else cell.rjust(width)


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def machine() -> str:
    """One line: processor, cores, kernel, Python."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown"
    )
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"


def left_out_list(sentences: Sequence[str]) -> str:
    """Peers that failed."""
    said = "".join(f"- {sentence}.\n" for sentence in sentences)
    return f"\n### Left out, for it failed\n\n{said}" if said else ""


def page(found: Found, findings: Findings, command: str, today: datetime.date, where: str) -> str:
    """What stands between the markers."""
    said = [f"- Out of bounds: {sentence}." for sentence in findings.broken]
    said += [f"- Not judged: {sentence}." for sentence in findings.unjudged]
    return "".join(
        (
            f"Measured on {today.isoformat()}: {where}.\n\n",
            f"    python benchmarks/bench.py {command}".rstrip() + "\n",
            pace_table(found.paces),
            start_up_table(found.starts),
            *(scenario_table(scenario, clients) for scenario, clients in found.rows.items()),
            memory_table(found.memory) if found.memory else "",
            ratio_table(found.rows),
            left_out_list(found.left_out),
            "\n### Bounds\n\n" + ("\n".join(said) or "All bounds hold.") + "\n",
        )
    )


def rewritten(text: str, tables: str) -> str:
    """The page with what stands between the markers replaced.

    Raises:
        ValueError: the markers are not there, once each and in order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"the page must hold {BEGIN} and, after it, {END}, once each")
    return text[: text.index(BEGIN) + len(BEGIN)] + "\n\n" + tables.strip() + "\n\n" + text[text.index(END) :]

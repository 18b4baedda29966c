"""Tables for the terminal and for docs/performance.md. Pure, apart from what is read about the machine."""

from __future__ import annotations

import datetime
import math
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import bounds
from bounds import Findings, Rows
from figures import Figures, StartUp
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
        (scenario.letter, ratio.what, f"engine / {ratio.peer}", f"{value:.3f}")
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
    return f"\n### Ratios\n\n{table(('scenario', 'figure', 'of', 'ratio'), lines)}\n" if lines else ""


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


def page(
    starts: Mapping[str, StartUp],
    rows: Rows,
    findings: Findings,
    command: str,
    today: datetime.date,
    where: str,
) -> str:
    """What stands between the markers."""
    said = [f"- Out of bounds: {sentence}." for sentence in findings.broken]
    said += [f"- Not judged: {sentence}." for sentence in findings.unjudged]
    return "".join(
        (
            f"Measured on {today.isoformat()}: {where}.\n\n",
            f"    python benchmarks/bench.py {command}".rstrip() + "\n",
            start_up_table(starts),
            *(scenario_table(scenario, clients) for scenario, clients in rows.items()),
            ratio_table(rows),
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

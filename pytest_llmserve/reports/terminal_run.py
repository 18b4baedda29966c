"""A run in the summary: in two lines, or in full, a table of its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_llmserve.domain.plan import DECIDED
from pytest_llmserve.domain.printable import printable
from pytest_llmserve.domain.result import early_end
from pytest_llmserve.reports import turns
from pytest_llmserve.reports.figures import summary_text
from pytest_llmserve.reports.isolation import mix_lines
from pytest_llmserve.reports.merged import merged_text
from pytest_llmserve.reports.replicas import HEADS, replica_cells
from pytest_llmserve.reports.tables import figure_text, print_rows

Run = Mapping[str, Any]

_ROWS = (
    ("ttft_ms", "TTFT"),
    ("ttft_sent_ms", "TTFT sent"),
    ("itl_ms", "ITL"),
    ("tpot_ms", "TPOT"),
    ("e2e_ms", "e2e"),
    ("e2e_sent_ms", "e2e sent"),
)
_METRICS = {
    "e2e_p50": "e2e p50, ms",
    "e2e_p95": "e2e p95, ms",
    "ttft_p50": "TTFT p50, ms",
    "ttft_p95": "TTFT p95, ms",
    "throughput": "requests/s",
}
_COLUMNS = ("n", "mean", "p50", "p90", "p95", "p99", "max")
_BY_QUANTILE = ("TTFT p50", "p95", "e2e p50", "p95")


def print_run(console: Any, run: Run, full: bool, failed: bool = False) -> None:
    """Print it.

    Args:
        console: of rich.
        run: of a document.
        full: with all tables, the server and the generator.
        failed: of a test whose failure is told elsewhere: with the tables that the text of a failure lacks.
    """
    least = _FULL if full else _FAILED if failed else _ALWAYS
    for part, when in _PARTS:
        if when <= least:
            part(console, run)
    if not full:
        print_plain(console, f"  {_in_short(run)}")
        if _is_news(run["generator"]):
            print_plain(console, f"  {_generator(run['generator'])}", "yellow")
    for part in _FINDINGS:
        part(console, run)


def print_plain(console: Any, text: str, style: str | None = None) -> None:
    """A line as it is, however long: it can be searched and copied. No terminal obeys it."""
    console.print(printable(text), style=style, markup=False, emoji=False, soft_wrap=True)


def _print_counts(console: Any, run: Run) -> None:
    counts = run["counts"]
    by_outcome = {k: v for k, v in counts["by_outcome"].items() if k not in {"ok", "dropped"}}
    errors = ", ".join(f"{outcome} {number}" for outcome, number in by_outcome.items())
    print_plain(
        console,
        f"  {run['plan']['text']}: {counts['sent']} sent, {counts['failed']} failed"
        + (f" ({errors})" if errors else "")
        + (f", {counts['dropped']} dropped" if counts["dropped"] else "")
        + f", {run['duration_s']:.1f} s",
    )
    ended = early_end(run["generator"]["ended"], counts["sent"], run["duration_s"])
    if ended is not None:
        style = None if run["generator"]["ended"] == DECIDED else "yellow"
        print_plain(console, f"  ended early: {ended}", style)


def _in_short(run: Run) -> str:
    """The figures that are asked for first: "TTFT p50 6.31 p95 7.41, e2e p50 21.2 p99 23.6 ms, ..."."""
    metrics, found = run["metrics"], run["throughput"]
    latencies = [
        " ".join([title, *(f"{q} {figure_text(metrics[name][q], q)}" for q in quantiles)])
        for name, title, quantiles in (("ttft_ms", "TTFT", ("p50", "p95")), ("e2e_ms", "e2e", ("p50", "p99")))
    ]
    tokens = found["output_tokens_per_s"]
    told = "tok/s not known" if tokens is None else f"{figure_text(tokens, '')} tok/s"
    estimated = " (estimated)" if found["tokens_from"] == "estimated" else ""
    return f"{', '.join(latencies)} ms, {figure_text(found['requests_per_s'], '')} req/s, {told}{estimated}"


def _print_table(console: Any, run: Run) -> None:
    metrics = run["metrics"]
    rows = [
        [title, *(figure_text(metrics[name][column], column) for column in _COLUMNS)]
        for name, title in _ROWS
        if name in metrics
    ]
    print_rows(console, ("ms", *_COLUMNS), rows, padding=1)


def _print_stages(console: Any, run: Run) -> None:
    stages = run["stages"]
    if len(stages) < 2:
        return
    counts = ("n", "failed", *(["dropped"] if any(stage["dropped"] for stage in stages) else []))
    rows = [
        [
            stage["label"].replace(" requests/s", "/s"),
            *(figure_text(stage[column], column) for column in counts),
            *(figure_text(stage[column], column) for column in ("requests_per_s", "output_tokens_per_s")),
            *(figure_text(stage[latency][q], q) for latency in ("ttft_ms", "e2e_ms") for q in ("p50", "p95")),
        ]
        for stage in stages
    ]
    print_rows(console, ("stage", *counts, "req/s", "tok/s", *_BY_QUANTILE), rows)


def _print_served_by(console: Any, run: Run) -> None:
    if run.get("served_by"):
        print_rows(console, HEADS, replica_cells(run["served_by"], figure_text))


def _print_served_by_missing(console: Any, run: Run) -> None:
    if run.get("served_by_missing"):
        print_plain(console, f"  {run['served_by_missing']}", "yellow")


def _print_tasks(console: Any, run: Run) -> None:
    if not run.get("tasks"):
        return
    rows = [
        [
            task["task"],
            *(figure_text(task[column], column) for column in ("n", "failed")),
            *(figure_text(task[latency][q], q) for latency in ("ttft_ms", "e2e_ms") for q in ("p50", "p95")),
        ]
        for task in run["tasks"]
    ]
    print_rows(console, ("task", "n", "failed", *_BY_QUANTILE), rows, padding=1)


def _print_turns(console: Any, run: Run) -> None:
    if run.get("turns"):
        print_rows(console, turns.HEADS, turns.table_rows(run["turns"], figure_text), padding=1)


def _print_health(console: Any, run: Run) -> None:
    for line in (_throughput(run), summary_text(run["resources"]), _generator(run["generator"])):
        print_plain(console, f"  {line}")


def _print_profile(console: Any, run: Run) -> None:
    if "profile" in run:
        print_plain(console, f"  {run['profile']['text']}", "yellow")


def _print_mix(console: Any, run: Run) -> None:
    for line in mix_lines(run["mix"]) if "mix" in run else ():
        print_plain(console, f"  {line}")


def _print_comparison(console: Any, run: Run) -> None:
    if "comparison" not in run:
        return
    found = run["comparison"]
    b, rounds = found["b"], found["rounds"]
    told = f"{rounds} rounds" if rounds == found["planned"] else f"{rounds} of {found['planned']} rounds"
    counts = f"{b['counts']['sent']} sent, {b['counts']['failed']} failed"
    print_plain(console, f"  a = {found['a']['name']}, b = {b['name']} ({counts}), {told} by turns")
    if found["ended"] is not None:
        print_plain(console, f"  no further round: {found['ended']}", "yellow")
    rows = [
        [
            _METRICS[metric],
            *(figure_text(shift[side], "") for side in ("a", "b")),
            _percent(shift["ratio"]),
            *(_percent(bound) for bound in shift["interval"]),
        ]
        for metric, shift in found["shifts"].items()
    ]
    if rows:
        print_rows(console, ("", "a", "b", "a over b", "from", "to"), rows, padding=1)


def print_sweep(console: Any, found: Mapping[str, Any]) -> None:
    """Print what was found of inputs of several lengths."""
    print_plain(console, f"  lengths by turns: {found['plan']}")
    rows = [
        [
            str(row["length_chars"]),
            "-" if row["input_tokens"] is None else str(row["input_tokens"]),
            *(figure_text(row[column], column) for column in ("n", "failed")),
            *(figure_text(row["ttft_ms"][q], q) for q in ("p50", "p90")),
            *(figure_text(row["e2e_ms"][q], q) for q in ("p50", "p90", "p99")),
        ]
        for row in found["rows"]
    ]
    heads = ("characters", "tokens", "n", "failed", "TTFT p50", "p90", "e2e p50", "p90", "p99")
    print_rows(console, heads, rows)
    for line in found["said"]:
        print_plain(console, f"  {line}", "yellow" if line.startswith(("cliff", "limit", "inputs")) else None)


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{100 * ratio:+.1f} %"


def _throughput(run: Mapping[str, Any]) -> str:
    found = run["throughput"]
    requests, tokens = found["requests_per_s"], found["output_tokens_per_s"]
    said = ["throughput:", "-" if requests is None else f"{requests:.2f} requests/s,"]
    said.append("tokens/s not known" if tokens is None else f"{tokens:.1f} tokens/s")
    if found["tokens_from"] == "estimated":
        said.append("(tokens estimated from chunks)")
    return " ".join(said)


def _transport(generator: Mapping[str, Any]) -> str:
    spoken = f" ({' and '.join(generator['protocols'])})" if generator["protocols"] else ""
    return f"{generator['transport']} transport{spoken}"


def _generator(generator: Mapping[str, Any]) -> str:
    lag = generator["send_lag_ms"].get("p99")
    parts = [] if generator["transport"] == "sockets" else [_transport(generator)]
    parts += [f"{generator['clock']} stamps", f"CPU {generator['cpu_percent']:.0f} %"]
    if lag is not None:
        parts.append(f"send lag p99 {lag:.2f} ms")
    if generator["reopened"]:
        parts.append(f"{generator['reopened']} connections closed by the server while idle")
    if merged := merged_text(generator):
        parts.append(merged)
    if generator["saturated"]:
        parts.append(f"bottleneck: {generator['saturated']}")
    return "generator: " + ", ".join(parts)


def _is_news(generator: Mapping[str, Any]) -> bool:
    """It was the bottleneck, or did not measure as it does by default."""
    return bool(generator["saturated"]) or generator["transport"] != "sockets"


_Part = Callable[[Any, Run], None]
_ALWAYS, _FAILED, _FULL = range(3)
_PARTS: tuple[tuple[_Part, int], ...] = (
    (_print_counts, _ALWAYS),
    (_print_table, _FULL),
    (_print_stages, _FAILED),
    (_print_served_by, _FAILED),
    (_print_served_by_missing, _ALWAYS),
    (_print_tasks, _FAILED),
    (_print_turns, _FAILED),
    (_print_health, _FULL),
)
"""Part -> when it is told: always, of a test that failed, or only in full."""
_FINDINGS: tuple[_Part, ...] = (_print_profile, _print_mix, _print_comparison)
"""What a test asked for beside figures."""

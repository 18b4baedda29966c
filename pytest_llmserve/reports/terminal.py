"""The section at the end of a test session, made from the documents of its tests."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_llmserve.domain.plan import DECIDED
from pytest_llmserve.domain.result import early_end
from pytest_llmserve.domain.trust import NOT_CHECKED
from pytest_llmserve.reports import side_by_side, turns
from pytest_llmserve.reports.figures import held_up_text, summary_text
from pytest_llmserve.reports.isolation import mix_lines
from pytest_llmserve.reports.replicas import HEADS, replica_cells
from pytest_llmserve.reports.server_text import server_lines

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
_COLOURS = {"pass": "green", "fail": "red", "undecided": "yellow"}


def summary_lines(tests: Sequence[Mapping[str, Any]], width: int, colour: bool, verbosity: int) -> list[str]:
    """The lines to print; with verbosity below 0 one line a test, and cases side by side."""
    from rich.console import Console

    console = Console(
        file=io.StringIO(),
        width=max(60, width),
        force_terminal=colour,
        color_system="standard" if colour else None,  # the caller decides; rich would look at TERM again
        no_color=not colour,
        highlight=False,
    )
    if any((test.get("server") or {}).get("tls") == NOT_CHECKED for test in tests):
        _plain(console, f"{NOT_CHECKED} (--llm-insecure)", "yellow")
    for line in server_lines(tests) if verbosity >= 0 else ():
        _plain(console, line)
    for test in grouped(tests) if verbosity <= 0 else tests:
        attempt = f" (attempt {test['attempt']})" if test["attempt"] > 1 else ""
        if "passed" in test:
            _plain(console, "; ".join([f"{test['nodeid']}: {test['passed']} passed", *_survivals(test)]))
            continue
        if verbosity < 0:
            said = "; ".join([_short(test), *_survivals(test), *_said(test)])
            _plain(console, f"{test['nodeid']}: {test['outcome']}{attempt}{said}")
            continue
        _plain(console, f"{test['nodeid']}: {test['outcome']}{attempt}", "bold")
        for run in test["runs"]:
            _print_run(console, run)
        for found in test.get("sweeps", ()):
            _print_sweep(console, found)
        for verdict in test["verdicts"]:
            _plain(console, f"  {verdict['verdict']}: {verdict['sentence']}", _COLOURS[verdict["verdict"]])
        for short in test.get("diagnosis", ()):
            _plain(console, f"  diagnosis: {short['what']}: {short['sentence']}")
        for line in _survivals(test):
            survived = test["survival"]["survived"] == test["survival"]["cases"]
            _plain(console, f"  {line}", None if survived else "red")
        for line in _said(test):
            _plain(console, f"  {line}", "yellow")
    for found in side_by_side.comparisons(tests):
        _plain(console, f"{found['test']}: side by side", "bold")
        _print_rows(console, side_by_side.HEADS, side_by_side.cells(found["rows"], figure_text), padding=0)
    return str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]


def grouped(tests: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The same, but for one row a function, with its number, for parametrized cases that passed.

    Cases with a run, a verdict, or anything to say stay as they are; so does one that is alone.
    """
    alike: dict[str, list[Mapping[str, Any]]] = {}
    for test in tests:
        if _is_plain(test):
            alike.setdefault(_function(test["nodeid"]), []).append(test)
    rows: list[Mapping[str, Any]] = []
    for test in tests:
        cases = alike.get(_function(test["nodeid"]), []) if _is_plain(test) else []
        if len(cases) < 2:
            rows.append(test)
        elif cases[0] is test:
            rows.append(_together(cases))
    return rows


def _together(cases: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    row: dict[str, Any] = {
        "nodeid": _function(cases[0]["nodeid"]),
        "outcome": "passed",
        "attempt": 1,
        "passed": len(cases),
    }
    survivals = [case["survival"] for case in cases if "survival" in case]
    if survivals:
        names = ("cases", "survived", "restarts", "restart_s")
        row["survival"] = {name: sum(found[name] for found in survivals) for name in names}
    return row


def _function(nodeid: str) -> str:
    """Without the parameters, which may hold anything."""
    file, colons, rest = nodeid.partition("::")
    return file + colons + rest.partition("[")[0]


def _is_plain(test: Mapping[str, Any]) -> bool:
    """Of a parametrized test, passed at the first attempt, nothing to be told but its hostile inputs."""
    if test["nodeid"] == _function(test["nodeid"]):
        return False
    told = any(test.get(key) for key in ("runs", "sweeps", "verdicts", "diagnosis"))
    return test["outcome"] == "passed" and test["attempt"] == 1 and not told and not any(_said(test))


def _plain(console: Any, text: str, style: str | None = None) -> None:
    console.print(text, style=style, markup=False, emoji=False, soft_wrap=True)


def _short(test: Mapping[str, Any]) -> str:
    words = [verdict["verdict"] for verdict in test["verdicts"]]
    counted = [f"{words.count(word)} {word}" for word in _COLOURS if word in words]
    return f" ({', '.join(counted)})" if counted else ""


def _survivals(test: Mapping[str, Any]) -> list[str]:
    """The line on its hostile inputs; none where it put none."""
    if "survival" not in test:
        return []
    found = test["survival"]
    said = f"hostile inputs: {_count(found['cases'], 'case')}, {found['survived']} survived"
    if found["restarts"]:
        said += f", {_count(found['restarts'], 'restart')} of the server ({found['restart_s']:.0f} s)"
    return [said]


def _said(test: Mapping[str, Any]) -> Iterator[str]:
    """What was not judged, what the server was held up by, and what became of runs that were to be kept."""
    for key in ("not_judged", "liveness", "stacks_missing"):
        if test.get(key):
            yield test[key]
    yield from (f"clients that left: {found['what']}" for found in test.get("disconnects", ()))
    held_up = held_up_text((test.get("resources") or {}).get("full_ms"))
    if held_up:
        yield held_up
    if test.get("stacks"):
        times = len(test["stacks"])
        yield f"stacks of the server, taken {_times(times)}, are in the report: --llm-report=FILE.json"
    kept = test.get("kept")
    if kept is None:
        return
    before = kept["before"]
    if kept["left_out"] is not None:
        stays = f"; {_runs(before)} kept before stay{'s' if before == 1 else ''}" if before else ""
        yield f"not kept as {kept['name']}: {kept['left_out']}{stays}"
    else:
        instead = f", in place of {_runs(before)} kept before" if before else ""
        yield f"kept as {kept['name']}: {_runs(kept['runs'])}{instead}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _runs(number: int) -> str:
    return _count(number, "run")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _print_run(console: Any, run: Mapping[str, Any]) -> None:
    counts = run["counts"]
    by_outcome = {k: v for k, v in counts["by_outcome"].items() if k not in {"ok", "dropped"}}
    errors = ", ".join(f"{outcome} {number}" for outcome, number in by_outcome.items())
    _plain(
        console,
        f"  {run['plan']['text']}: {counts['sent']} sent, {counts['failed']} failed"
        + (f" ({errors})" if errors else "")
        + (f", {counts['dropped']} dropped" if counts["dropped"] else "")
        + f", {run['duration_s']:.1f} s",
    )
    ended = early_end(run["generator"]["ended"], counts["sent"], run["duration_s"])
    if ended is not None:
        _plain(console, f"  ended early: {ended}", None if run["generator"]["ended"] == DECIDED else "yellow")
    _print_table(console, run["metrics"])
    if len(run["stages"]) > 1:
        _print_stages(console, run["stages"])
    if run.get("served_by"):
        _print_rows(console, HEADS, replica_cells(run["served_by"], figure_text), padding=0)
    if run.get("served_by_missing"):
        _plain(console, f"  {run['served_by_missing']}", "yellow")
    if run.get("tasks"):
        _print_tasks(console, run["tasks"])
    if run.get("turns"):
        _print_rows(console, turns.HEADS, turns.table_rows(run["turns"], figure_text))
    for line in (_throughput(run), summary_text(run["resources"]), _generator(run["generator"])):
        _plain(console, f"  {line}")
    if "profile" in run:
        _plain(console, f"  {run['profile']['text']}", "yellow")
    for line in mix_lines(run["mix"]) if "mix" in run else ():
        _plain(console, f"  {line}")
    if "comparison" in run:
        _print_comparison(console, run["comparison"])


def _print_comparison(console: Any, found: Mapping[str, Any]) -> None:
    b, rounds = found["b"], found["rounds"]
    told = f"{rounds} rounds" if rounds == found["planned"] else f"{rounds} of {found['planned']} rounds"
    counts = f"{b['counts']['sent']} sent, {b['counts']['failed']} failed"
    _plain(console, f"  a = {found['a']['name']}, b = {b['name']} ({counts}), {told} by turns")
    if found["ended"] is not None:
        _plain(console, f"  no further round: {found['ended']}", "yellow")
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
        _print_rows(console, ("", "a", "b", "a over b", "from", "to"), rows)


def _print_sweep(console: Any, found: Mapping[str, Any]) -> None:
    _plain(console, f"  lengths by turns: {found['plan']}")
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
    _print_rows(console, heads, rows, padding=0)
    for line in found["said"]:
        _plain(console, f"  {line}", "yellow" if line.startswith(("cliff", "limit", "inputs")) else None)


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{100 * ratio:+.1f} %"


def _print_table(console: Any, metrics: Mapping[str, Any]) -> None:
    rows = [
        [title, *(figure_text(metrics[name][column], column) for column in _COLUMNS)]
        for name, title in _ROWS
        if name in metrics
    ]
    _print_rows(console, ("ms", *_COLUMNS), rows)


def _print_stages(console: Any, stages: Sequence[Mapping[str, Any]]) -> None:
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
    heads = ("stage", *counts, "req/s", "tok/s", "TTFT p50", "p95", "e2e p50", "p95")
    _print_rows(console, heads, rows, padding=0)  # up to ten columns in eighty


def _print_tasks(console: Any, tasks: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        [
            task["task"],
            *(figure_text(task[column], column) for column in ("n", "failed")),
            *(figure_text(task[latency][q], q) for latency in ("ttft_ms", "e2e_ms") for q in ("p50", "p95")),
        ]
        for task in tasks
    ]
    _print_rows(console, ("task", "n", "failed", "TTFT p50", "p95", "e2e p50", "p95"), rows)


def _print_rows(
    console: Any, heads: Sequence[str], rows: Sequence[Sequence[str]], *, padding: int = 1
) -> None:
    """A table, its first column words, which wrap where the width is too small, and the others figures."""
    from rich import box
    from rich.padding import Padding
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, padding))
    table.add_column(heads[0], overflow="fold")
    for head in heads[1:]:
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(Padding(table, (0, 0, 0, 2)))


def figure_text(value: float | None, column: str) -> str:
    if value is None:
        return "-"
    if column in {"n", "failed", "dropped"}:
        return str(int(value))
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


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
    if generator["saturated"]:
        parts.append(f"bottleneck: {generator['saturated']}")
    return "generator: " + ", ".join(parts)

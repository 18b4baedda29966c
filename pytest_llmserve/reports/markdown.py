"""`--llm-report x.md`: a page for a merge request or a job's summary, the verdict of the session first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pytest_llmserve.reports.cases_joined import joined
from pytest_llmserve.reports.diagnoses import Shared, alone, shared
from pytest_llmserve.reports.figures import summary_text
from pytest_llmserve.reports.itself import error_text, is_undecided, unsurvived, why_it_fails
from pytest_llmserve.reports.markdown_text import Made, Part, block, code, details, page, prose, table
from pytest_llmserve.reports.private import SERVERLESS
from pytest_llmserve.reports.side_by_side import HEADS, cells
from pytest_llmserve.reports.tables import figure_text
from pytest_llmserve.reports.terminal import grouped, test_lines
from pytest_llmserve.reports.verdict_cells import fails, found_and_limit, quantity
from pytest_llmserve.reports.whole import write_text

Test = Mapping[str, Any]
Placed = tuple[tuple[int, int], list[str]]
"""A row's place, by the outcome of its test and by its verdict, and its cells."""

MOST_BYTES = 1024 * 1024
"""What GitHub takes of a step's summary; of a larger one it shows nothing."""
_DETAILS_WIDTH = 100
_SIGNS = {"fail": "❌ fail", "undecided": "⚠️ undecided", "pass": "✅ pass"}
_FAILED = ("failed", "error")
_OUTCOMES = {"failed": "❌ failed", "error": "❌ error", "interrupted": "❌ interrupted"}


def write(document: Mapping[str, Any], path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    write_text(markdown(document), path)


def markdown(document: Mapping[str, Any], most_bytes: int = MOST_BYTES) -> str:
    """The page, of at most `most_bytes` of UTF-8: what matters least comes last and is left out first.

    Args:
        document: of the session, docs/report.md.
        most_bytes: at least 1000.
    """
    tests = last_attempts(document["tests"])
    parts = [
        Part("", [f"- {line}" for line in _servers(tests)], "servers"),
        _verdict_table(tests),
        _diagnosis(tests),
        _error_table(tests),
        _figure_table(tests),
        *_side_by_side(document.get("comparisons", ())),
        _details(document["tests"]),
        Part("", [_environment(document["environment"])], "environment"),
    ]
    return page(f"## {session_verdict(tests, document.get(SERVERLESS, 0))}", parts, most_bytes)


def last_attempts(tests: Sequence[Test]) -> list[Test]:
    """What counts of tests that were run again; those that failed first, then in their order."""
    last = {test["nodeid"]: test for test in tests}
    return sorted(last.values(), key=lambda test: _rank(test["outcome"]))


def session_verdict(tests: Sequence[Test], serverless: int = 0) -> str:
    """All of it in a line: "❌ llmserve: 2 of 10 tests failed, 1 limit undecided".

    Args:
        tests: documents, one a test.
        serverless: tests beside them that were skipped as no server was named.
    """
    if not tests:
        skipped = f"{_count(serverless, 'test')} skipped: no server was named"
        return f"⚠️ llmserve: {skipped if serverless else 'no test used a server'}"
    outcomes = Counter(test["outcome"] for test in tests)
    failed, cut = sum(outcomes[word] for word in _FAILED), outcomes["interrupted"]
    undecided = sum(v["verdict"] == "undecided" for test in tests for v in test["verdicts"])
    told = []
    if failed:
        told.append(f"{failed} of {_count(len(tests), 'test')} failed")
    if cut:
        told.append(f"{cut} interrupted")
    passed = outcomes["passed"]
    if not told or (passed and not failed):
        told.append(f"{passed} {'test' if passed == 1 else 'tests'} passed")
    told += [f"{outcomes[word]} {word}" for word in ("skipped", "xfailed", "xpassed") if outcomes[word]]
    told += [f"{_count(undecided, 'limit')} undecided"] if undecided else []
    unjudged = sum(bool(test.get("not_judged")) for test in tests)
    told += [f"{_count(unjudged, 'promise')} not judged"] if unjudged else []
    open_ = undecided or unjudged or not outcomes["passed"]
    sign = "❌" if failed or cut else "⚠️" if open_ else "✅"
    return f"{sign} llmserve: {', '.join(told)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _rank(outcome: str) -> int:
    return 0 if outcome in _OUTCOMES else 1


def _servers(tests: Sequence[Test]) -> Iterator[str]:
    told: dict[str, None] = {}
    for server in (test["server"] for test in tests if test.get("server")):
        model = f", model {code(server['model'])}" if server.get("model") else ""
        told[f"{code(server['url'])}, {prose(server['api'])}{model}"] = None
    yield from told


def _verdict_table(tests: Sequence[Test]) -> Part:
    order = list(_SIGNS)
    rows: list[Placed] = []
    for row in joined(grouped(tests)):
        name = code(row["nodeid"])
        for verdict in row.get("verdicts", ()):
            found, limit = found_and_limit(verdict)
            sign, rank = _sign(row, verdict)
            case = f", {verdict['cases']}: {code(verdict['case'])}" if "cases" in verdict else ""
            what = prose(verdict["check"]), prose(quantity(verdict))
            told = [sign, name, *what, prose(found) + case, prose(limit)]
            rows.append(((_rank(row["outcome"]), order.index(rank)), told))
        if row.get("not_judged"):
            rows.append(_unjudged(row, name))
        if not any(map(fails, row.get("verdicts", ()))):
            rows += _of_the_test_itself(row, name)
    rows.sort(key=lambda row: row[0])
    heads = ("verdict", "test", "check", "quantity", "found", "limit")
    return table(heads, [cells for _, cells in rows], 0, "verdicts")


def _sign(row: Test, verdict: Mapping[str, Any]) -> tuple[str, str]:
    """The word on it, and the verdict among which it stands."""
    word = verdict["verdict"]
    if row["outcome"] == "xfailed" and word == "fail":
        return "fail, as expected", word
    if row["outcome"] in _FAILED and word == "undecided" and fails(verdict):
        return f"❌ undecided, {why_it_fails(verdict)}: fails", "fail"
    return _SIGNS[word], word


def _unjudged(row: Test, name: str) -> Placed:
    """A row on a promise that nobody looked at."""
    check, was, why = row["not_judged"].partition(" was not judged: ")
    told = (check, why) if was else ("", row["not_judged"])
    return (_rank(row["outcome"]), 1), ["⚠️ not judged", name, prose(told[0]), "", prose(told[1]), ""]


def _of_the_test_itself(row: Test, name: str) -> list[Placed]:
    """A row on a test that failed by itself, or that no limit was judged in."""
    if row["outcome"] in _OUTCOMES:
        why = _ended(row)
        if not why and row["outcome"] == "failed" and any(map(is_undecided, row["verdicts"])):
            why = "--llm-strict, or warnings that are errors: undecided fails"
        return [((0, 0), [_OUTCOMES[row["outcome"]], name, "the test itself", "", prose(why), ""])]
    if row.get("verdicts") or (row.get("not_judged") and row["outcome"] == "passed"):
        return []
    passed = "✅ passed" if row["outcome"] == "passed" else row["outcome"]
    cases = f"{row['passed']} cases" if "passed" in row else ""
    return [((1, 3), [passed, name, "the test itself", "", cases, ""])]


def _ended(row: Test) -> str:
    """What it ended with: of hostile inputs what they did, and where the error stands."""
    return "; ".join([*unsurvived(row)[:3], *filter(None, [error_text(row)])])


def _diagnosis(tests: Sequence[Test]) -> Part:
    alike = shared(tests)
    rows = [
        f"- {code(test['nodeid'])}: **{prose(short['what'])}**: {prose(short['sentence'])}"
        for test in tests
        for short in alone(test, alike)
    ]
    for each in alike:
        seen = (f"  - {prose(told)}: {', '.join(map(code, names))}" for told, names in each.seen.items())
        rows.append("\n".join([f"- **{prose(each.what)}**: {prose(each.remedy)}", *seen]))
    rows += [
        f"- {code(test['nodeid'])}: {prose(test[key])}"
        for test in tests
        for key in ("session", "liveness")
        if test.get(key)
    ]
    return Part("**What was seen of the server**\n", rows, "lines on the server")


def _error_table(tests: Sequence[Test]) -> Part:
    rows = [
        [_run_name(test, place), prose(row["outcome"]), prose(row["error"] or ""), str(row["n"])]
        for test in tests
        for place, run in enumerate(test["runs"])
        for row in run["errors"]
    ]
    return table(("run", "failed requests", "error", "n"), rows, 1, "kinds of error")


def _run_name(test: Test, place: int) -> str:
    number = f" run {place + 1}" if len(test["runs"]) > 1 else ""
    return code(test["nodeid"]) + number


def _figure_table(tests: Sequence[Test]) -> Part:
    heads = (
        *("run", "load", "sent", "failed", "TTFT p50, ms", "p95", "e2e p50, ms", "p95", "p99"),
        *("requests/s", "tokens/s"),
    )
    rows = [
        [_run_name(test, place), prose(run["plan"]["text"]), *_figures(run)]
        for test in tests
        for place, run in enumerate(test["runs"])
    ]
    return table(heads, rows, len(heads) - 2, "runs")


def _figures(run: Mapping[str, Any]) -> Iterator[str]:
    counts, metrics, throughput = run["counts"], run["metrics"], run["throughput"]
    yield from (str(counts["sent"]), str(counts["failed"]))
    for metric, quantiles in (("ttft_ms", ("p50", "p95")), ("e2e_ms", ("p50", "p95", "p99"))):
        yield from (figure_text(metrics[metric][q], q) for q in quantiles)
    yield from (figure_text(throughput[name], "") for name in ("requests_per_s", "output_tokens_per_s"))


def _side_by_side(comparisons: Sequence[Mapping[str, Any]]) -> Iterator[Part]:
    for found in comparisons:
        rows = [[prose(row[0]), *row[1:]] for row in cells(found["rows"], figure_text)]
        yield Part("", [f"{code(found['test'])}: side by side"], "comparisons")
        yield table(("server", *HEADS[1:]), rows, len(HEADS) - 1, "rows side by side")


def _details(tests: Sequence[Test]) -> Part:
    """Each attempt as the terminal has it with -v, those that failed first."""
    alike = shared(last_attempts(tests))
    told = [test for test in tests if test["runs"] or test["verdicts"] or test.get("sweeps")]
    told.sort(key=lambda test: _rank(test["outcome"]))
    return Part("", Made([partial(_in_full, test, alike) for test in told]), "tests in full")


def _in_full(test: Test, alike: Sequence[Shared]) -> str:
    lines = test_lines(test, _DETAILS_WIDTH, alike)
    watched = test.get("resources")
    if watched and not test["runs"]:
        lines.append(f"  {summary_text(watched)}")
    return details(f"{test['nodeid']}: {test['outcome']}", block(lines))


def _environment(found: Mapping[str, Any]) -> str:
    told = [
        f"pytest-llmserve {found['pytest_llmserve']}",
        f"Python {found['python']}",
        f"{found['system']} on {found['machine']}",
        f"{found['cpus']} CPUs" + (f" ({found['cpu_model']})" if found["cpu_model"] else ""),
    ]
    lines = [", ".join(told), *(f"{name}: {said}" for name, said in found["definitions"].items())]
    return details("environment and definitions", block(lines))

"""Two kept runs side by side: what belongs together, and the same told in every form."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

from pytest_llmserve.checks.no_regression import Held, NoRegression
from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.verdict import Verdict
from pytest_llmserve.reports.html.comparison import comparison_page
from pytest_llmserve.reports.json_file import write as write_json
from pytest_llmserve.reports.kept_pairs import comparison_document, paired
from pytest_llmserve.reports.overlaid import curves
from pytest_llmserve.reports.pairs_markdown import markdown
from pytest_llmserve.reports.pairs_text import comparison_lines
from pytest_llmserve.reports.pairs_words import headline, verdict_lines

OF_THAT = "there, 4 here (there = before, here = after); differences may come of that"
HOSTILE = "</script><script>alert(1)</script>"


def run(times=1.0, n=800, seed=1, users=4, **changes):
    dice = random.Random(seed)
    e2e = [times * dice.uniform(80, 120) for _ in range(n)]
    fields = {
        "name": "x",
        "plan": msgspec.to_builtins(LoadPlan(users=users, requests=n)),
        "series": {"e2e_ms": e2e, "ttft_ms": [value / 4 for value in e2e]},
        "rates": {"requests_per_s": [40.0] * 10},
        "throughput": {"requests_per_s": 40.0},
        "counts": {"sent": n, "failed": 0},
        "server": {"url": "http://127.0.0.1:1", "model": "m", "api": "openai-chat"},
    }
    return Measurement(**(fields | changes))


def document(before, after, left=(), verdicts=None):
    pairs, _ = paired({("t", 1): before}, {("t", 1): after})
    return comparison_document(("main", "branch"), pairs, left, verdicts or {})


def test_runs_of_one_test_and_number_belong_together():
    """What has no counterpart is named, on both sides."""
    pairs, left = paired(
        {("a", 1): run(), ("a", 2): run(), ("b", 1): run()},
        {("a", 1): run(), ("c", 1): run(), ("b", 1): run()},
    )
    assert [(pair.before_at, pair.after_at) for pair in pairs] == [(("a", 1), ("a", 1)), (("b", 1), ("b", 1))]
    assert left == ["only before: a run 2", "only after: c run 1"]


def test_single_tests_belong_together_whatever_their_names():
    """A test that was renamed; that it was is told."""
    pairs, left = paired({("old", 1): run()}, {("new", 1): run()})
    assert left == []
    found = comparison_document(("main", "branch"), pairs, left, {})["runs"][0]
    assert found["unlike"] == ["test old there, new here"]


def test_what_else_differs_is_told_beside_the_differences():
    """Another load, another machine, a generator that was the bottleneck."""
    before = run(users=8, environment={"cpus": 4}, spoiled="the load generator was the bottleneck (late)")
    lines = comparison_lines(document(before, run(environment={"cpus": 2})), 200, colour=False, verbosity=0)
    assert [line.strip() for line in lines[3:6]] == [
        f"not the same load: users 8 {OF_THAT}",
        f"not the same surroundings: cpus 4 {OF_THAT.replace('4 here', '2 here')}",
        "in doubt: before, the load generator was the bottleneck (late)",
    ]


def test_verdicts_of_several_tests_say_of_which():
    """One test needs no name."""
    verdict = {"verdict": "pass", "sentence": "p50 fine"}
    one = document(run(), run(), verdicts={"a": [verdict, verdict]})
    assert verdict_lines(one) == ["pass: p50 fine"] * 2
    two = document(run(), run(), verdicts={"a": [verdict], "b": [verdict]})
    assert verdict_lines(two) == ["pass: a: p50 fine", "pass: b: p50 fine"]


def test_the_headline_is_the_whole_in_a_sentence():
    """What is worse and better by name, the rest by number."""
    assert headline(document(run(), run(seed=2))) == "no difference seen in 8 of 8 figures"
    said = headline(document(run(), run(1.5, seed=2)))
    assert said.startswith("worse: p50 e2e latency ")
    assert said.endswith(" and 2 more; no difference seen in 2 of 8 figures")
    assert headline({"runs": [], "verdicts": []}) == "nothing could be compared"


def test_the_headline_has_the_verdict_first():
    """Where something was promised, as a word, in each form with its sign."""

    def of(*words):
        one = NoRegression(percent=10).judge_held([Held(run(), run(1.5, seed=2))])[0].as_json()
        return document(run(), run(1.5, seed=2), verdicts={"a": [one | {"verdict": word} for word in words]})

    broken = of("fail", "pass", "undecided")
    assert headline(broken).startswith("1 of 3 limits broken, 1 undecided; worse: p50 e2e latency ")
    assert headline(of("undecided")).startswith("1 of 1 limit undecided; worse: ")
    assert headline(of("pass", "pass")).startswith("every limit of 2 holds; worse: ")
    assert "\n❌ 1 of 3 limits broken" in markdown(broken)
    header = comparison_page(broken).partition("<header")[2].partition("</header>")[0]
    assert '<span class="outcome bad">' in header
    assert "1 of 3 limits broken" in header


def test_the_terminal_has_a_table_of_eighty_columns():
    """No line of it is wider, and colour only where it is asked for."""
    found = document(run(), run(1.5, seed=2), left=["only before: a run 2"])
    lines = comparison_lines(found, 80, colour=False, verbosity=0)
    assert max(map(len, lines[:-1])) <= 80
    assert any(line.startswith("  e2e p50 ms") and "% slower (95% interval " in line for line in lines)
    assert "not compared: only before: a run 2" in lines
    assert not any("\x1b" in line for line in lines)
    assert any("\x1b[31m" in line for line in comparison_lines(found, 80, colour=True, verbosity=0))
    assert comparison_lines(found, 80, colour=False, verbosity=-1) == lines[-2:]


def test_json_has_the_differences_and_no_curves(tmp_path):
    """Plain data under a schema of its own; what plots are drawn from stays out."""
    write_json(document(run(), run(1.5, seed=2)), tmp_path / "d.json")
    found = json.loads((tmp_path / "d.json").read_text())
    assert (found["schema"], found["before"], found["after"]) == (
        "pytest-llmserve/comparison/1",
        "main",
        "branch",
    )
    row = found["runs"][0]["differences"][0]
    assert (row["metric"], row["seen"], row["worse"]) == ("e2e_p50", True, True)
    assert "_curves" not in found["runs"][0]


def test_json_is_as_its_schema_says(tmp_path):
    """All keys of it, whatever is not known; none may be missing."""
    path = Path(__file__).parents[2] / "docs" / "schema" / "comparison-1.json"
    schema = json.loads(path.read_text())
    Draft202012Validator.check_schema(schema)
    before = run(n=20, throughput={"requests_per_s": math.nan}, rates={})
    verdict = NoRegression(percent=10).judge_held([Held(before, run(seed=2))])[0].as_json()
    write_json(document(before, run(seed=2), ["only before: x"], {"t": [verdict]}), tmp_path / "d.json")
    found = json.loads((tmp_path / "d.json").read_text())
    assert [*Draft202012Validator(schema).iter_errors(found)] == []
    first = found["runs"][0]
    for whole in (found, first, first["before"], first["differences"][0], found["verdicts"][0]):
        for key in [key for key in whole if whole is not found["verdicts"][0] or key in ("test", "sentence")]:
            value = whole.pop(key)
            assert not Draft202012Validator(schema).is_valid(found), key
            whole[key] = value


def test_markdown_says_what_is_worse_in_words():
    """A table for a merge request; nothing from outside means anything in it."""
    verdict = {"verdict": "fail", "sentence": "p50 @you 50% > 10%"}
    text = markdown(document(run(), run(1.5, seed=2), verdicts={"t": [verdict]}))
    assert text.startswith("## branch against main\n")
    assert "- `fail: p50 @you 50% > 10%`" in text
    assert "| e2e p50 ms | **worse:** " in text


def test_the_page_has_both_runs_in_each_plot():
    """Percentiles, distribution and course of both latencies, and the rate."""
    page = comparison_page(document(run(), run(1.5, seed=2)))
    start = page.index(">", page.index('id="llmserve-plots"')) + 1
    plots = json.loads(page[start : page.index("</script>", start)])
    assert len(plots) == 7
    assert all({"before", "after"} == {s["name"].split()[0] for s in plot["series"]} for plot in plots)
    assert "▲ worse: " in page


def test_nothing_from_outside_is_script_in_the_page():
    """Names of tests, files, models: all of it text."""
    server = {"url": HOSTILE, "model": HOSTILE, "api": "x"}
    pairs, _ = paired({(HOSTILE, 1): run(server=server)}, {(HOSTILE, 1): run(seed=2, server=server)})
    verdict = Verdict(
        check="no_regression",
        what="p50",
        limit=10.0,
        estimate=50.0,
        interval=(40.0, 60.0),
        confidence=0.95,
        n=9,
        verdict="fail",
        sentence=HOSTILE,
    ).as_json()
    page = comparison_page(comparison_document((HOSTILE, HOSTILE), pairs, [HOSTILE], {HOSTILE: [verdict]}))
    assert "alert(1)" in page
    assert "<script>alert" not in page


def test_curves_end_where_failures_begin():
    """A percentile that failures reach is nothing, not a number; shares are of all requests."""
    ends = [100.0] * 90 + [math.inf] * 10
    found = curves(run(series={"e2e_ms": ends}), run(series={"e2e_ms": [100.0] * 50}))
    quantiles = found["quantiles"]["e2e_ms"]
    known = [q for q, value in zip(quantiles["q"], quantiles["before"], strict=True) if value is not None]
    assert max(known) == pytest.approx(0.9, abs=0.02)
    assert sum(found["histograms"]["e2e_ms"]["before"]) == pytest.approx(90)
    assert sum(found["histograms"]["e2e_ms"]["after"]) == pytest.approx(100)
    after = [q for q, value in zip(quantiles["q"], quantiles["after"], strict=True) if value is not None]
    assert max(after) <= 1 - 1 / 100 + 1e-9


def test_a_course_follows_the_run():
    """A run that became slow half way shows it there."""
    found = curves(run(series={"e2e_ms": [10.0] * 200 + [90.0] * 200}), run(series={"e2e_ms": [10.0] * 50}))
    course = found["course"]["e2e_ms"]
    assert len(course["at"]) == 10  # five requests a piece, of the shorter one
    assert course["before_p50"] == [10.0] * 5 + [90.0] * 5
    assert course["after_p50"] == [10.0] * 10

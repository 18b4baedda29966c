"""The section at the end of a session, on literal documents."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pytest_llmserve.domain.plan import LoadPlan, Stage
from pytest_llmserve.domain.result import GeneratorHealth
from pytest_llmserve.domain.samples import ResourceWindow
from pytest_llmserve.reports.document import run_document, verdict_documents
from pytest_llmserve.reports.terminal import summary_lines

S = 1_000_000_000


def document(make, runs=(), verdicts=(), **changes):
    return {
        "nodeid": "test_a.py::test_it",
        "outcome": "passed",
        "attempt": 1,
        "runs": [run_document(run, keep_text=False) for run in runs],
        "verdicts": verdict_documents(list(verdicts)),
    } | changes


def lines(tests, width=80, colour=False, verbosity=0):
    return [line.rstrip() for line in summary_lines(tests, width, colour, verbosity)]


def in_full(tests):
    return lines(tests, verbosity=1)


def test_a_server_that_full_readings_hold_up_is_told_so(make):
    told = "  a full reading of the server's memory takes 54 ms: it is held up for as long"
    assert told in lines([document(make, resources={"n": 3, "full_ms": 54.4})])
    assert told not in lines([document(make, resources={"n": 3, "full_ms": 50.0})])


def test_a_typical_test_is_shown_whole(make):
    """Outcome, plan and counts, a table, throughput, server, generator, verdicts."""
    run = make.run([make.record(i, 100 + 50 * i) for i in range(4)] + [make.failed(4)])
    shown = in_full([document(make, [run], [make.verdict("pass", "error rate 20% <= 50%")])])
    assert shown[0] == "test_a.py::test_it: passed"
    assert shown[1] == "  2 users, 5 requests: 5 sent, 1 failed (http_5xx 1), 4.1 s"
    assert shown[2].split() == ["ms", "n", "mean", "p50", "p90", "p95", "p99", "max"]
    assert [line.split()[0] for line in shown[4:8]] == ["TTFT", "ITL", "TPOT", "e2e"]
    assert shown[4].split()[1:4] == ["5", "20.0", "20.0"]
    assert shown[5].split()[1:4] == ["12", "10.0", "10.0"]
    assert shown[8] == "  throughput: 0.40 requests/s, 1.6 tokens/s"
    assert shown[9] == "  server: RSS 120 MB, peak 130 MB, USS + swap peak 120 MB, CPU 50 %"
    assert shown[10] == "  generator: kernel stamps, CPU 7 %, send lag p99 0.40 ms"
    assert shown[11:] == ["  pass: error rate 20% <= 50%"]


def test_the_table_fits_80_columns(make):
    """Large figures too."""
    run = make.run([make.record(i, 9_999_999) for i in range(3)])
    table = in_full([document(make, [run])])[2:8]
    assert max(map(len, table)) <= 80
    assert all("…" not in line for line in table)


def test_long_sentences_are_not_broken(make):
    """They can be searched and copied; the terminal wraps them."""
    sentence = "p99 e2e latency 2431 ms > 2200 ms " * 8
    assert f"  fail: {sentence.rstrip()}" in lines(
        [document(make, verdicts=[make.verdict(sentence=sentence)])]
    )


def test_without_colour_no_escape_is_written(make):
    """For logs and files."""
    tests = [document(make, [make.run([make.record(0)])], [make.verdict()])]
    assert "\x1b" not in "".join(summary_lines(tests, 80, False, 0))
    assert "\x1b[31m" in "".join(summary_lines(tests, 80, True, 0))


@pytest.mark.parametrize("name", ["test_a.py::test_it[[bold]x[/bold]]", "test_a.py::test_it[:smile:]"])
def test_names_are_printed_as_they_are(make, name):
    """Brackets of a parametrized test are no markup."""
    assert lines([document(make, nodeid=name)])[0] == f"{name}: passed"


def test_quiet_is_one_line_a_test(make):
    """With the verdicts counted."""
    words = [make.verdict("pass"), make.verdict("pass"), make.verdict("undecided"), make.verdict("fail")]
    tests = [document(make, [make.run([make.record(0)])], words), document(make, outcome="failed")]
    assert lines(tests, verbosity=-1) == [
        "test_a.py::test_it: passed (2 pass, 1 fail, 1 undecided)",
        "test_a.py::test_it: failed",
    ]


def test_quiet_says_why_a_test_failed_that_broke_no_limit(make):
    """An undecided limit that makes it fail, or an error of its own."""
    words = [make.verdict("undecided"), make.verdict("undecided"), make.verdict("undecided")]
    found = document(make, verdicts=words, outcome="failed")
    for verdict, holds in zip(found["verdicts"], (True, False, None), strict=True):
        verdict["holds"] = holds
    own = document(make, outcome="failed", raised={"type": "AssertionError", "file": "test_a.py", "line": 4})
    assert lines([found, own], verbosity=-1) == [
        "test_a.py::test_it: failed (3 undecided: 1 over the limit and 1 no evidence, which fails)",
        "test_a.py::test_it: failed; by itself: AssertionError in test_a.py, line 4",
    ]
    alone = found | {"verdicts": found["verdicts"][1:2]}
    assert lines([alone], verbosity=-1) == [
        "test_a.py::test_it: failed (1 undecided: over the limit, which fails)"
    ]
    assert lines([found | {"outcome": "passed"}], verbosity=-1) == [
        "test_a.py::test_it: passed (3 undecided)"
    ]


def test_a_second_attempt_is_marked(make):
    """Reruns are told apart."""
    tests = [document(make, outcome="rerun"), document(make, attempt=2)]
    assert lines(tests) == ["test_a.py::test_it: rerun", "test_a.py::test_it: passed (attempt 2)"]


def test_a_run_of_failures_only_has_no_figures(make):
    """Dashes, not zeros."""
    shown = in_full([document(make, [make.run([make.failed(0), make.failed(1, "refused", "x")])])])
    assert shown[1].endswith("2 sent, 2 failed (http_5xx 1, refused 1), 1.1 s")
    assert [line.split()[2:] for line in shown[4:8]] == [["-"] * 6] * 4


def test_an_early_end_and_an_unwatched_server_are_told(make):
    """So that figures are not taken for more than they are."""
    run = make.run(
        [make.record(0)],
        generator=GeneratorHealth(ended="interrupted", reopened=3, saturated="busy core"),
        resources=ResourceWindow(missing="on another machine"),
    )
    shown = in_full([document(make, [run])])
    assert "  ended early: interrupted" in shown
    assert "  server: not watched: on another machine" in shown
    assert shown[-1] == (
        "  generator: user stamps, CPU 0 %, 3 connections closed by the server while idle,"
        " bottleneck: busy core"
    )


def test_a_load_that_was_decided_says_after_how_much(make):
    """It is no trouble: nothing of it is coloured."""
    run = make.run([make.record(n) for n in range(9)], generator=GeneratorHealth(ended="decided"))
    told = "  ended early: every limit decided after 9 requests, 8.1 s"
    assert told in lines([document(make, [run])])
    assert told in lines([document(make, [run])], colour=True)


def test_tokens_that_were_estimated_or_not_counted_are_told(make):
    """Never passed off as the server's count."""
    estimated = make.run([make.record(i, tokens_from="estimated") for i in range(3)])
    uncounted = make.run([make.record(i, tokens_from=None, output_tokens=None) for i in range(3)])
    assert in_full([document(make, [estimated])])[8].endswith("tokens/s (tokens estimated from chunks)")
    assert in_full([document(make, [uncounted])])[8].endswith("requests/s, tokens/s not known")


@pytest.mark.parametrize("tls", [None, "TLS certificate checked", "TLS certificate not checked"])
def test_a_certificate_that_was_not_checked_is_told_once(make, tls):
    """However many tests there were; a checked one is no news."""
    shown = lines([document(make, server={"tls": tls})] * 2 + [document(make, server=None)], verbosity=-1)
    unchecked = ["TLS certificate not checked (--llm-insecure)"] if tls and "not" in tls else []
    assert shown == unchecked + ["test_a.py::test_it: passed"] * 3


def staged(make):
    """Two stages of 2 s after a warm-up of as long, a request a second, the last one failed."""
    plan = LoadPlan(stages=(Stage(1, 1, 2 * S), Stage(1, 4, 2 * S)), users=4, warm_up_ns=2 * S)
    records = [make.record(i, 100 + i, warm_up=i < 2, stage=max(0, i // 2 - 1)) for i in range(5)]
    return make.run([*records, make.failed(5)], plan=plan, steady_ns=(2 * S, 6 * S))


def test_stages_are_a_table_of_their_own(make):
    """The warm-up first; it is in no other figure."""
    run = staged(make)
    run.requests[-1] = replace(run.requests[-1], stage=1)
    shown = in_full([document(make, [run])])
    assert shown[1] == "  users 1 for 2 s, 1 to 4 for 2 s, warm-up 2 s: 4 sent, 1 failed (http_5xx 1), 3.1 s"
    assert shown[8].split() == [
        "stage",
        "n",
        "failed",
        "req/s",
        "tok/s",
        "TTFT",
        "p50",
        "p95",
        "e2e",
        "p50",
        "p95",
    ]
    assert [line.split() for line in shown[10:13]] == [
        ["warm-up", "2", "0", "1.00", "4.00", "20.0", "20.0", "100", "101"],
        ["1", "user", "2", "0", "1.00", "4.00", "20.0", "20.0", "102", "103"],
        ["1", "to", "4", "users", "2", "1", "0.50", "2.00", "20.0", "-", "104", "-"],
    ]
    assert max(map(len, shown[8:13])) <= 80


@pytest.mark.parametrize("dropped", [0, 1200])
def test_stages_of_rates_fit_80_columns(dropped, make):
    """Large figures too; what was dropped has a column where something was."""
    plan = LoadPlan(rate_stages=(Stage(2, 20, S), Stage(2000, 2000, S)), warm_up_ns=S)
    shown = document(make, [make.run([make.record(i, 123456, stage=i) for i in range(2)], plan=plan)])
    for stage in shown["runs"][0]["stages"]:
        stage |= {"n": 120_000, "failed": 12_345, "dropped": dropped, "output_tokens_per_s": 123_456.7}
        stage |= {"requests_per_s": 1999.9}
    table = in_full([shown])[10:15]
    assert max(map(len, table)) <= 80
    assert table[0].split()[:4] == ["stage", "n", "failed", "dropped" if dropped else "req/s"]
    counts = ["120000", "12345", *(["1200"] if dropped else []), "2000", "123457"]
    rows = [table[3].split(" 120000 ")[0].strip(), table[4].split(" 120000 ")[0].strip()]
    assert rows == ["2 to 20/s", "2000/s"]
    assert table[4].split()[1 : 1 + len(counts)] == counts


def test_an_open_loop_shows_both_latencies_and_what_was_dropped(make):
    """From the schedule, and from the send."""
    late = [make.record(i, scheduled_ns=i * S - 30_000_000, from_schedule=True) for i in range(3)]
    never = make.record(3, outcome="dropped", sent_ns=None, end_ns=None, token_ns=())
    shown = in_full([document(make, [make.run([*late, never], plan=LoadPlan(rate=1.0, requests=4))])])
    assert shown[1] == "  1 requests/s, Poisson arrivals, 4 requests: 3 sent, 0 failed, 1 dropped, 2.1 s"
    table = {line[2:13].strip(): line[13:].split() for line in shown[4:10]}
    assert table["TTFT"][:2] == ["3", "50.0"]
    assert table["TTFT sent"][:2] == ["3", "20.0"]
    assert (table["e2e"][1], table["e2e sent"][1]) == ("130", "100")


def test_the_diagnosis_is_in_the_summary(make):
    """As it stands in the failure; not in the short one."""
    short = [{"what": "queueing", "sentence": "requests wait: send less", "figures": {}}]
    tests = [document(make, verdicts=[make.verdict()], outcome="failed", diagnosis=short)]
    assert in_full(tests)[-1] == "  diagnosis: queueing: requests wait: send less"
    assert "queueing" not in "".join(lines(tests, verbosity=-1))


def test_tasks_are_shown_a_row_each(make):
    """Below the run's own figures."""
    run = make.run([make.record(0, task="chat"), make.record(1, 300, task="emotion")])
    shown = in_full([document(make, [run])])
    head = next(i for i, line in enumerate(shown) if line.split()[:1] == ["task"])
    assert shown[head].split("  ")[1].strip() == "task"
    assert shown[head + 2].split() == ["chat", "1", "0", "20.0", "20.0", "100", "100"]
    assert shown[head + 3].split() == ["emotion", "1", "0", "20.0", "20.0", "300", "300"]
    assert not any(line.split()[:1] == ["task"] for line in in_full([document(make, [make.run([])])]))


def survival(cases=1, survived=1, restarts=0, restart_s=0.0):
    return {"cases": cases, "survived": survived, "restarts": restarts, "restart_s": restart_s, "faults": []}


def test_hostile_inputs_are_counted_with_what_they_cost(make):
    """Restarts, where there were any."""
    shown = lines([document(make, survival=survival(42, 19, 23, 35.2), outcome="failed")])
    assert shown[1] == "  hostile inputs: 42 cases, 19 survived, 23 restarts of the server (35 s)"


def test_cases_that_passed_without_a_run_are_one_line_a_function(make):
    """At the place of the first; what failed, ran a load or has something to say stays, and all with -v."""
    function = "test_a.py::TestIt::test_bodies"
    cases = [document(make, survival=survival(), nodeid=f"{function}[{i}::x]") for i in range(200)]
    cases[7] |= {"outcome": "failed", "survival": survival(1, 0)}
    cases[8] |= {"runs": [run_document(make.run([make.record(0)]), keep_text=False)]}
    cases[9] |= {"not_judged": "no_regression not judged: none kept"}
    cases[10] |= {"attempt": 2}
    shown = lines([*cases, document(make), document(make), document(make, nodeid="test_b.py::test_it[1]")])
    assert shown[0] == f"{function}: 196 passed; hostile inputs: 196 cases, 196 survived"
    assert shown[1:3] == [f"{function}[7::x]: failed", "  hostile inputs: 1 case, 0 survived"]
    heads = [line for line in shown[3:] if line.startswith("test_")]
    assert heads == [
        *(f"{function}[{i}::x]: passed" for i in (8, 9)),
        f"{function}[10::x]: passed (attempt 2)",
        *("test_a.py::test_it: passed", "test_a.py::test_it: passed", "test_b.py::test_it[1]: passed"),
    ]
    assert lines(cases, verbosity=-1)[0] == shown[0]
    assert sum(line.startswith(function) for line in lines(cases, verbosity=1)) == 200


def test_what_passed_is_told_in_few_lines(make):
    """Verdicts and a line of figures, however much is known of it; the tables are there with -v."""
    staged_run = staged(make)
    tests = [
        document(make, [staged_run], [make.verdict("pass")], nodeid=f"t.py::test_{n}") for n in range(30)
    ]
    shown = lines(tests)
    assert len(shown) == 30 * 4
    assert shown[:4] == [
        "t.py::test_0: passed",
        "  users 1 for 2 s, 1 to 4 for 2 s, warm-up 2 s: 4 sent, 1 failed (http_5xx 1), 3.1 s",
        "  TTFT p50 20.0 p95 -, e2e p50 103 p99 - ms, 0.75 req/s, 3.00 tok/s",
        "  pass: p99 e2e latency 2431 ms > 2200 ms",
    ]
    assert len(in_full(tests)) > 30 * 12


def test_a_failure_that_stands_above_is_not_told_again(make):
    """Its figures in a line and its verdicts remain; without its text above it is told in full."""
    short = [{"what": "queueing", "sentence": "requests wait: send less", "figures": {}}]
    failed = document(
        make,
        [make.run([make.record(0)])],
        [make.verdict()],
        outcome="failed",
        diagnosis=short,
        liveness="the server ended",
    )
    assert [line.split()[0] for line in lines([failed])] == ["test_a.py::test_it:", "2", "TTFT", "fail:"]
    stages = document(make, [staged(make)], outcome="failed")
    assert [line.split()[0] for line in lines([stages])[2:8:2]] == ["stage", "warm-up", "1"]
    assert summary_lines([failed], 80, False, 0, told=False) == in_full([failed])
    assert "the server ended" in "".join(in_full([failed]))


def test_a_diagnosis_of_many_tests_is_told_once(make):
    """With the names of all; with -v those that failed are among them."""
    short = [{"what": "queueing", "sentence": "requests wait: send less", "figures": {}}]
    names = ("a", "b", "c")
    tests = [document(make, nodeid=name, outcome="xfailed", diagnosis=short) for name in names]
    assert lines(tests)[3:] == ["diagnosis: queueing: send less", "  requests wait: a, b, c"]
    tests[2]["outcome"] = "failed"
    assert lines(tests)[-1] == "  requests wait: a, b"
    assert in_full(tests)[-1] == "  requests wait: a, b, c"
    assert "queueing" not in "".join(lines(tests, verbosity=-1))


def test_on_a_terminal_long_lines_are_broken_between_words_and_set_in(make):
    """In their colour; nothing is lost, and a word that is too long stays whole."""
    sentence = "p99 e2e latency 2431 ms > 2200 ms " * 8 + "x" * 90
    tests = [document(make, verdicts=[make.verdict(sentence=sentence)])]
    shown = summary_lines(tests, 80, True, 0, wrap=True)[1:]
    plain = [line.removeprefix("\x1b[31m").removesuffix("\x1b[0m") for line in shown]
    assert all(line.startswith("\x1b[31m") and line.endswith("\x1b[0m") for line in shown)
    assert plain[0].startswith("  fail: p99")
    assert all(line.startswith("    ") and line[4] != " " for line in plain[1:])
    assert max(map(len, plain[:-1])) <= 80
    assert plain[-1] == "    " + "x" * 90
    assert " ".join(" ".join(plain).split()) == f"fail: {sentence}"


@pytest.mark.parametrize("outcome", ["error", "interrupted", "xpassed", "rerun"])
def test_what_did_not_pass_is_told_in_full(make, outcome):
    """With its tables, without being asked."""
    tests = [document(make, [staged(make)], outcome=outcome)]
    assert lines(tests) == in_full(tests)


def test_what_spoils_figures_is_told_with_those_that_passed(make):
    """A load generator at its limit, another transport, tokens that nobody counted."""
    late = GeneratorHealth(saturated="busy core", transport="sockets")
    shown = lines(
        [document(make, [make.run([make.record(0, tokens_from=None, output_tokens=None)], generator=late)])]
    )
    assert shown[2].endswith(" req/s, tok/s not known")
    assert shown[3] == "  generator: user stamps, CPU 0 %, bottleneck: busy core"
    other = make.run([make.record(0, tokens_from="estimated")], generator=GeneratorHealth(transport="httpx"))
    shown = lines([document(make, [other])])
    assert shown[2].endswith(" tok/s (estimated)")
    assert shown[3] == "  generator: httpx transport, user stamps, CPU 0 %"
    assert not any("generator" in line for line in lines([document(make, [make.run([make.record(0)])])]))


def test_colours_say_what_was_judged_and_no_more(make):
    """A test that failed is red, one that passed is not green: its verdicts are."""
    tests = [
        document(make, [make.run([make.record(0)])], outcome=outcome) for outcome in ("passed", "failed")
    ]
    shown = summary_lines(tests, 80, True, 0)
    assert shown[0] == "\x1b[1mtest_a.py::test_it: passed\x1b[0m"
    assert "\x1b[1;31mtest_a.py::test_it: failed\x1b[0m" in shown
    assert "\x1b[32m" not in "".join(shown)


def test_a_terminal_obeys_nothing_that_a_server_says(make):
    """Names of models, tasks and stages are printed, not acted on."""
    run = make.run([make.record(0, task="\x1b]0;x\x07")])
    server = {"url": "http://a", "api": "json", "model": "m\x1b[2J", "because": "\x9b1m", "tls": None}
    tests = [document(make, [run], [make.verdict(sentence="\x1b[1A")], server=server)]
    for verbosity in (-1, 0, 1):
        shown = "".join(summary_lines(tests, 80, False, verbosity))
        assert all(char.isprintable() for char in shown)


def test_where_the_stacks_are_is_told_by_name(make):
    """Or how to have them, where no report was asked for that has them."""
    tests = [document(make, stacks=[{"at_s": 1.0}])]
    line = "  stacks of the server were taken once: "
    assert f"{line}give --llm-report=FILE.json to have them" in summary_lines(tests, 80, False, 0)
    assert f"{line}they are in r.json" in summary_lines(tests, 80, False, 0, stacks="they are in r.json")

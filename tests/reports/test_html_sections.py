"""The parts of the HTML report on literal documents: what a reader finds in each."""

from __future__ import annotations

import pytest
from html_outline import Outline, words

from pytest_llmserve.reports.html.figures import placed
from pytest_llmserve.reports.html.placing import Placed
from pytest_llmserve.reports.html.plot import Plot
from pytest_llmserve.reports.html.sections.cards import card, verdict_list
from pytest_llmserve.reports.html.sections.cases import cases
from pytest_llmserve.reports.html.sections.details import details
from pytest_llmserve.reports.html.sections.environment import definitions, environment
from pytest_llmserve.reports.html.sections.errors import errors
from pytest_llmserve.reports.html.sections.generator import generator
from pytest_llmserve.reports.html.sections.log import log
from pytest_llmserve.reports.html.sections.mix import carried, mix
from pytest_llmserve.reports.html.sections.run import run_section
from pytest_llmserve.reports.html.sections.server import restarts, server, stacks
from pytest_llmserve.reports.html.sections.shifts import shifts
from pytest_llmserve.reports.html.sections.slowest import slowest
from pytest_llmserve.reports.html.sections.survival import disconnects, survival
from pytest_llmserve.reports.html.sections.sweeps import sweeps
from pytest_llmserve.reports.html.words import change, latency, number, whole

HEALTH = {
    "transport": "sockets",
    "protocols": ["HTTP/1.1"],
    "clock": "kernel",
    "cpu_percent": 7.0,
    "cpu_s": 1.5,
    "send_lag_ms": {"p50": 0.1, "p99": 0.4},
    "receive_lag_ms": {},
    "workers": 1,
    "chunks": 1200,
    "merged_share": 0.25,
    "late_share": None,
    "pinned": False,
    "saturated": None,
    "remedy": "add workers",
    "ended": "complete",
    "gc_pauses": 0,
    "gc_longest_ms": 0.0,
    "dropped": 0,
}
LATENCY = {
    "n": 10,
    "mean": 20.0,
    "min": 10.0,
    "max": 30.0,
    "p50": 20.0,
    "p90": 25.0,
    "p95": 26.0,
    "p99": None,
}


def run_of(**more):
    return {
        "plan": {"text": "2 users, 10 requests", "seed": 3, "params": {"max_tokens": 6}},
        "counts": {"sent": 10, "ok": 8, "failed": 2, "dropped": 1, "by_outcome": {"ok": 8, "timed_out": 2}},
        "duration_s": 12.5,
        "metrics": {"ttft_ms": LATENCY, "e2e_ms": LATENCY},
        "stages": [],
        "resources": {},
        "throughput": {"requests_per_s": 1.5, "output_tokens_per_s": None, "tokens_from": None},
        "generator": HEALTH,
        **more,
    }


def test_figures_keep_the_digits_that_matter():
    said = [number(value) for value in (None, 0.0, 0.123, 12.34, 2431.4, 12345.6, -0.5)]
    assert said == ["-", "0.00", "0.12", "12.3", "2431", "12,346", "-0.50"]
    assert (whole(None), whole(200_000), change(0.1), change(None)) == ("-", "200,000", "+10.0 %", "-")


def test_a_quantile_that_failures_reach_is_endless():
    """Unlike one of no request, and unlike a mean."""
    assert latency({"p99": None}, "p99", 5) == "∞"
    assert latency({"p99": None}, "p99", 0) == "-"
    assert latency({"mean": None}, "mean", 5) == "-"


def test_run_tells_what_was_sent_and_found():
    said = words(run_section(run_of(), "Run"))
    assert "Load 2 users, 10 requests Sent 10 Failed 2 (20.0 %) Never sent 1 Lasted 12.5 s" in said
    assert "Requests per second 1.50 Tokens per second not known" in said
    assert "metric n mean min p50 p90 p95 p99 max TTFT 10 20.0 10.0 20.0 25.0 26.0 ∞ 30.0" in said
    assert "∞: failed requests reach this percentile" in said
    assert "Server: not watched" in said
    assert "Seed 3 Fields of the request max_tokens=6" in said


def test_run_says_what_its_figures_have_to_be_read_with():
    """Its early end, a late generator, a header that was not there, memory that could not be read."""
    unread, profile = {"memory_missing": "it did not settle"}, {"text": "flame graph: a.svg"}
    late = HEALTH | {"saturated": "CPU 98 %", "ended": "gave up"}
    said = words(
        run_section(
            run_of(generator=late, served_by_missing="no header X", resources=unread, profile=profile), "Run"
        )
    )
    assert "Ended early: gave up" in said
    assert "The load generator may have been the bottleneck: CPU 98 %" in said
    assert (
        "Load generator: may have been the bottleneck Bottleneck CPU 98 % What to change add workers" in said
    )
    assert "no header X it did not settle flame graph: a.svg" in said


def test_stages_tasks_replicas_and_turns_have_a_row_each():
    short = {"p50": 20.0, "p95": 26.0}
    counts = {"sent": 5, "failed": 1}
    stage = {
        "n": 5,
        "failed": 1,
        "dropped": 0,
        "start_s": 0.0,
        "end_s": 4.0,
        "ttft_ms": LATENCY,
        "e2e_ms": LATENCY,
    }
    stage |= {"requests_per_s": 1.25, "output_tokens_per_s": 8.0}
    found = run_of(
        stages=[stage | {"label": "2 users"}, stage | {"label": "4 users", "n": 6}],
        tasks=[{"task": "chat", "n": 5, "failed": 0, "ttft_ms": short, "e2e_ms": short}],
        served_by=[
            {
                "name": "h:1",
                "share": 0.5,
                "counts": counts,
                "metrics": {"ttft_ms": LATENCY, "e2e_ms": LATENCY},
            }
        ],
        turns=[
            {
                "turn": n,
                "counts": counts,
                "input_chars": 99.6,
                "metrics": {"ttft_ms": LATENCY, "e2e_ms": LATENCY},
            }
            for n in range(1, 53)
        ],
    )
    said = words(run_section(found, "Run"))
    assert "2 users 0.00 4.00 5 1 1.25 8.00 20.0 26.0 ∞ 20.0 26.0 ∞ 4 users" in said
    assert "chat 5 0 20.0 26.0 20.0 26.0" in said
    assert "h:1 50.0 % 5 1 20.0 26.0 20.0 26.0" in said
    assert "50 5 1 100 20.0 26.0 20.0 26.0 And 2 further turns: the JSON report has all." in said


def test_errors_stand_by_kind_with_when_they_were_seen():
    row = {"outcome": "http_5xx", "status": 503, "error": "503: busy", "n": 7, "first_s": 1.5, "last_s": 9.25}
    said = words(errors(run_of(errors=[row | {"ids": [4, 8]}])))
    assert said.endswith("such as id http_5xx 503 503: busy 7 1.50 9.25 4, 8")
    assert words(errors(run_of())).endswith("outcome n timed_out 2")
    assert errors(run_of(counts={"by_outcome": {"ok": 3, "dropped": 2}})) is None


def test_slowest_requests_have_columns_for_what_is_known():
    row = {"id": 3, "at_s": 1.5, "ttft_ms": None, "e2e_ms": 950.0, "output_tokens": 40, "outcome": "ok"}
    said = words(slowest([row | {"stage": 0, "task": None, "served_by": None}]))
    assert said.endswith("id at, s TTFT, ms e2e, ms tokens outcome stage 3 1.50 - 950 40 ok 0")
    assert slowest([]) is None


def test_generator_that_kept_up_is_closed():
    said = Outline(generator(HEALTH))
    assert "open" not in said.all("details")[0]
    assert "Load generator: kept up" in said.words
    told = words(generator(HEALTH | {"resent": 2, "gc_pauses": 3, "gc_longest_ms": 4.5}))
    assert "Sent again on a new connection 2 Garbage collections 3 the longest 4.50 ms" in told
    assert "open" in Outline(generator(HEALTH | {"saturated": "late"})).all("details")[0]


def test_log_says_how_much_was_read_and_shows_its_lines():
    line = {"at_s": 2.5, "pattern": "traceback", "chars": 120}
    found = {"files": ["/tmp/a.log"], "errors": 2, "by_pattern": {"traceback": 2}, "lines": [line]}
    found |= {"read": 1350, "allowed": 1, "cut": 0, "missing": None}
    said = words(log(found))
    assert "2 lines that tell of an error, of 1,350 read; 1 that the test allows; /tmp/a.log" in said
    assert "2.50 traceback 120 characters Their texts are kept with --llm-keep-text." in said
    kept = words(log(found | {"lines": [line | {"text": "<b>boom</b>"}]}))
    assert "2.50 traceback <b>boom</b>" in kept
    assert "--llm-keep-text" not in kept
    assert words(log({"read": 0, "missing": "no log: give --llm-log"})) == "Server log no log: give --llm-log"
    assert log(None) is None


def test_server_tells_how_it_is_spoken_to_and_what_it_used():
    found = {
        "url": "https://h:1",
        "model": "m",
        "api": "openai-chat",
        "because": "it answered",
        "pid": 9,
        "tls": "TLS certificate not checked",
        "values": {"SLOTS": ["-np", 4]},
        "asked": ["GET / answered 200"],
        "capabilities": {"seed": {"word": "honoured", "evidence": "twice the same"}},
        "servers": [
            {"url": "https://h:1", "model": "m", "pid": 9},
            {"url": "https://h:2", "model": None, "pid": None},
        ],
    }
    used = {
        "n": 12,
        "missing": "process 9 ended",
        "rss_mb_median": 100.0,
        "rss_mb_peak": 120.5,
        "full_ms": 80.0,
        "gpus": [{"name": "GPU 0", "memory_mb_peak": 9000.0, "percent_median": None, "throttled": ["heat"]}],
        "absent": {"cgroup": "no control group"},
    }
    said = words(server(found, used))
    assert "Server TLS certificate not checked URL https://h:1 Model m API openai-chat" in said
    assert "Started with SLOTS=-np 4" in said
    assert "https://h:2 - -" in said
    assert "GET / answered 200" in said
    assert "seed honoured twice the same" in said
    assert "Not watched: process 9 ended" in said
    assert "a full reading of the server's memory takes 80 ms" in said
    assert "RSS, MB 100 120" in said
    assert "GPU 0 9000 - - - - - heat" in said
    assert said.endswith("What is not known, and why no control group")
    assert server(None, None) is None


def test_restarts_and_stacks_say_when():
    found = {"at_s": 5.0, "what": "killed", "down_ms": 800.0, "answers_ms": None}
    assert words(restarts([found])).endswith("answered after, ms 5.00 killed 800 -")
    thread = {
        "pid": 7,
        "thread": "MainThread",
        "state": "waits",
        "frames": ["get queue.py:1", "main app.py:2"],
    }
    dump = {"at_s": 3.0, "why": "no answer for 5 s", "threads": [thread], "missing": ["pid 8: not allowed"]}
    said = words(stacks([dump], None))
    assert said == (
        "Stacks at 3.00 s: no answer for 5 s pid 7 MainThread: waits get queue.py:1 main app.py:2"
        " pid 8: not allowed"
    )
    assert words(stacks([], "py-spy is not there")) == "Stacks py-spy is not there"
    assert stacks([], None) is None


def test_mix_and_carried_answers():
    task = {"task": "sum", "n": 20, "right": 0.7, "n_alone": 10, "right_alone": 0.9, "same_answers": None}
    said = words(mix({"tasks": [task], "aborted": 3}))
    assert "sum 20 70.0 % 90.0 % 10 - 3 further requests left in the middle." in said
    answer = {"id": 4, "run": 1, "task": "sum", "alone": False, "aborted": False, "at_s": 2.0}
    owner = {"id": 9, "run": None, "task": None, "alone": True, "aborted": False, "at_s": None}
    found = {"answers": 30, "repeated": 28, "not_kept": 0, "guilty": 1}
    one = {"answer": answer, "owner": owner, "mark": "ab12", "at_char": 17, "apart_s": 0.0}
    told = words(*carried([{"answers": found | {"carried": [one]}}, {}]))
    assert "30 answers read, 28 of them with their own mark; 1 carried something of another request" in told
    assert told.endswith("id 4, sum, run 1, at 2.00 s id 9, asked alone ab12 17 0.00")


def test_sides_of_a_comparison():
    shift = {"a": 110.0, "b": 100.0, "ratio": 0.1, "interval": [0.05, None], "confidence": 0.95, "n": [9, 9]}
    b = {
        "name": "reference",
        "url": "http://h:2",
        "counts": {"sent": 50, "failed": 1},
        "metrics": {"e2e_ms": LATENCY},
    }
    found = {
        "a": {"name": "new", "url": "http://h:1"},
        "b": b,
        "rounds": 3,
        "planned": 5,
        "ended": "b was gone",
    }
    said = words(shifts(found | {"shifts": {"e2e_p50": shift}}))
    assert (
        "a = new (http://h:1), b = reference (http://h:2: 50 sent, 1 failed), 3 of 5 rounds by turns." in said
    )
    assert "No further round: b was gone" in said
    assert "e2e p50, ms 110 100 +10.0 % +5.0 % - 95.0 % Latencies of b, reference, in ms" in said
    assert said.endswith("e2e 10 20.0 10.0 20.0 25.0 26.0 ∞ 30.0")


def test_sweep_survival_and_clients_that_left():
    row = {"length_chars": 4000, "input_tokens": 900, "n": 5, "failed": 0, "error": None}
    sweep = {
        "plan": "2 users",
        "rows": [row | {"ttft_ms": LATENCY, "e2e_ms": LATENCY}],
        "said": ["cliff at 4000"],
    }
    assert words(*sweeps([sweep])).endswith("4,000 900 5 0 20.0 25.0 ∞ 20.0 25.0 ∞ -")
    fault = {"what": "a body of 9 MB", "faults": ["it hung"], "outcome": "timed_out", "status": None}
    fault |= {"took_ms": 5000.0, "bytes": 9_000_000, "sha256": "ab" * 32, "sent": "<i>"}
    hostile = {"cases": 40, "survived": 39, "restarts": 1, "restart_s": 2.5, "faults": [fault]}
    said = words(survival(hostile))
    assert "40 cases, 39 survived, 1 restart of the server (2.50 s)." in said
    assert "a body of 9 MB it hung timed_out 5000 9,000,000 abababababab What was sent <i>" in said
    left = {"where": "in the queue", "clients": 5, "left": 4, "answered": 1, "silent": 0, "no_connection": 0}
    gone = {"what": "as before after 2 s", "faults": [], "not_seen": ["open files"], "leavers": [left]}
    gone |= {"before": {"together": {"ms": 20.0}, "running": None}, "after": {"together": {"ms": 25.0}}}
    told = words(disconnects([gone]))
    assert "as before after 2 s Not seen: open files" in told
    assert "in the queue 5 4 1 0 0 -" in told
    assert told.endswith("before after short questions at once, ms 20.0 25.0")


def test_servers_side_by_side():
    figures = ("users", "e2e_p50_ms", "e2e_p90_ms", "e2e_p99_ms", "ttft_p95_ms", "output_tokens_per_s")
    row = {"values": {"SLOTS": 4}, "outcome": "passed", "run": 1, **dict.fromkeys(figures, 12.0)}
    row |= {"requests_per_s": 3.0, "n": 50, "failed": 0, "rss_mb_peak": None}
    said = words(cases([{"test": "t.py::test_a", "rows": [row]}]))
    assert said.endswith("SLOTS=4 12 12.0 12.0 12.0 12.0 12.0 3.00 50 0 -")


def test_environment_and_definitions_leave_out_what_is_not_known():
    said = words(
        environment({"started_at": "2026-03-01", "python": "3.11", "cpu_model": None, "memory_mb": 25276})
    )
    assert said == "Environment Began 2026-03-01 Python 3.11 Memory 25,276 MB"
    assert words(definitions({"definitions": {"ttft_ms": "first token"}})) == "Definitions TTFT first token"


def test_card_shows_failed_limits_first_and_what_ran_short():
    verdicts = [
        {
            "verdict": word,
            "sentence": f"{word} {n}",
            "limit": 1.0,
            "estimate": 1.0,
            "interval": None,
            "check": "c",
            "holds": True,
            "what": "w",
        }
        for n, word in enumerate(["pass"] * 8 + ["undecided", "fail"])
    ]
    found = {
        "nodeid": "t.py::test_a",
        "attempt": 2,
        "outcome": "failed",
        "verdicts": verdicts,
        "diagnosis": [{"what": "slow", "sentence": "because"}],
        "not_judged": "memory",
        "liveness": "it ended",
    }
    said = words(card(found, "test-1"))
    assert said.startswith(
        "✗ failed test_a attempt 2 t.py ✗ fail fail 9 ? undecided undecided 8 ✓ pass pass 0"
    )
    assert "? not judged memory 2 further limits of it it ended Diagnosis slow : because" in said
    assert [each["href"] for each in Outline(card(found, "test-1")).all("a")] == ["#test-1", "#test-1"]
    assert words(details(found | {"runs": []}, "test-1", Placed(), open_=False)).count("pass pass") == 8
    assert verdict_list([], "failed") is None


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (
            "failed",
            "✗ failed test_a t.py No limit was judged: an error of its own.",
        ),
        (
            "error",
            "! error test_a t.py No limit was judged: an error in its setup or teardown.",
        ),
        ("interrupted", "! interrupted test_a t.py Interrupted before a limit was judged."),
        ("skipped", "– skipped test_a t.py"),
        ("xfailed", "✓ failed as expected test_a t.py"),
        ("xpassed", "? passed though expected to fail test_a t.py"),
    ],
)
def test_card_of_a_test_without_limits(outcome, said):
    """Word and sign, never colour alone."""
    assert (
        words(card({"nodeid": "t.py::test_a", "attempt": 1, "outcome": outcome, "verdicts": []}, None))
        == said
    )


def test_plots_of_each_part_have_names_of_their_own():
    plot = Plot(id="e2e", title="t", said="s", x=[], x_name="x", x_unit="s", y_name="y", series=[])
    (alone,) = placed([plot], "test-1")
    assert (alone.id, alone.link) == ("test-1-e2e", "")

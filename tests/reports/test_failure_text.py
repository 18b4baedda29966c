"""The text of a failed check, on literal runs."""

from __future__ import annotations

import msgspec

from pytest_llmserve.domain.diagnosis import Diagnosis
from pytest_llmserve.domain.plan import LoadPlan, Stage
from pytest_llmserve.domain.result import GeneratorHealth
from pytest_llmserve.domain.samples import ResourceWindow
from pytest_llmserve.reports.failure import failure_text

S = 1_000_000_000
REPEAT = "pytest test_a.py::test_it"


def text(make, verdicts, runs=(), resources=None, strict=None, **more):
    resources = make.window() if resources is None else resources
    return failure_text(verdicts, runs, resources, REPEAT, strict, **more)


def test_the_whole_text_of_a_typical_failure(make):
    """Promised and found, the run, errors by kind, slowest, server, other limits, the way to repeat."""
    records = [make.record(0), make.record(1, 2500), make.failed(2), make.record(3, 300), make.failed(4)]
    verdicts = [make.verdict(), make.verdict("pass", "error rate 40% <= 50%")]
    assert text(make, verdicts, [make.run(records)]) == (
        "p99 e2e latency 2431 ms > 2200 ms\n"
        "\n"
        "run: 2 users, 5 requests: 5 requests, 2 failed\n"
        "  http_5xx: 2, first id 2: 500: out of slots\n"
        "  slowest requests:\n"
        "    id 1, at 1.0 s, e2e 2500 ms, ttft 20.0 ms, 4 tokens\n"
        "    id 3, at 3.0 s, e2e 300 ms, ttft 20.0 ms, 4 tokens\n"
        "    id 0, at 0.0 s, e2e 100 ms, ttft 20.0 ms, 4 tokens\n"
        "\n"
        "server, peaks: RSS 130 MB, USS + swap 120 MB, CPU 50 %, threads 8, open files 21\n"
        "\n"
        "other limits:\n"
        "  pass: error rate 40% <= 50%\n"
        "\n"
        "repeat: pytest test_a.py::test_it"
    )


def test_every_broken_limit_stands_at_the_top(make):
    """The first line is the first of them."""
    verdicts = [make.verdict("pass", "kept"), make.verdict(sentence="one"), make.verdict(sentence="two")]
    lines = text(make, verdicts).split("\n")
    assert lines[:2] == ["one", "two"]
    assert "  pass: kept" in lines


def test_undecided_says_that_strict_made_it_fail(make):
    """Without --llm-strict it stands among the other limits."""
    doubtful = make.verdict("undecided", "p99 e2e latency 2100 ms <= 2200 ms, undecided", holds=True)
    lines = text(make, [make.verdict(sentence="broken"), doubtful], strict="--llm-strict").split("\n")
    assert lines[:3] == ["broken", doubtful.sentence, "undecided counts as failed (--llm-strict)"]
    relaxed = text(make, [make.verdict(sentence="broken"), doubtful])
    assert f"  undecided: {doubtful.sentence}" in relaxed
    assert "--llm-strict" not in relaxed


def test_several_runs_are_numbered(make):
    """As in the verdicts' sentences."""
    said = text(make, [make.verdict()], [make.run([make.record(0)]), make.run([make.failed(0)])])
    assert "\nrun 1: 2 users, 1 requests: 1 requests, 0 failed\n" in said
    assert "\nrun 2: 2 users, 1 requests: 1 requests, 1 failed\n" in said


def test_the_five_slowest_are_shown_and_no_more(make):
    """Slowest first."""
    said = text(make, [make.verdict()], [make.run([make.record(i, 100 + i) for i in range(9)])])
    shown = [line.split(",")[0].strip() for line in said.split("\n") if line.startswith("    id ")]
    assert shown == ["id 8", "id 7", "id 6", "id 5", "id 4"]


def test_a_run_that_ended_early_says_why(make):
    """Interrupted, or the server was gone."""
    run = make.run([make.record(0)], generator=GeneratorHealth(ended="gave up: no connection"))
    assert "  ended early: gave up: no connection" in text(make, [make.verdict()], [run]).split("\n")
    assert "ended early" not in text(make, [make.verdict()], [make.run([make.record(0)])])


def test_a_run_that_was_decided_says_after_how_much(make):
    """Requests that were sent, and from the first send to the last end."""
    records = [make.record(n) for n in range(9)] + [
        make.record(9, outcome="dropped", sent_ns=None, end_ns=None)
    ]
    run = make.run(records, generator=GeneratorHealth(ended="decided"))
    told = "  ended early: every limit decided after 9 requests, 8.1 s"
    assert told in text(make, [make.verdict()], [run]).split("\n")


def test_a_generator_that_was_the_bottleneck_is_named(make):
    """Ours before the server's."""
    health = msgspec.structs.replace(GeneratorHealth(), saturated="workers at 99 % CPU")
    run = make.run([make.record(0)], generator=health)
    said = text(make, [make.verdict()], [run]).split("\n")
    assert "  load generator: workers at 99 % CPU; add --llm-load-workers" in said


def test_a_server_that_was_not_watched_says_why(make):
    """Instead of its peaks."""
    said = text(make, [make.verdict()], resources=ResourceWindow(missing="it is on another machine"))
    assert "\n\nserver: not watched: it is on another machine\n" in said


def test_a_server_that_was_lost_shows_its_peaks_and_why(make):
    """What was seen until then."""
    said = text(make, [make.verdict()], resources=make.window("process 17 ended"))
    assert "open files 21; no longer watched: process 17 ended\n" in said


def test_what_became_of_the_server_is_told_once(make):
    """Below the first broken limit; those kept until then are other limits."""

    def verdict(found, holds):
        said = make.verdict("fail", f"{found}: the server was gone: from 2 s on; it died", holds=holds)
        return msgspec.structs.replace(said, fate="the server was gone: from 2 s on; it died")

    kept, broken, more = verdict("RSS 49 MB <= 2000 MB", True), verdict("p95", False), verdict("p99", False)
    lines = text(make, [kept, broken, more]).split("\n")
    assert lines[:3] == ["p95", broken.fate, "p99"]
    assert "  kept until then: RSS 49 MB <= 2000 MB" in lines
    lines = text(make, [kept], death="it died").split("\n")
    assert lines[0] == kept.fate
    assert "it died" not in lines


def test_a_server_that_ended_is_told(make):
    """How, and its last words."""
    death = "the server's process ended during the test: killed by SIGKILL; its log is empty"
    said = text(make, [make.verdict()], death=death)
    assert "\n\nthe server's process ended during the test: killed by SIGKILL; its log is empty\n" in said


def test_a_request_without_tokens_shows_what_is_known(make):
    """No ttft, no count."""
    run = make.run([make.record(0, token_ns=(), output_tokens=None)])
    assert "    id 0, at 0.0 s, e2e 100 ms" in text(make, [make.verdict()], [run]).split("\n")


def test_a_slow_request_of_a_shaped_load_names_its_stage(make):
    """And the run its seed, with which a repeat sends the same arrivals."""
    plan = LoadPlan(rate_stages=(Stage(2, 20, S), Stage(8, 8, S)), seed=41)
    run = make.run([make.record(0), make.record(1, 2500, stage=1)], plan=plan)
    said = text(make, [make.verdict()], [run]).split("\n")
    start = said.index("run: requests/s 2 to 20 for 1 s, 8 for 1 s, Poisson arrivals: 2 requests, 0 failed")
    assert said[start + 1 : start + 5] == [
        "  seed 41",
        "  slowest requests:",
        "    id 1, at 1.0 s, stage 8 requests/s, e2e 2500 ms, ttft 20.0 ms, 4 tokens",
        "    id 0, at 0.0 s, stage 2 to 20 requests/s, e2e 100 ms, ttft 20.0 ms, 4 tokens",
    ]
    users = make.run([make.record(0)], plan=LoadPlan(stages=(Stage(8, 8, S),), users=8))
    assert ", stage 8 users, e2e 100 ms" in text(make, [make.verdict()], [users])


def test_a_rate_tells_its_seed_and_plain_users_do_not(make):
    rated = make.run([make.record(0)], plan=LoadPlan(rate=5, requests=1, seed=41))
    assert "  seed 41" in text(make, [make.verdict()], [rated]).split("\n")
    assert "seed" not in text(make, [make.verdict()], [make.run([make.record(0)])])


def test_the_diagnosis_stands_after_the_evidence(make):
    """And before the way to repeat it."""
    said = text(
        make, [make.verdict()], diagnosis=[Diagnosis(what="queueing", sentence="requests wait: send less")]
    )
    assert said.endswith(
        "\n\ndiagnosis:\n  queueing: requests wait: send less\n\nrepeat: pytest test_a.py::test_it"
    )
    assert "diagnosis" not in text(make, [make.verdict()])


def test_a_request_log_is_named_where_single_requests_are_accused(make):
    """By a failed check of isolation alone: its sentences name ids."""
    verdict = msgspec.structs.replace(make.verdict(sentence="carried"), check="isolation")
    line = "all requests with their texts, each with ID= and RUN=: /tmp/a.log"
    assert line in text(make, [verdict], request_log="/tmp/a.log").split("\n")
    assert line not in text(make, [make.verdict()], request_log="/tmp/a.log")
    assert "/tmp" not in text(make, [verdict])

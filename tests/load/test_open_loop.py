"""The open loop on real sockets: every arrival is sent when it is due, or told as dropped."""

from __future__ import annotations

import json
import os
import signal
import time
from itertools import pairwise

import psutil
import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.plan import LoadPlan, Stage
from pytest_llmserve.load.prompts import prompt_order
from pytest_llmserve.load.schedule import Schedule

MS = 1_000_000
S = 1000 * MS
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
BODY = b'{"choices": [{"message": {"content": "hi"}}], "usage": {"completion_tokens": 1}}'
QUICK = ("--ttft-ms", 5, "--itl-ms", 1, "--tokens", 2)


def offsets(result):
    """Instants of all requests, counted from the beginning of the run, by id."""
    begin_ns = result.steady_ns[0] - result.plan.warm_up_ns
    return {r.id: r.scheduled_ns - begin_ns for r in result.requests + result.warm_up}


def planned(**plan):
    return {a.number: a.at_ns for a in Schedule(LoadPlan(**plan))}


@pytest.mark.parametrize("workers", [1, 2])
def test_every_arrival_is_sent_when_the_schedule_says(mock_server, load, workers):
    """Whatever the number of workers: the same instants, each request once."""
    server = mock_server(*QUICK)
    plan = {"rate": 60.0, "duration_ns": S, "seed": 11}
    result = load(server.url, **plan, workers=workers)
    assert offsets(result) == planned(**plan)
    counts = result.counts
    assert counts["ok"] + counts["failed"] + counts["dropped"] == len(planned(**plan))
    assert counts["failed"] == 0
    assert len({row["nonce"] for row in server.log_rows(len(result.ok))}) == len(result.ok)
    assert all(r.sent_ns >= r.scheduled_ns for r in result.ok)
    assert 30 < result.throughput.requests_per_s < 90
    assert result.throughput.window_s == pytest.approx(1.0)


def test_a_slow_server_does_not_slow_the_schedule(mock_server, load):
    """Forty requests a second to a server that needs 600 ms: 24 are under way together."""
    server = mock_server("--ttft-ms", 600, "--tokens", 1)
    result = load(server.url, rate=40.0, arrival="constant", requests=40)
    assert len(result.ok) + len(result.dropped) == 40
    gaps = {b.scheduled_ns - a.scheduled_ns for a, b in pairwise(result.requests)}
    assert gaps == {25 * MS}
    edges = [(r.sent_ns, 1) for r in result.ok] + [(r.end_ns, -1) for r in result.ok]
    busy = most = 0
    for _, step in sorted(edges):
        busy += step
        most = max(most, busy)
    assert 15 <= most <= 40


def test_httpx_keeps_the_same_schedule(mock_server, load):
    """Places for requests are used again there too."""
    plan = {"rate": 60.0, "requests": 45, "seed": 2}
    result = load(mock_server(*QUICK).url, **plan, transport="httpx")
    assert offsets(result) == planned(**plan)
    assert set(result.by_outcome) <= {"ok", "dropped"}
    assert len(result.ok) > 20


def test_latency_counts_from_the_schedule_and_from_the_send(mock_server, load):
    result = load(mock_server(*QUICK).url, rate=50.0, requests=20)
    for record in result.ok:
        lag_ms = (record.sent_ns - record.scheduled_ns) / MS
        assert record.e2e_ms == pytest.approx(record.e2e_sent_ms + lag_ms)
        assert record.ttft_ms == pytest.approx(record.ttft_sent_ms + lag_ms)
        assert record.e2e_ms == pytest.approx((record.end_ns - record.scheduled_ns) / MS)
    assert result.e2e_ms.p50 > result.e2e_sent_ms.p50
    assert result.ttft_ms.n == result.ttft_sent_ms.n == len(result.ok)


def test_in_a_closed_loop_both_latencies_are_one(mock_server, load):
    (record,) = load(mock_server(*QUICK).url, users=1, requests=1).requests
    assert (record.e2e_ms, record.ttft_ms) == (record.e2e_sent_ms, record.ttft_sent_ms)
    assert (record.from_schedule, record.stage) == (False, 0)


def test_prompts_go_by_the_number_of_the_arrival(mock_server, load):
    """So that a run with more workers is the same run."""
    server = mock_server(*QUICK)
    tasks = list("abcd")
    order = prompt_order(4, 3)
    for workers in (1, 3):
        result = load(
            server.url, [f"prompt {n}" for n in range(4)], tasks, rate=100.0, requests=12, seed=3,
            workers=workers,
        )  # fmt: skip
        assert {r.id: r.task for r in result.requests} == {n: tasks[order[n % 4]] for n in range(12)}


def test_warm_up_runs_at_the_same_rate_and_in_no_figure(mock_server, load):
    plan = {"rate": 50.0, "arrival": "constant", "requests": 20, "warm_up_ns": 400 * MS}
    result = load(mock_server(*QUICK).url, **plan)
    assert (len(result.warm_up), len(result.requests), result.e2e_ms.n) == (20, 20, 20)
    assert offsets(result) == planned(**plan)
    assert [row["label"] for row in result.stages] == ["warm-up", "50 requests/s"]


def test_connections_are_open_before_they_are_needed(raw_server, load):
    """An arrival does not wait for a connection, and what is idle is used again."""

    def handle(peer, number):
        while raw_server.read_request(peer):
            peer.sendall(ANSWER % (len(BODY), BODY))

    server = raw_server(handle)
    result = load(server.url, rate=40.0, arrival="constant", requests=60)
    assert len(result.ok) == 60
    assert server.connections <= 12, "far fewer than arrivals"
    assert result.generator.reopened == 0


def test_connections_wait_for_their_requests_not_requests_for_connections(raw_server, load):
    """Answers take 300 ms, so connections are needed by and by: each is opened well ahead."""
    ahead_s = []

    def handle(peer, number):
        accepted = time.monotonic()
        while raw_server.read_request(peer):
            if accepted:
                ahead_s.append(time.monotonic() - accepted)
                accepted = 0
            time.sleep(0.3)
            peer.sendall(ANSWER % (len(BODY), BODY))

    result = load(raw_server(handle).url, rate=30.0, arrival="constant", requests=30)
    assert len(result.ok) == 30
    assert sorted(ahead_s)[len(ahead_s) // 2] > 0.04


def test_after_a_crowd_few_connections_carry_all(raw_server, load):
    """The last used is taken first, so that the others grow old and a server may close them."""
    carried = []

    def handle(peer, number):
        while raw_server.read_request(peer):
            carried.append(number)
            time.sleep(0.1)
            peer.sendall(ANSWER % (len(BODY), BODY))

    stages = (Stage(60, 60, S), Stage(5, 5, 2 * S))
    result = load(raw_server(handle).url, rate_stages=stages, arrival="constant")
    assert len(result.ok) == 70
    assert len(set(carried[:60])) >= 6
    assert len(set(carried[-8:])) <= 3


def test_a_close_that_crosses_the_first_request_of_a_spare_is_no_failure(raw_server, load):
    """A server may close what it has seen idle; the request goes again over a new connection."""
    closed = []

    def handle(peer, number):
        accepted = time.monotonic()
        while raw_server.read_request(peer):
            if accepted and time.monotonic() - accepted > 0.03:
                closed.append(number)
                return
            accepted = 0
            time.sleep(0.15)
            peer.sendall(ANSWER % (len(BODY), BODY))

    result = load(raw_server(handle).url, rate=20.0, arrival="constant", requests=10)
    assert result.by_outcome == {"ok": 10}
    assert closed


def test_a_spare_connection_that_the_server_closed_is_no_failure(raw_server, load):
    """Each connection is closed 30 ms after it was opened, often before it has served."""

    def handle(peer, number):
        peer.settimeout(0.03)
        while raw_server.read_request(peer):
            peer.sendall(ANSWER % (len(BODY), BODY))

    result = load(raw_server(handle).url, rate=10.0, arrival="constant", requests=12)
    assert result.by_outcome == {"ok": 12}
    assert result.generator.reopened >= 3


def test_beyond_the_most_connections_arrivals_are_dropped(mock_server, load):
    """Told, with the schedule's instant and no send; they are nobody's failure, and spoil the verdict."""
    result = load(mock_server("--hang").url, rate=60.0, requests=30, max_concurrency=5, timeout_ns=S)
    assert result.by_outcome == {"dropped": 25, "timed_out": 5}
    assert (len(result.failed), len(result.dropped), result.generator.dropped) == (5, 25, 25)
    assert {r.error for r in result.dropped} == {"never sent: 5 requests were under way, as many as may be"}
    assert all(r.sent_ns is None and r.end_ns is None and r.e2e_ms is None for r in result.dropped)
    assert result.generator.crowded == 25
    assert (
        result.generator.saturated == "dropped 25 of 30 arrivals: too many requests were unanswered at once"
    )
    assert result.error_rate == 1.0, "of those that were sent"


def test_workers_do_not_exceed_the_most_connections_together(mock_server, load):
    """Fewer connections than workers: so many workers less."""
    plan = {"rate": 40.0, "requests": 20, "max_concurrency": 2, "timeout_ns": S}
    result = load(mock_server("--hang").url, **plan, workers=4)
    assert result.by_outcome == {"dropped": 18, "timed_out": 2}
    assert result.generator.workers == 2


def test_a_loop_that_was_held_up_drops_what_is_too_late(mock_server, new_run, real_workers):
    """Stopped for a second, it does not send the arrivals of that second in a heap."""
    run = new_run(mock_server(*QUICK).url, rate=50.0, arrival="constant", duration_ns=3 * S)
    run.start()
    time.sleep(1.0)
    (worker,) = [
        p for p in psutil.Process(os.getpid()).children() if any("load.worker" in w for w in p.cmdline())
    ]
    os.kill(worker.pid, signal.SIGSTOP)
    time.sleep(1.0)
    os.kill(worker.pid, signal.SIGCONT)
    run.wait()
    result = run.result()
    assert len(result.requests) == 150
    assert 25 <= len(result.dropped) <= 60
    assert result.dropped[0].error.startswith("never sent: reached ")
    assert result.dropped[0].error.endswith(" after its time, over 100 ms")
    assert all(r.sent_ns - r.scheduled_ns < 250 * MS for r in result.ok)
    assert result.generator.saturated.startswith(f"dropped {len(result.dropped)} of 150 arrivals")


def test_a_server_that_takes_no_connection_is_refused_not_dropped(load, soon_given_up):
    """And the run gives up in time."""
    began = time.monotonic()
    result = load("http://127.0.0.1:9", rate=50.0, duration_ns=60 * S, workers=2)
    assert time.monotonic() - began < 15
    assert set(result.by_outcome) == {"refused"}
    assert result.generator.ended.startswith("gave up: from ")


def test_a_failed_request_is_tried_again(mock_server, load):
    """Beside the schedule, which goes on."""
    result = load(mock_server(*QUICK, "--fail-every", 2).url, rate=50.0, requests=10, retries=1)
    assert len({r.id for r in result.requests}) == 10
    assert {r.attempt for r in result.requests} == {1, 2}


def test_ctrl_c_ends_it_at_once(mock_server, new_run):
    run = new_run(mock_server("--hang").url, rate=30.0, duration_ns=60 * S, workers=2)
    run.start()
    time.sleep(0.8)
    began = time.monotonic()
    run.stop()
    assert time.monotonic() - began < 2
    result = run.result()
    assert (result.requests, result.generator.ended) == ([], "interrupted")
    assert result.generator.unfinished > 5
    assert result.steady_ns[1] - result.steady_ns[0] < 5 * S


def test_rate_stages_have_rows_of_their_own(mock_server, load):
    stages = (Stage(20, 20, S), Stage(20, 80, S))
    result = load(mock_server(*QUICK).url, rate_stages=stages, arrival="constant", warm_up_ns=500 * MS)
    rows = result.stages
    assert [(r["label"], r["users"], r["rate"], r["n"]) for r in rows] == [
        ("warm-up", None, 20, 10),
        ("20 requests/s", None, 20, 20),
        ("20 to 80 requests/s", None, [20, 80], 50),
    ]
    assert [(r["start_s"], r["end_s"]) for r in rows] == [(0, 0.5), (0.5, 1.5), (1.5, 2.5)]
    assert rows[2]["requests_per_s"] > 1.5 * rows[1]["requests_per_s"]
    assert sum(r["failed"] + r["dropped"] for r in rows) == 0


def test_stages_of_users_grow_and_shrink(mock_server, load):
    """Those too many finish what they have and stop; the window is all stages."""
    server = mock_server("--ttft-ms", 20, "--tokens", 1)
    stages = (Stage(1, 1, S), Stage(6, 6, S), Stage(2, 2, S))
    result = load(server.url, users=6, stages=stages, workers=2)
    assert (result.error_rate, result.generator.unfinished) == (0.0, 0)
    rows = result.stages
    assert [row["users"] for row in rows] == [1, 6, 2]
    assert sum(row["n"] for row in rows) == len(result.requests)
    flows = [row["requests_per_s"] for row in rows]
    assert flows[1] > 3 * flows[0]
    assert flows[1] > 1.5 * flows[2] > 1.5 * flows[0]
    assert result.throughput.window_s == pytest.approx(3.0)
    begin_ns = result.steady_ns[0]
    for number, most in enumerate((1, 6, 2)):
        middle = begin_ns + number * S + S // 2
        busy = sum(r.sent_ns <= middle < r.end_ns for r in result.requests)
        assert busy <= most


def test_a_trace_is_replayed(mock_server, load, tmp_path):
    """Its instants over the speed, its lengths, its limits; the same over any number of workers."""
    path = tmp_path / "calls.jsonl"
    rows = [{"at_s": 7 + n / 5, "input_chars": 40 + n, "output_tokens": 1 + n % 3} for n in range(9)]
    rows.append({"at_s": 9, "prompt": "As it was."})
    path.write_text("\n".join(map(json.dumps, rows)))
    server = mock_server("--ttft-ms", 1, "--itl-ms", 1, "--tokens", 8)
    for workers in (1, 2):
        result = load(
            server.url, ["Short.", "x" * 99], trace=str(path), speed=4.0, workers=workers, params={"top_k": 3}
        )
        records = sorted(result.requests, key=lambda r: r.id)
        assert [r.input_chars for r in records] == [*range(40, 49), 10 + 11]
        assert [r.output_tokens for r in records] == [1, 2, 3, 1, 2, 3, 1, 2, 3, 8]
        assert offsets(result) == {n: n * 50 * MS for n in range(9)} | {9: 500 * MS}
        assert {r.outcome for r in records} == {"ok"}


@pytest.fixture
def trace(tmp_path):
    """The path of a trace of short prompts at these instants."""

    def write(*at_s):
        path = tmp_path / "calls.jsonl"
        path.write_text("\n".join(json.dumps({"at_s": at, "input_chars": 20}) for at in at_s))
        return str(path)

    return write


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_window_of_a_trace_is_the_whole_trace(workers, mock_server, load, trace):
    """Whichever worker has its last row, and with workers that have none."""
    result = load(mock_server(*QUICK).url, trace=trace(0.0, 0.1, 0.4), workers=workers)
    assert result.throughput.window_s == pytest.approx(0.4)
    assert result.throughput.requests_per_s > 0


@pytest.mark.parametrize("workers", [1, 3])
def test_a_trace_in_one_instant_counts_as_a_whole(workers, mock_server, load, trace):
    result = load(mock_server("--ttft-ms", 50, "--tokens", 1).url, trace=trace(*[4.0] * 6), workers=workers)
    assert result.throughput.window_s >= 0.05
    assert result.ok
    assert result.throughput.requests_per_s * result.throughput.window_s == pytest.approx(len(result.ok))


def test_a_wrong_trace_shows_before_a_worker_starts(new_run, tmp_path):
    path = tmp_path / "calls.jsonl"
    path.write_text('{"at_s": 1}')
    with pytest.raises(SetupError) as caught:
        new_run("http://127.0.0.1:9", trace=str(path))
    assert str(caught.value).startswith(f"trace {path}, line 1: has no length")


def test_sends_are_hardly_late(mock_server, load):
    """Waits are finer than a millisecond: epoll alone would be half of one late at the median."""
    result = load(mock_server(*QUICK).url, rate=100.0, requests=100)
    lags = sorted(r.sent_ns - r.scheduled_ns for r in result.ok)
    assert lags[len(lags) // 4] < 450_000

"""A load that is told to begin nothing more: what is under way ends, and nothing is lost or invented."""

from __future__ import annotations

import os
import threading
import time

import psutil
import pytest

from pytest_llmserve.domain.errors import GeneratorError

MS = 1_000_000
S = 1000 * MS
both = pytest.mark.parametrize("transport", ["sockets", "httpx"], indirect=True)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
BODY = b'{"choices": [{"message": {"content": "hi"}}], "usage": {"completion_tokens": 1}}'


def figures(result, worker, workers):
    """One worker's requests in the order of their beginning."""
    records = sorted(result.requests, key=lambda r: r.id)
    return [(r.id, r.sent_ns, r.end_ns, r.outcome) for r in records if r.id % workers == worker]


def drained(run, after_s=0.4):
    """Start a run, drain it after a while; (its result, the seconds it took to end)."""
    run.start()
    time.sleep(after_s)
    run.drain()
    began = time.monotonic()
    run.wait()
    return run.result(), time.monotonic() - began


@both
@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_under_way_is_answered_and_nothing_else_is_begun(mock_server, new_run, workers):
    """The server saw as many requests as there are records, and all of them whole."""
    server = mock_server("--ttft-ms", 100, "--itl-ms", 20, "--tokens", 4)
    plan = {"users": 6, "duration_ns": 60 * S, "until": "decided", "workers": workers}
    result, took_s = drained(new_run(server.url, **plan))
    assert took_s < 5
    assert (result.generator.ended, result.generator.unfinished) == ("decided", 0)
    assert result.by_outcome == {"ok": len(result.requests)}
    assert len(result.requests) >= 12
    rows = server.log_rows(len(result.requests))
    assert len({row["nonce"] for row in rows}) == len(rows) == len(result.requests)
    assert not any(row["client_gone"] for row in rows)
    assert max(r.sent_ns for r in result.requests) <= result.steady_ns[1] + 50 * MS
    assert result.steady_ns[1] < max(r.end_ns for r in result.requests)


@both
def test_users_that_pause_leave_at_once(mock_server, new_run):
    plan = {"users": 4, "duration_ns": 60 * S, "think_time_ns": (30 * S, 30 * S)}
    result, took_s = drained(new_run(mock_server("--ttft-ms", 1).url, **plan))
    assert took_s < 5
    assert (len(result.ok), result.generator.ended) == (4, "decided")


def test_users_that_have_not_begun_leave_at_once(mock_server, new_run):
    """They were still to come, in the ramp-up."""
    plan = {"users": 50, "duration_ns": 90 * S, "ramp_up_ns": 60 * S}
    result, took_s = drained(new_run(mock_server("--ttft-ms", 1).url, **plan))
    assert took_s < 5
    assert (result.generator.ended, result.generator.unfinished) == ("decided", 0)


@both
@pytest.mark.parametrize("workers", [1, 2])
def test_arrivals_not_yet_begun_are_forgotten(mock_server, new_run, workers):
    """They are not dropped: nobody was late."""
    server = mock_server("--ttft-ms", 100, "--itl-ms", 20, "--tokens", 5)
    plan = {"rate": 40.0, "duration_ns": 60 * S, "workers": workers, "seed": 5}
    result, took_s = drained(new_run(server.url, **plan), 0.8)
    assert took_s < 5
    assert (result.generator.ended, result.generator.unfinished) == ("decided", 0)
    tried = result.tried
    rows = server.log_rows(len(tried))
    assert len(rows) == len(tried) == len(result.ok)
    assert sorted(r.id for r in result.requests) == list(range(len(result.requests)))
    assert max(r.scheduled_ns for r in result.requests) <= result.steady_ns[1]


def test_a_schedule_that_was_over_is_complete(mock_server, new_run):
    """A drain that comes after the last arrival has changed nothing."""
    run = new_run(mock_server("--ttft-ms", 800, "--tokens", 1).url, rate=50.0, requests=5)
    result, _ = drained(run, 0.6)
    assert (len(result.requests), result.generator.ended) == (5, "complete")


def test_a_drain_after_the_end_is_harmless(mock_server, new_run):
    run = new_run(mock_server("--ttft-ms", 1).url, users=1, requests=2)
    run.start()
    run.wait()
    run.drain()
    assert (len(run.result().ok), run.result().generator.ended) == (2, "complete")


def test_a_drain_before_the_first_request_sends_none(mock_server, new_run):
    """Even the users that begin at once."""
    server = mock_server()
    run = new_run(server.url, users=3, duration_ns=60 * S)
    run.start()
    run.drain()
    run.wait()
    result = run.result()
    assert len(result.requests) == len(server.log_rows())
    assert result.generator.ended == "decided"


@both
def test_requests_that_hang_have_their_own_limit(mock_server, new_run):
    """It ends them, as timed out, and the run with them."""
    plan = {"users": 3, "duration_ns": 60 * S, "timeout_ns": S}
    result, took_s = drained(new_run(mock_server("--hang").url, **plan), 0.4)
    assert 0.3 < took_s < 5
    assert (result.by_outcome, result.generator.unfinished) == ({"timed_out": 3}, 0)
    assert result.steady_ns[1] < min(r.end_ns for r in result.requests), "from the drain on it is not steady"


@both
def test_a_stop_cuts_a_drain(mock_server, new_run):
    """Ctrl-C is heard while requests hang; the run is told as interrupted, not as decided."""
    run = new_run(mock_server("--hang").url, users=3, duration_ns=60 * S)
    run.start()
    time.sleep(0.3)
    run.drain()
    time.sleep(0.15)
    began = time.monotonic()
    run.stop()
    assert time.monotonic() - began < 2
    result = run.result()
    assert (result.generator.ended, result.generator.unfinished) == ("interrupted", 3)


def test_a_request_under_way_is_still_tried_again(raw_server, new_run):
    """It is one request whatever its tries: cut off between two of them it would count as failed."""
    tries, fourth = [], threading.Event()

    def handle(peer, number):
        while raw_server.read_request(peer):
            tries.append(number)
            if len(tries) <= 4:
                break
            peer.sendall(ANSWER % (len(BODY), BODY))
        if len(tries) == 4:
            fourth.set()

    run = new_run(raw_server(handle).url, users=1, duration_ns=60 * S, retries=5, stream=False)
    run.start()
    assert fourth.wait(20)
    time.sleep(0.1)  # the fifth try comes 0.8 s after the fourth
    run.drain()
    run.wait()
    result = run.result()
    assert [(r.id, r.attempt, r.ok) for r in result.requests] == [(0, n, n == 5) for n in range(1, 6)]
    assert (len(result.judged), result.generator.ended) == (1, "decided")


def test_a_worker_killed_in_a_drain_makes_the_run_void(mock_server, new_run, real_workers):
    run = new_run(mock_server("--hang").url, users=2, duration_ns=60 * S, workers=2)
    run.start()
    time.sleep(0.3)
    run.drain()
    children = psutil.Process(os.getpid()).children()
    next(p for p in children if any("load.worker" in word for word in p.cmdline())).kill()
    with pytest.raises(GeneratorError, match=r"^load worker [01] ended with -9; the run is void$"):
        run.wait()


@pytest.mark.parametrize("plan", [{"users": 4}, {"rate": 60.0}], ids=["users", "rate"])
@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_known_grows_and_is_the_beginning_of_the_result(mock_server, new_run, plan, workers):
    """Each look is at the first so many requests of the whole run, however it goes on."""
    server = mock_server("--ttft-ms", 10, "--itl-ms", 2, "--tokens", 4, "--slow-every", 9, "--slow-ms", 300)
    run = new_run(server.url, **plan, duration_ns=60 * S, until="decided", workers=workers)
    looks = []

    def look(now):
        looks.append(run.so_far())
        assert run.known() >= len(looks[-1].requests)
        if len(looks[-1].requests) >= 40:
            run.drain()

    run.start()
    run.wait(look)
    result = run.result()
    sizes = [len(look.requests) for look in looks]
    assert sizes == sorted(sizes)
    assert 40 <= sizes[-1] <= len(result.requests)
    assert next(size for size in sizes if size >= 40) < 1000, "known as it comes, not when a buffer is full"
    for look in looks:
        for worker in range(workers):
            found, whole = figures(look, worker, workers), figures(result, worker, workers)
            assert found == whole[: len(found)]
        assert look.steady_ns[0] == result.steady_ns[0]
        assert look.steady_ns[1] <= result.steady_ns[1]
    assert looks[-1].ok[0].text == result.ok[0].text != ""
    assert 0 < looks[-1].generator.cpu_percent < 100
    assert looks[-1].generator.send_lag_ms["max"] <= result.generator.send_lag_ms["max"]


def test_a_slow_request_is_never_left_out_of_a_look(mock_server, new_run):
    """One in four needs 3 s: what has ended by then is quick, and says nothing of those."""
    server = mock_server("--ttft-ms", 5, "--tokens", 1, "--slow-every", 4, "--slow-ms", 3000)
    run = new_run(server.url, users=8, duration_ns=60 * S, until="decided")
    run.start()
    deadline = time.monotonic() + 20
    while run.known() < 12 and time.monotonic() < deadline:
        time.sleep(0.2)
    so_far = run.so_far()
    run.stop()
    slow = sum(r.e2e_ms > 2500 for r in so_far.requests)
    assert slow / len(so_far.requests) == pytest.approx(0.25, abs=0.1)

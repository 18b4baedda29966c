"""What the engine says of healthy servers, beside what those servers say of themselves."""

import math
import statistics
from itertools import pairwise

import pytest

from pytest_llmserve.domain.marks import nonce
from pytest_llmserve.load.prompts import prompt_order

SALT = "5eed0000"
MS = 1_000_000
both = pytest.mark.parametrize("transport", ["sockets", "httpx"], indirect=True)


def by_nonce(rows):
    return {row["nonce"]: row for row in rows}


def test_stamps_agree_with_the_servers_log(mock_server, load):
    """Each request, matched by its nonce: no stamp lies before its cause, and the typical one close to it."""
    server = mock_server("--ttft-ms", 30, "--itl-ms", 10, "--tokens", 5)
    result = load(server.url, users=4, requests=24)
    rows = by_nonce(server.log_rows(24))
    late = []
    assert (len(result.ok), result.generator.clock) == (24, "kernel")
    for record in result.requests:
        row = rows[nonce(SALT, record.id)]
        assert len(record.token_ns) == len(row["token_ns"]) == 5
        assert record.sent_ns < row["received_ns"] + 1 * MS
        assert record.first_byte_ns <= record.first_token_ns <= record.last_token_ns <= record.end_ns
        gaps = [seen - wrote for seen, wrote in zip(record.token_ns, row["token_ns"], strict=True)]
        assert min(gaps) > -1 * MS, "never seen before it was written, but for the clocks' own error"
        late += gaps
    assert statistics.median(late) < 5 * MS
    assert 29 < result.ttft_ms.p50 < 100
    assert 5 < result.itl_ms.p50 < 30
    assert 69 < result.e2e_ms.p50 < 200


@both
def test_figures_of_one_request(mock_server, load):
    server = mock_server("--tokens", 3, "--ttft-ms", 1, "--itl-ms", 1)
    result = load(server.url, ["Hé 🦜"], users=1, requests=1, tasks=["greet"])
    (record,) = result.requests
    assert (record.id, record.outcome, record.status, record.task) == (0, "ok", 200, "greet")
    assert (record.output_tokens, record.tokens_from, record.finish_reason) == (3, "usage", "stop")
    assert record.input_chars == len(f"[{nonce(SALT, 0)}] Hé 🦜")
    assert record.text == "red green blue "
    assert (record.output_chars, record.attempt, record.warm_up) == (15, 1, False)
    assert (result.generator.ended, result.generator.unfinished, result.generator.workers) == (
        "complete",
        0,
        1,
    )
    assert result.generator.chunks >= 1
    assert result.generator.cpu_s > 0


@pytest.mark.parametrize(("workers", "users"), [(1, 4), (3, 4), (8, 2)])
@both
def test_requests_are_exactly_as_many_as_asked(mock_server, load, workers, users):
    """Over any number of workers: no more, no fewer, each id and nonce once."""
    server = mock_server("--ttft-ms", 1, "--itl-ms", 0)
    result = load(server.url, users=users, requests=25, workers=workers)
    assert sorted(r.id for r in result.ok) == sorted({r.id for r in result.ok})
    assert (len(result.ok), result.error_rate, result.generator.workers) == (25, 0.0, min(workers, users))
    assert len(by_nonce(server.log_rows(25))) == len(server.log_rows(25)) == 25


def test_a_worker_of_more_users_sends_more_of_the_requests(mock_server, load):
    """Two users beside one: all three play until the end."""
    server = mock_server("--ttft-ms", 10, "--tokens", 1)
    result = load(server.url, users=3, requests=60, workers=2)
    assert sorted(r.id % 2 for r in result.ok) == [0] * 40 + [1] * 20


def test_zero_requests_have_no_figures(mock_server, load):
    server = mock_server()
    result = load(server.url, users=3, requests=0)
    assert result.requests == []
    assert result.ttft_ms.p99 != result.ttft_ms.p99, "NaN: no comparison with it holds"
    assert server.log_rows() == []


@both
def test_a_user_has_one_request_under_way_and_waits_for_its_answer(mock_server, load):
    """The closed loop: as many spans at once as users, no more."""
    server = mock_server("--ttft-ms", 20, "--tokens", 1)
    result = load(server.url, users=3, requests=15)
    edges = [(r.sent_ns, 1) for r in result.requests] + [(r.end_ns, -1) for r in result.requests]
    busy = most = 0
    for _, step in sorted(edges):
        busy += step
        most = max(most, busy)
    assert most == 3


@both
def test_a_duration_ends_the_load_and_what_is_under_way_may_finish(mock_server, load):
    server = mock_server("--ttft-ms", 100, "--tokens", 1)
    result = load(server.url, users=2, duration_ns=500 * MS)
    begun = min(r.scheduled_ns for r in result.requests)
    assert all(r.scheduled_ns - begun < 500 * MS for r in result.requests)
    assert max(r.end_ns for r in result.requests) - begun > 400 * MS
    assert 4 <= len(result.ok) <= 10
    assert (result.error_rate, result.generator.unfinished) == (0.0, 0)


@both
def test_warm_up_requests_are_in_no_figure(mock_server, load):
    server = mock_server("--ttft-ms", 20, "--tokens", 1)
    result = load(server.url, users=2, requests=6, warm_up_ns=300 * MS)
    begun = min(r.scheduled_ns for r in result.warm_up)
    assert len(result.requests) == result.ttft_ms.n == 6
    assert 2 <= len(result.warm_up) <= 32
    assert all(r.scheduled_ns - begun < 300 * MS for r in result.warm_up)
    assert all(r.scheduled_ns - begun >= 300 * MS for r in result.requests)
    everything = [r.id for r in result.warm_up + result.requests]
    assert len(set(everything)) == len(everything) == len(server.log_rows(len(everything)))


@both
def test_ramp_up_spreads_the_first_requests(mock_server, load):
    server = mock_server("--ttft-ms", 1000, "--tokens", 1)
    result = load(server.url, users=4, requests=4, ramp_up_ns=400 * MS, workers=2)
    scheduled = sorted(r.scheduled_ns for r in result.requests)
    assert [(at - scheduled[0]) // MS for at in scheduled] == [0, 100, 200, 300]
    assert all(r.sent_ns >= r.scheduled_ns for r in result.requests)


def test_think_time_lies_between_answer_and_next_request(mock_server, load):
    server = mock_server("--ttft-ms", 1, "--tokens", 1)
    result = load(server.url, users=1, requests=5, think_time_ns=(50 * MS, 80 * MS))
    records = result.requests
    pauses = [after.scheduled_ns - before.end_ns for before, after in pairwise(records)]
    assert all(50 * MS <= pause <= 80 * MS for pause in pauses)
    assert len(set(pauses)) == 4


def test_thinking_users_are_part_of_the_steady_window(mock_server, load):
    """A pause longer than the rest of the run does not end the window: thinking is what users do."""
    server = mock_server("--ttft-ms", 1, "--tokens", 1)
    result = load(server.url, users=4, duration_ns=400 * MS, think_time_ns=(250 * MS, 250 * MS))
    assert len(result.ok) == 8
    assert result.throughput.window_s == pytest.approx(0.4)
    assert result.throughput.requests_per_s == pytest.approx(20)


def test_the_order_of_prompts_is_the_seeds(mock_server, load):
    """The same seed sends the same prompts in the same order, each as often as the others."""
    server = mock_server("--ttft-ms", 1, "--tokens", 1)
    prompts, tasks = [f"prompt {n}" for n in range(4)], list("abcd")

    def sent(seed):
        result = load(server.url, prompts, users=1, requests=8, seed=seed, tasks=tasks)
        return "".join(r.task for r in result.requests)

    expected = "".join(tasks[entry] for entry in prompt_order(4, 3)) * 2
    assert sent(3) == sent(3) == expected
    assert sent(4) != expected


def test_without_a_salt_prompts_go_as_they_are(mock_server, load):
    server = mock_server("--ttft-ms", 1, "--tokens", 1)
    plain = load(server.url, ["Hi"], users=1, requests=2, salt=None)
    marked = load(server.url, ["Hi"], users=1, requests=2)
    assert [r.input_chars for r in plain.requests + marked.requests] == [2, 2, 13, 13]
    assert [row["nonce"] is None for row in server.log_rows(4)] == [True, True, False, False]


@both
def test_a_plan_that_is_not_streamed(mock_server, load):
    server = mock_server("--ttft-ms", 10, "--tokens", 4)
    (record,) = load(server.url, users=1, requests=1, stream=False).requests
    assert (record.outcome, record.text, record.output_tokens) == ("ok", "red green blue amber ", 4)
    assert len(record.token_ns) == 1


@both
def test_without_usage_tokens_are_estimated(mock_server, load):
    server = mock_server("--no-usage", "--tokens", 6, "--ttft-ms", 1)
    result = load(server.url, users=1, requests=3)
    assert {(r.output_tokens, r.tokens_from) for r in result.requests} == {(6, "estimated")}


def test_params_go_into_the_body(mock_server, load):
    server = mock_server("--tokens", 8)
    (record,) = load(server.url, users=1, requests=1, params={"max_tokens": 2}).requests
    assert (record.output_tokens, record.finish_reason) == (2, "length")


def test_texts_are_read_on_demand(mock_server, load):
    """Records hold where the answer lies, not the answer."""
    server = mock_server("--tokens", 200, "--ttft-ms", 1, "--itl-ms", 0)
    result = load(server.url, users=2, requests=10, workers=2)
    texts = {r.text for r in result.requests}
    assert len(texts) == 1
    assert len(texts.pop().split()) == 200
    assert {len(r.text) for r in result.requests} == {result.requests[0].output_chars}
    assert not any(r.text[:20] in repr(r) for r in result.requests)


@both
def test_connections_are_kept(raw_server, load):
    """One connection a user, however many requests."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
    body = b'{"choices": [{"message": {"content": "hi"}}], "usage": {"completion_tokens": 1}}'

    def handle(peer, number):
        while raw_server.read_request(peer):
            peer.sendall(answer % (len(body), body))

    server = raw_server(handle)
    result = load(server.url, users=3, requests=30)
    assert (len(result.ok), server.connections, result.generator.reopened) == (30, 3, 0)


@both
def test_a_large_prompt_is_sent_whole(mock_server, load, transport):
    """Larger than any socket buffer: sent as the socket takes it, and stamped when it had taken all.

    httpx tells of it a turn of its loop later, when a quick server may have answered already; it tells of
    the answer later still.
    """
    server = mock_server("--ttft-ms", 1, "--tokens", 1)
    result = load(server.url, ["x" * 2_000_000], users=2, requests=4)
    assert [r.outcome for r in result.requests] == ["ok"] * 4
    rows = by_nonce(server.log_rows(4))
    for record in result.requests:
        assert record.input_chars == 2_000_011
        assert record.scheduled_ns < record.sent_ns <= record.first_byte_ns
        if transport == "sockets":
            assert record.sent_ns < rows[nonce(SALT, record.id)]["end_ns"]


@both
def test_odd_characters_travel(mock_server, load):
    """Lone surrogates, NUL and line separators in a prompt reach the server as JSON."""
    server = mock_server("--ttft-ms", 1, "--tokens", 1)
    prompts = ["a\ud800b", "\x00", "\u2028\u0085", [{"role": "user", "content": "🦜\udfff"}]]
    assert load(server.url, prompts, users=1, requests=4).error_rate == 0.0


@both
def test_progress_is_told(mock_server, new_run):
    server = mock_server("--ttft-ms", 200, "--tokens", 1, "--fail-every", 2)
    run = new_run(server.url, users=2, requests=24)
    told = []
    run.start()
    run.wait(told.append)
    counts = [(now.ended, now.failed) for now in told]
    assert counts == sorted(counts)
    assert any(0 < done < 24 for done, _ in counts), "also before the end"
    result, last = run.result(), told[-1]
    assert last.by_outcome == result.by_outcome == {"ok": 12, "http_5xx": 12}
    assert (last.sent, last.active, last.tokens, last.total_requests) == (24, 0, 12, 24)
    assert (last.e2e_ms.n, last.e2e_ms.p99) == (24, math.inf)
    assert last.e2e_ms.p50 == pytest.approx(result.e2e_ms.p50, rel=1e-6)
    assert last.ttft_ms.p50 == pytest.approx(result.ttft_ms.p50, rel=1e-6)
    assert {now.active for now in told} >= {0, 2}


def test_warm_up_is_told_apart(mock_server, new_run):
    """In the rates, and in no other figure."""
    run = new_run(mock_server("--ttft-ms", 20, "--tokens", 1).url, users=1, requests=1, warm_up_ns=10**9)
    told = []
    run.start()
    run.wait(told.append)
    last = told[-1]
    assert (last.ended, last.e2e_ms.n, last.tokens) == (1, 1, 1)
    assert last.warm_up == len(run.result().warm_up) > 5
    assert last.sent == last.warm_up + 1
    assert last.requests_per_s > 5


def test_the_collector_is_seen_to_be_off(mock_server, load):
    """No garbage collection while a worker measures, and that is counted, not assumed."""
    health = load(mock_server("--ttft-ms", 1).url, users=4, requests=200).generator
    assert (health.gc_pauses, health.gc_longest_ms) == (0, 0.0)

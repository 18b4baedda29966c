"""An answer that is ordered by one exchange and fetched by the next: one request, over real sockets."""

import json
import threading
import time

import pytest

MS = 1_000_000
CALL = "/gradio_api/call/chat"
both = pytest.mark.parametrize("transport", ["sockets", "httpx"], indirect=True)


class Queue:
    """Takes orders and answers them. Mutable: what came, in its order.

    Attributes:
        came: (method, path, when, headers) of each exchange.
    """

    def __init__(self, order_ms=0, first_ms=0, gap_ms=0, ordered=None, fetched=None, close=""):
        self.order_ms, self.first_ms, self.gap_ms = order_ms, first_ms, gap_ms
        self.ordered, self.fetched, self.close = ordered, fetched, close
        self.came = []
        self.lock = threading.Lock()

    def __call__(self, peer, _):
        while head := read(peer):
            method, path = head.split(b" ")[:2]
            with self.lock:
                self.came.append((method.decode(), path.decode(), time.monotonic_ns(), head.decode()))
                number = len(self.came)
            going_on = self.take(peer, number) if method == b"POST" else self.give(peer, number)
            if not going_on:
                return

    def take(self, peer, number):
        time.sleep(self.order_ms / 1000)
        body = json.dumps({"event_id": f"id{number}"}).encode()
        peer.sendall(
            self.ordered or whole(200, body, "Connection: close\r\n" if self.close == "said" else "")
        )
        return not self.close

    def give(self, peer, number):
        if self.fetched is not None:
            return self.fetched(peer, number)
        peer.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        text = ""
        for n in range(3):
            time.sleep((self.gap_ms if n else self.first_ms) / 1000)
            text += f"t{n} "
            peer.sendall(chunk(f"event: generating\ndata: {json.dumps([text])}\n\n"))
        peer.sendall(chunk(f"event: complete\ndata: {json.dumps([text])}\n\n") + b"0\r\n\r\n")
        return True

    @property
    def methods(self):
        return [row[0] for row in self.came]


def read(peer):
    """The head of the next request, its body read too; b"" when the client has left."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = peer.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    said = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
    while len(body) < int(said or 0):
        body += peer.recv(65536)
    return head


def whole(status, body, more=""):
    kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return f"HTTP/1.1 {status} Said\r\n{kind}".encode() + body


def chunk(text):
    return b"%x\r\n%s\r\n" % (len(text), text.encode())


@pytest.fixture
def queued(raw_server, load):
    """``queued(Queue(...), users=1, ...)`` -> the result of a load on it."""

    def run(queue, **plan):
        plan = {"users": 1, "requests": 1, "timeout_ns": 20_000 * MS, **plan}
        return load(raw_server(queue).url + CALL, api="gradio", **plan)

    return run


@both
def test_both_exchanges_are_one_request_timed_from_the_first(queued):
    """The record has both; only what we did late is our lag, not how long the order took."""
    queue = Queue(order_ms=300, first_ms=100, gap_ms=20)
    result = queued(queue, users=3, requests=6)
    assert [(r.outcome, r.text, len(r.token_ns), r.status) for r in result.requests] == [
        ("ok", "t0 t1 t2 ", 3, 200)
    ] * 6
    for record in result.requests:
        (step,) = record.steps
        assert step.status == 200
        assert record.sent_ns == step.sent_ns < step.first_byte_ns <= step.end_ns < record.first_byte_ns
        assert step.end_ns - step.sent_ns >= 290 * MS
        assert 400 <= record.ttft_ms < 2000
    assert result.generator.send_lag_ms["p99"] < 200
    assert sorted(queue.methods) == ["GET"] * 6 + ["POST"] * 6
    asked = [row for row in queue.came if row[0] == "GET"]
    assert all(path.startswith(f"{CALL}/id") for _, path, _, _ in asked)
    assert all("accept: text/event-stream" in head.lower() for *_, head in asked)
    assert len({path for _, path, _, _ in asked}) == 6


def test_a_user_keeps_its_connection_for_both(raw_server, load):
    """The second exchange opens none, neither in a closed loop nor in an open one."""
    server = raw_server(Queue())
    assert len(load(server.url + CALL, api="gradio", users=2, requests=6).ok) == 6
    assert server.connections == 2
    result = load(server.url + CALL, api="gradio", rate=40, requests=8, arrival="constant")
    assert len(result.ok) == 8
    for record in result.requests:
        assert record.from_schedule
        assert record.ttft_ms >= (record.steps[0].end_ns - record.scheduled_ns) / MS


@both
@pytest.mark.parametrize("close", ["said", "silent"])
def test_a_server_may_close_between_the_two(close, queued):
    """Whether it says so or not: the answer is fetched over another connection."""
    queue = Queue(close=close)
    result = queued(queue, users=2, requests=4)
    assert [(r.outcome, r.error, len(r.steps)) for r in result.requests] == [("ok", None, 1)] * 4
    assert queue.methods.count("GET") == 4


@both
def test_either_exchange_may_be_refused(queued):
    """By the first there is no second; the status is that of the last."""
    first = Queue(ordered=whole(503, b'{"detail":"Queue is full. Max size is 32 and size is 32."}'))
    (record,) = queued(first).requests
    assert (record.outcome, record.error, record.steps, first.methods) == (
        "http_5xx",
        "503: Queue is full. Max size is 32 and size is 32.",
        (),
        ["POST"],
    )
    hostile = Queue(ordered=whole(200, b'{"event_id":"../../admin"}'))
    (record,) = queued(hostile).requests
    assert (record.outcome, hostile.methods) == ("malformed", ["POST"])
    second = Queue(fetched=lambda peer, _: peer.sendall(whole(404, b'{"detail":"Not Found"}')) or True)
    (record,) = queued(second).requests
    assert (record.outcome, record.error, record.status) == ("http_4xx", "404: Not Found", 404)
    assert [step.status for step in record.steps] == [200]


def test_an_order_may_be_taken_before_it_was_read(raw_server, load):
    """Most of a long question is left unread: it counts as sent when it began."""
    queue = Queue()

    def handle(peer, number):
        peer.recv(1000)
        if number > 1:
            queue.give(peer, number)
        else:
            queue.take(peer, number)
            time.sleep(0.3)

    url = raw_server(handle).url + CALL
    (record,) = load(
        url, ["x" * 20_000_000], api="gradio", users=1, requests=1, timeout_ns=20_000 * MS
    ).requests
    assert (record.outcome, record.text) == ("ok", "t0 t1 t2 ")
    (step,) = record.steps
    assert record.scheduled_ns <= record.sent_ns == step.sent_ns <= step.first_byte_ns <= step.end_ns


@both
def test_one_time_limit_spans_both(queued):
    """What the order took is gone; one that is never answered is timed out before any answer."""
    result = queued(Queue(order_ms=400, first_ms=400), timeout_ns=600 * MS)
    (record,) = result.requests
    assert (record.outcome, record.error, len(record.steps)) == (
        "timed_out",
        "no full answer within the time limit, before the answer began: no full answer within 600 ms",
        1,
    )
    assert 600 <= record.e2e_ms < 790
    (record,) = queued(Queue(order_ms=5000), timeout_ns=300 * MS).requests
    assert (record.outcome, record.error, record.steps) == ("timed_out", "no full answer within 300 ms", ())


@both
def test_a_further_try_begins_with_an_order(queued):
    """And its record is of its own exchanges alone."""

    def once(peer, number):
        if number == 2:
            peer.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\nevent"
            )
            return False
        queue.fetched = None
        return queue.give(peer, number)

    queue = Queue(fetched=once)
    result = queued(queue, retries=1)
    assert queue.methods == ["POST", "GET", "POST", "GET"]
    tries = sorted(result.requests, key=lambda record: record.attempt)
    assert [(r.outcome, r.attempt, len(r.steps)) for r in tries] == [("cut_off", 1, 1), ("ok", 2, 1)]
    assert tries[1].sent_ns > tries[0].end_ns


@both
def test_a_stop_between_the_two_is_heard(raw_server, new_run):
    """Ctrl-C while an answer is fetched that never comes: within 2 s, and nothing is said to be answered."""
    queue = Queue(first_ms=60_000)
    run = new_run(raw_server(queue).url + CALL, api="gradio", users=2, duration_ns=60_000 * MS)
    run.start()
    deadline = time.monotonic() + 20
    while queue.methods.count("GET") < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    began = time.monotonic()
    run.stop()
    assert time.monotonic() - began < 2
    result = run.result()
    assert (result.generator.ended, result.generator.unfinished, list(result.requests)) == (
        "interrupted",
        2,
        [],
    )

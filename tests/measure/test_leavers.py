"""Clients that leave, against a server that notes who has left."""

import http.server
import json
import threading
import time

import msgspec
import pytest

from pytest_llmserve.domain.errors import GeneratorError
from pytest_llmserve.domain.marks import nonce
from pytest_llmserve.domain.progress import LoadProgress
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.domain.task import Manner
from pytest_llmserve.measure import leaving
from pytest_llmserve.measure.leaving import Leavers, Pace, is_over

SALT = "5eed0000"
BEGUN = LoadProgress(elapsed_ns=1)


ASKED = [("Say something.", Manner())]


def leavers(url, asked=ASKED, clients=1, most=None):
    target = msgspec.structs.replace(target_from_url(url), api="openai-chat", model="mock")
    return Leavers(target, asked, {"max_tokens": 50}, salt=SALT, clients=clients, most=most, limit_s=10)


def ended(name="llmserve-leaver"):
    return not any(thread.name == name and thread.is_alive() for thread in threading.enumerate())


def test_each_leaves_in_the_middle_of_its_answer(mock_server):
    """With a mark that no request of the load carries, in the manner of its task; no more than wanted."""
    server = mock_server("--ttft-ms", 2, "--itl-ms", 20, "--tokens", 50)
    asked = [("one", Manner()), ("two", Manner({"max_tokens": 40}))]
    with leavers(server.url, asked, clients=2, most=6) as crowd:
        crowd.hear(BEGUN)
        deadline = time.monotonic() + 20
        while len(crowd.left) < 6 and time.monotonic() < deadline:
            time.sleep(0.01)
    rows = server.log_rows(6)
    assert {row["nonce"] for row in rows} == {gone.mark for gone in crowd.left}
    assert len(crowd.left) == len(rows) == 6
    assert all(row["client_gone"] and 1 <= row["tokens"] < 40 for row in rows)
    assert not {nonce(SALT, i) for i in range(100_000)} & {gone.mark for gone in crowd.left}
    assert all(0 < gone.left_ns - gone.sent_ns < 5e9 for gone in crowd.left)
    assert ended()


class Fetched(http.server.BaseHTTPRequestHandler):
    """A Gradio function whose answer is fetched, and lasts until its client has left."""

    protocol_version = "HTTP/1.1"
    gone: list[str]

    def do_POST(self):
        data = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["data"]
        body = json.dumps({"event_id": data[0].partition("]")[0].strip("[")}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            for n in range(1, 1000):
                self.wfile.write(f"event: generating\ndata: {json.dumps(['t ' * n])}\n\n".encode())
                time.sleep(0.01)
        except OSError:
            self.gone.append(self.path.rpartition("/")[2])
        self.close_connection = True

    def log_message(self, *_):
        """Say nothing."""


def test_an_answer_that_is_fetched_is_left_too():
    """In the exchange that brings it, at the path of the task."""
    Fetched.gone = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Fetched) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        target = msgspec.structs.replace(
            target_from_url(f"http://127.0.0.1:{server.server_port}/call/chat"), api="gradio"
        )
        asked = [("one", Manner(path="/call/other"))]
        with Leavers(target, asked, {}, salt=SALT, clients=1, most=3, limit_s=10) as crowd:
            crowd.hear(BEGUN)
            deadline = time.monotonic() + 20
            while len(Fetched.gone) < 3 and time.monotonic() < deadline:
                time.sleep(0.01)
        server.shutdown()
    assert Fetched.gone == [gone.mark.strip("[]") for gone in crowd.left]
    assert ended()


def test_its_end_cuts_what_is_under_way(mock_server):
    """A server that says nothing does not hold up the end of a load; nobody comes after the load's end."""
    server = mock_server("--hang")
    with leavers(server.url, clients=2) as crowd:
        crowd.hear(LoadProgress(elapsed_ns=0))
        time.sleep(0.1)
        assert not server.log_rows(), "before the load"
        crowd.hear(BEGUN)
        time.sleep(0.1)
        begun = time.monotonic()
    assert time.monotonic() - begun < 4
    assert ended()
    assert len(crowd.left) == 2, "marks that were sent are told"
    with leavers(server.url) as crowd:
        crowd.hear(LoadProgress(elapsed_ns=5, total_ns=5))
    assert len(crowd.left) <= 1


def test_a_task_of_another_path_is_asked_there(mock_server):
    """As the load asks it."""
    server = mock_server("--ttft-ms", 1)
    with leavers(server.url, [("one", Manner(path="/v1/nowhere"))], most=1) as crowd:
        crowd.hear(BEGUN)
        deadline = time.monotonic() + 10
        while not crowd.left and time.monotonic() < deadline:
            time.sleep(0.01)
    assert server.log_rows() == [], "404"


def test_a_fault_of_ours_is_told_as_one(monkeypatch, mock_server):
    """Unless something else has gone wrong already."""
    server = mock_server()
    monkeypatch.setattr(leaving, "with_mark", lambda prompt, mark: 1 / 0)
    crowd = leavers(server.url, most=1).__enter__()
    crowd.hear(BEGUN)
    time.sleep(0.1)
    with pytest.raises(GeneratorError, match=r"^a client that was to leave failed: division by zero$"):
        crowd.__exit__(None)
    crowd.__exit__(KeyboardInterrupt)


def test_they_ask_their_share_of_what_the_load_has_sent():
    """A few at first; then as many as its pace makes due, but for silence that lasts too long."""
    pace, second = Pace(0.1, first=3), 1_000_000_000
    assert pace.due(5) == 3
    pace.hear(LoadProgress(elapsed_ns=second, sent=100), 7 * second)
    pace.hear(LoadProgress(elapsed_ns=second, sent=100), 8 * second)
    assert pace.due(7 * second) == pytest.approx(10)
    assert pace.due(7 * second + second // 2) == pytest.approx(15)
    assert pace.due(60 * second) == pytest.approx(20)
    assert Pace(None, first=3).due(0) == float("inf")


@pytest.mark.parametrize(
    ("now", "over"),
    [
        (LoadProgress(elapsed_ns=4, total_ns=5), False),
        (LoadProgress(elapsed_ns=5, total_ns=5, active=3), True),
        (LoadProgress(elapsed_ns=9, total_requests=3, by_outcome={"ok": 3}), True),
        (LoadProgress(elapsed_ns=9, total_requests=3, by_outcome={"ok": 2}), False),
        (LoadProgress(elapsed_ns=9, total_requests=3, by_outcome={"ok": 3}, active=1), False),
    ],
)
def test_a_load_is_over_at_its_planned_end(now, over):
    assert is_over(now) is over

"""Whatever a server does on the wire: nothing is raised in a worker, each request has exactly one outcome."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pytest_llmserve.domain.outcome import OUTCOMES
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.load import pacing
from pytest_llmserve.load.flight import Recorder
from pytest_llmserve.load.job import Job
from pytest_llmserve.load.loop import LoadLoop
from pytest_llmserve.load.shard import ShardWriter, read_shard

MS = 1_000_000
USERS, REQUESTS = 2, 4
TIMEOUT_MS = 25
RUN_LIMIT_S = 20.0

EVENTS = [
    b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"a "}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"b"}}]}\r\n\r\n',
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"completion_tokens":2}}\n\n',
    b"data: [DONE]\n\n",
]
BODY = b'{"choices":[{"message":{"content":"a b"},"finish_reason":"stop"}]}'
HEADERS = [b"Content-Type: text/event-stream", b"Transfer-Encoding: chunked", b"X-Filler: 1"]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def head(status: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *headers]) + b"\r\n\r\n"


CHUNKED = head(b"200 OK", *HEADERS) + b"".join(map(chunk, EVENTS)) + b"0\r\n\r\n"
SIZED = head(b"200 OK", b"Content-Type: application/json", b"Content-Length: %d" % len(BODY)) + BODY
ANSWERS = [
    CHUNKED,
    SIZED,
    head(b"200 OK", b"Content-Type: text/event-stream", b"Connection: close") + b"".join(EVENTS),
    head(b"100 Continue") + head(b"103 Early Hints", b"Link: </x>") + CHUNKED,
    head(b"302 Found", b"Location: /elsewhere", b"Content-Length: 0"),
    head(b"503 Service Unavailable", b"Content-Length: 2") + b"no",
    head(b"204 No Content"),
    CHUNKED[:-2] + b"X-Trailer: 1\r\n\r\n",
    b"".join(CHUNKED.partition(b"\r\n\r\n")[:2])
    + b"".join(b"1\r\n%c\r\n" % byte for byte in EVENTS[1])
    + b"0\r\n\r\n",
]
SPLICES = [
    *(
        b"\r\n\r\n",
        b"\r\n",
        b"\n",
        b"0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 101 X\r\n",
        b"FFFFFFFFF\r\n",
    ),
    *(
        b"Content-Length: 5\r\n",
        b"Content-Length: -1\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"\x00",
        b"\xff" * 9,
    ),
    *(
        b"Content-Encoding: gzip\r\n",
        b"Connection: close\r\n",
        b"X: " + b"y" * 70_000 + b"\r\n",
        SIZED,
        CHUNKED,
    ),
]


class Step(NamedTuple):
    """Bytes sent with one call, and a pause behind them."""

    data: bytes
    pause_ms: float


class Script(NamedTuple):
    """What one request is answered with, and what becomes of the connection."""

    steps: tuple[Step, ...]
    after: str


@st.composite
def wire_bytes(draw: st.DrawFn) -> bytes:
    """A good answer, damaged: cut, doubled, spliced, headers in another order, or noise alone."""
    raw = draw(st.sampled_from(ANSWERS))
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    if draw(st.booleans()):
        start, blank, body = raw.partition(b"\r\n\r\n")
        status, *lines = start.split(b"\r\n")
        raw = b"\r\n".join([status, *draw(st.permutations(lines))]) + blank + body
    for _ in range(draw(st.integers(0, 3))):
        first = draw(st.integers(0, len(raw)))
        last = draw(st.integers(first, min(len(raw), first + 60)))
        new = draw(st.sampled_from(SPLICES) | st.binary(max_size=8) | st.just(raw[first:last] * 2))
        raw = raw[:first] + new + raw[last:]
    if draw(st.booleans()):
        raw = raw[: draw(st.integers(0, len(raw)))]
    return raw * draw(st.sampled_from([1, 1, 1, 2]))


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    raw = draw(wire_bytes())
    cuts = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=5)))
    pauses = st.sampled_from([0, 0, 0, 0.5, 3])
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    after = draw(st.sampled_from(["keep", "keep", "close", "reset", "half-close", "hang"]))
    return Script(tuple(Step(piece, draw(pauses)) for piece in pieces if piece), after)


class ScriptedServer:
    """Answers the requests of a run with its scripts in turn, whichever connection they come over."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self._listener.getsockname()[1]
        self.address = (int(self._listener.family), self._listener.getsockname())
        self._lock = threading.Lock()
        self._scripts: list[Script] = []
        self._next = 0
        self._over = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def play(self, scripts: list[Script]) -> None:
        with self._lock:
            self._scripts, self._next = scripts, 0

    def _take(self) -> Script:
        with self._lock:
            self._next += 1
            return self._scripts[(self._next - 1) % len(self._scripts)]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        peer.settimeout(RUN_LIMIT_S)
        with contextlib.suppress(OSError), peer:
            while self._read_request(peer):
                script = self._take()
                for step in script.steps:
                    peer.sendall(step.data)
                    if step.pause_ms:
                        time.sleep(step.pause_ms / 1000)
                if script.after == "reset":
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if script.after in {"reset", "close"}:
                    return
                if script.after == "half-close":
                    peer.shutdown(socket.SHUT_WR)
                if script.after == "hang":
                    while peer.recv(65536):
                        pass
                    return

    @staticmethod
    def _read_request(peer: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = peer.recv(65536)
            if not piece:
                return False
            data += piece
        start, _, body = data.partition(b"\r\n\r\n")
        missing = int(start.lower().split(b"content-length:")[1].split(b"\r\n")[0]) - len(body)
        while missing > 0:
            missing -= len(peer.recv(65536))
        return True

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture(scope="module", autouse=True)
def _no_pauses() -> Iterator[None]:
    """The pause after a failed connection would be nearly all of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pacing, "_FIRST_PAUSE_NS", MS)
        patch.setattr(pacing, "_LONGEST_PAUSE_NS", MS)
        yield


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    with contextlib.closing(server):
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def play(server: ScriptedServer, scripts: list[Script], folder: Path) -> tuple[LoadLoop, list[Any]]:
    """One worker's loop in this process, against the scripts; its records."""
    server.play(scripts)
    target = msgspec.structs.replace(target_from_url(server.url), api="openai-chat", model="m")
    plan = LoadPlan(users=USERS, requests=REQUESTS, timeout_ns=TIMEOUT_MS * MS, salt="5eed0000")
    job = Job(
        target=target,
        plan=plan,
        prompts_json=b'["Hi"]',
        tasks=[],
        address=server.address,
        index=0,
        shard=str(folder / "shard"),
    )
    writer = ShardWriter(job.shard)
    loop = LoadLoop(job, Recorder(target, writer))
    started = time.monotonic()
    loop.run(time.monotonic_ns())
    loop.decode_rest()
    writer.close()
    assert time.monotonic() - started < RUN_LIMIT_S, "every request has a time limit"
    return loop, list(read_shard(job.shard))


def check(server: ScriptedServer, scripts: list[Script], folder: Path) -> Counter[str]:
    loop, records = play(server, scripts, folder)
    assert loop.ended == "complete"
    assert loop.unfinished == 0
    assert sorted(r.id for r in records) == list(range(REQUESTS)), "each request ends exactly once"
    for record in records:
        assert record.outcome in OUTCOMES
        assert (record.error is None) == (record.outcome == "ok")
        assert record.end_ns is not None
        assert record.sent_ns is None or record.end_ns >= record.sent_ns
        assert list(record.token_ns) == sorted(record.token_ns)
    return Counter(r.outcome for r in records)


fuzz = settings(
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)


@settings(fuzz, max_examples=60)
@given(played=st.lists(scripts(), min_size=1, max_size=REQUESTS))
def test_any_wire_ends_each_request_once(
    scripted: ScriptedServer, folder: Path, played: list[Script]
) -> None:
    """Answers cut, doubled, spliced and out of order; servers that close, reset, half-close or hang."""
    check(scripted, played, folder)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(4))
def test_any_wire_ends_each_request_once_in_20_000_cases(
    scripted: ScriptedServer, folder: Path, seed: int
) -> None:
    """The same, 5,000 cases for each of four seeds; outcomes of every kind must have come up."""
    seen: Counter[str] = Counter()

    @settings(fuzz, max_examples=5000, derandomize=False)
    @given(played=st.lists(scripts(), min_size=1, max_size=REQUESTS))
    def cases(played: list[Script]) -> None:
        seen.update(check(scripted, played, folder))

    cases()
    assert sum(seen.values()) >= 5000 * REQUESTS
    assert {"ok", "malformed", "cut_off", "timed_out", "reset", "http_5xx"} <= set(seen), seen


def test_good_answers_are_ok_on_this_wire(scripted: ScriptedServer, folder: Path) -> None:
    """The answers are good ones before they are damaged."""
    for answer in (CHUNKED, SIZED, *ANSWERS[2:4], ANSWERS[7]):
        after = "close" if b"Connection: close" in answer else "keep"
        assert check(scripted, [Script((Step(answer, 0),), after)], folder) == {"ok": REQUESTS}, answer


def test_each_kind_of_end_has_its_outcome(scripted: ScriptedServer, folder: Path) -> None:
    """What the fuzz may find is what these find."""
    cases = [
        (CHUNKED[:150], "hang", "timed_out"),
        (CHUNKED[:150], "close", "cut_off"),
        (CHUNKED[:150], "reset", "cut_off"),
        (CHUNKED[:150], "half-close", "cut_off"),
        (b"", "reset", "reset"),
        (b"SSH-2.0-x\r\n", "keep", "malformed"),
        (ANSWERS[4], "keep", "malformed"),
        (ANSWERS[5], "keep", "http_5xx"),
    ]
    for raw, after, outcome in cases:
        steps = (Step(raw, 5),) if raw else ()
        assert check(scripted, [Script(steps, after)], folder) == {outcome: REQUESTS}, (raw, after)

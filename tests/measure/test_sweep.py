"""Sweeps over a server whose latency and limit are known."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler

import msgspec
import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.measure.probes import Watched
from pytest_llmserve.measure.run import Stopped
from pytest_llmserve.measure.sweep import Lengths, checked, swept
from pytest_llmserve.measure.watch import Watch

LIMIT_CHARS, CLIFF_CHARS, CLIFF_S = 3000, 400, 0.1


class Lengthy(BaseHTTPRequestHandler):
    """Refuses inputs over a limit, takes much longer over another, counts five characters a token and ten."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = asked["messages"][0]["content"]
        self.server.asked.append((text, asked))
        if self.server.fails_from < len(text) <= LIMIT_CHARS:
            self.reply(500, {"error": {"message": "out of memory"}})
            return
        if len(text) > LIMIT_CHARS or ("max_tokens" in asked and self.server.strict):
            why = "unknown field" if len(text) <= LIMIT_CHARS else f"{len(text)} characters are too many"
            self.reply(400, {"error": {"message": why}})
            return
        time.sleep(0.01 + (CLIFF_S if len(text) > CLIFF_CHARS else 0))
        choice = {"message": {"content": "yes"}, "finish_reason": "stop"}
        self.reply(200, {"choices": [choice], "usage": {"prompt_tokens": 10 + len(text) // 5}})

    def reply(self, status, body):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(serving):
    with serving(Lengthy) as found:
        found.strict, found.fails_from = False, LIMIT_CHARS
        yield found


@pytest.fixture
def sweep(server, tmp_path):
    """``sweep(lengths, requests)`` -> a `LengthSweep` of that server."""

    def run(lengths, requests=5, unit="chars", front="", stop=None, beside=(), **fields):
        known = {"api": "openai-chat", "model": "m", "limit_name": "max_tokens"}
        others = tuple(msgspec.structs.replace(target_from_url(url), **known) for url in beside)
        target = msgspec.structs.replace(target_from_url(server.url), **known, beside=others)
        wish = checked(Lengths(tuple(lengths), requests, unit, front))
        plan = LoadPlan(requests=requests * len(lengths), salt="abcd1234", **fields)
        watch = Watch(Watched(why="a thread of this process"))
        return swept(target, wish, plan, tmp_path, watch, stop=stop)

    return run


def test_cliff_and_limit_are_found(server, sweep):
    """Rows in order, lengths exact and by turns, marks all different, the limit within a twentieth."""
    found = sweep([200, 100, 800, 400, 6000, 1600])
    assert [row.length_chars for row in found.rows] == [100, 200, 400, 800, 1600, 6000]
    assert [row.n for row in found.rows] == [5, 5, 5, 5, 5, 1]
    assert [row.input_tokens for row in found.rows] == [30, 50, 90, 170, 330, None]
    assert (found.cliff.below_chars, found.cliff.above_chars) == (400, 800)
    assert found.limit.accepted_chars <= LIMIT_CHARS < found.limit.refused_chars
    assert found.limit.refused_chars - found.limit.accepted_chars <= 0.05 * found.limit.refused_chars
    assert found.limit.error == f"400: {found.limit.refused_chars} characters are too many"
    asked = [text for text, _ in server.asked]
    marks = [text[:10] for text in asked]
    assert len(set(marks)) == len(marks)
    load = [len(text) for text in asked[6:31]]
    rounds = [load[at : at + 5] for at in range(0, 25, 5)]
    assert all(sorted(each) == [100, 200, 400, 800, 1600] for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1
    assert {body["max_tokens"] for _, body in server.asked} == {16}


def test_a_length_that_gives_errors_is_not_answered(server, sweep):
    """Neither by the limit, which tells of what is between; nor by the cliff."""
    server.fails_from = 1000
    found = sweep([100, 200, 300, 350, 2000, 6000])
    assert (found.cliff.below_chars, found.cliff.above_chars) == (350, 2000)
    assert (found.cliff.outcome, found.cliff.failed, found.cliff.n) == ("http_5xx", 5, 5)
    assert found.limit.accepted_chars == 350
    assert found.limit.between == "2000 characters: 500: out of memory (http_5xx)"
    assert LIMIT_CHARS < found.limit.refused_chars <= 1.06 * LIMIT_CHARS


def test_lengths_in_tokens_are_what_the_server_counts(server, sweep):
    """Within one; a field it does not take is left out; the prompt begins with what was given."""
    server.strict = True
    found = sweep([40, 80], requests=1, unit="tokens", front="Sum up: ")
    assert [row.input_tokens for row in found.rows] == pytest.approx([40, 80], abs=1)
    assert all(not row.failed for row in found.rows)
    assert all(text[11:].startswith("Sum up: ") for text, _ in server.asked)
    assert found.no_cliff.startswith("0 of 2 lengths have 5 requests or more")


@pytest.mark.parametrize("workers", [1, 2])
def test_of_replicas_each_is_asked_each_length_as_often(workers, server, serving, sweep):
    """Five requests of a length for two are six, three each; lengths come in an order by chance."""
    with serving(Lengthy) as other:
        other.strict, other.fails_from = False, LIMIT_CHARS
        found = sweep([50, 100, 150, 200], beside=(other.url,), workers=workers)
    assert [row.n for row in found.rows] == [6, 6, 6, 6]
    for name in found.run.replicas:
        asked = [record.input_chars for record in found.run.by_replica(name).requests]
        assert sorted(asked) == [length for length in (50, 100, 150, 200) for _ in range(3)]


def test_what_cannot_be_swept_is_refused(sweep):
    """Too short for a mark, refused from the first on, told to stop; all that is wrong at once."""
    with pytest.raises(SetupError, match=r"lengths: 5 chars are too few: .* alone take 12 characters\Z"):
        sweep([5, 100])
    with pytest.raises(
        SetupError, match="refuses even the shortest of 5000 characters: 400: 5000 characters"
    ):
        sweep([5000, 6000])
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        sweep([100, 200], stop=stop)
    with pytest.raises(SetupError) as wrong:
        checked(Lengths((7, 7), 3, "words", 5))
    assert str(wrong.value) == (
        "llm_load.sweep: lengths=[7, 7]: a length stands there twice; unit='words' is not known: write"
        ' "chars" or "tokens"; prompt=5 is not a text: the lengths are made by what is put behind it'
    )
    with pytest.raises(SetupError, match=r"lengths is empty: give several, .*; lengths=\[\], requests=0"):
        checked(Lengths((), 0))

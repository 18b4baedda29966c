"""llmock: a server that others wrote, with delays and faults that are planted in it."""

from __future__ import annotations

import json
import urllib.request

import pytest

from tests.real.environments import python_of
from tests.real.plain_client import strayed
from tests.real.serving import served, session

SLOW_S = 0.1
ITL_MS = 50
# The first chunk names the role alone; the first token comes one pause later.
TTFT_MS = SLOW_S * 1000 + ITL_MS
WORDS = "one two three four five six seven eight"


@pytest.fixture(scope="module")
def llmock(tmp_path_factory):
    command = [python_of("llmock"), "-m", "llmock.cli", "serve", "--host", "127.0.0.1", "--port", "{port}"]
    pause = ["--stream-chunk-delay-ms", str(ITL_MS)]
    folder = tmp_path_factory.mktemp("llmock")
    with served([*command, *pause], folder, model="gpt-4o") as server:
        yield server


@pytest.fixture
def planted(llmock):
    """Plant what the requests to come get: ``planted({"type": "fail", "status": 429})``."""

    def plant(*behaviors):
        told(llmock.base + "/_llmock/reset", {})
        if behaviors:
            told(llmock.base + "/_llmock/scenario", {"behaviors": behaviors})

    yield plant
    plant()


def told(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()


def test_its_chat_is_found_out(llmock):
    """Of the dozen APIs that it mocks, by its list of models; which of them has to be named."""
    assert llmock.endpoint.api == "openai-chat"
    assert llmock.endpoint.because.startswith("GET /v1/models lists models gpt-4o, ")


@pytest.mark.parametrize("streams", [1, 4])
def test_the_planted_delays_are_measured(llmock, planted, tmp_path, streams):
    """Median TTFT and ITL within 3 ms of the later of what was planted and what a plain client sees of it."""
    planted(
        {"type": "slow_first_token", "seconds": SLOW_S, "times": None},
        {"type": "reply", "text": WORDS, "times": None},
    )
    delays = {"ttft_ms": TTFT_MS, "itl_ms": ITL_MS}
    assert strayed(llmock, delays, tmp_path, streams=streams, tokens=len(WORDS.split()), model="gpt-4o") == {}


FAULTS = [
    ({"type": "fail", "status": 429}, "http_4xx"),
    ({"type": "fail", "status": 503}, "http_5xx"),
    ({"type": "stream_fault", "kind": "disconnect", "after_chunks": 3}, "cut_off"),
    ({"type": "stream_fault", "kind": "truncate", "after_chunks": 3}, "cut_off"),
    ({"type": "stream_fault", "kind": "malformed", "after_chunks": 3}, "malformed"),
    ({"type": "stream_fault", "kind": "stall", "after_chunks": 3, "stall_seconds": 20}, "timed_out"),
]


@pytest.mark.parametrize(("fault", "outcome"), FAULTS, ids=lambda each: str(each)[:60])
def test_each_planted_fault_gets_its_word(llmock, planted, fault, outcome):
    """And the request after it is answered."""
    planted(fault)
    reply = llmock.endpoint.generate("Say hi.", timeout=3)
    assert reply.outcome == outcome, reply
    assert llmock.endpoint.generate("Say hi.").ok


def test_faults_under_load_are_counted_by_their_words(llmock, tmp_path):
    """Five of twenty requests fail, each in its own way; the others are well."""
    url = llmock.base + "/_llmock/scenario"
    faults = [fault for fault, outcome in FAULTS if outcome != "timed_out"]
    suite = f"""
import json, urllib.request

@pytest.mark.load(users=2, requests=20)
@pytest.mark.error_rate(max=0.01)
def test_it(llm_load):
    body = json.dumps({{"behaviors": {faults!r}}}).encode()
    urllib.request.urlopen(urllib.request.Request({url!r}, body, {{"Content-Type": "application/json"}}))
    llm_load("Say hi.")
"""
    done = session(tmp_path / "suite", suite, f"--llm-endpoint={llmock.base}", "--llm-model=gpt-4o")
    assert done.exit == 1, done.text
    assert done.run["counts"]["by_outcome"] == {
        "ok": 15,
        "http_4xx": 1,
        "http_5xx": 1,
        "cut_off": 2,
        "malformed": 1,
    }
    assert done.verdict("error_rate")["verdict"] == "fail"

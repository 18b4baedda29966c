"""Runs over several servers, several models, and replicas behind one URL, over real sockets."""

from __future__ import annotations

import json
from collections import Counter

import msgspec
import pytest

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.load.engine import LoadRun
from pytest_llmserve.load.shard import read_shard

BOTH = pytest.mark.parametrize("transport", ["sockets", "httpx"])


def target_of(*urls, models=("mock",), **more):
    known = {"api": "openai-chat", "stream_usage": True, **more}
    each = [
        msgspec.structs.replace(target_from_url(url), model=model, **known)
        for model in models
        for url in urls
    ]
    return msgspec.structs.replace(each[0], beside=tuple(each[1:]))


@pytest.fixture
def run_over(tmp_path):
    def run(target, prompts=("One.", "Two."), **plan):
        given = LoadPlan(**{"users": 1, "salt": "5eed0000", **plan})
        with LoadRun(target, given, list(prompts), tmp_path / "run") as load:
            load.start()
            load.wait()
            result = load.result()
            result.by_worker = [list(read_shard(shard)) for shard in load._shards]
            return result

    return run


def names(records):
    return Counter(record.served_by for record in records)


def label(server):
    return server.url.partition("://")[2]


@BOTH
@pytest.mark.parametrize("load", [{"users": 4}, {"rate": 200.0, "users": 1}], ids=["closed", "open"])
def test_requests_go_round_and_each_server_gets_its_own(mock_server, run_over, transport, load):
    """As many to each, in turn; what a record says is where it went; a prompt comes to all of them."""
    servers = [mock_server("--ttft-ms", 2, "--tokens", 3) for _ in range(3)]
    prompts = ["One.", "Two.", "Three."]
    result = run_over(
        target_of(*(s.url for s in servers)), prompts, requests=90, transport=transport, in_order=True, **load
    )
    assert not result.failed
    assert names(result.requests) == dict.fromkeys(map(label, servers), 30)
    for server in servers:
        sent = {record.id for record in result.requests if record.served_by == label(server)}
        assert len(server.log_rows(30)) == 30
        assert {number % len(prompts) for number in sent} == {0, 1, 2}
    assert result.generator.dropped == 0


def test_workers_together_are_balanced_and_none_has_a_server_of_its_own(mock_server, run_over):
    servers = [mock_server("--ttft-ms", 2, "--tokens", 3) for _ in range(2)]
    result = run_over(target_of(*(s.url for s in servers)), requests=80, users=4, workers=2)
    assert set(names(result.requests).values()) == {40}
    for records in result.by_worker:
        assert min(names(records)[label(server)] for server in servers) >= 16  # of 40


@BOTH
def test_a_user_keeps_a_connection_to_each_server(raw_server, run_over, transport):
    """Four users, two servers, two models of each: four connections a server, and every pair is asked."""
    connections = [[], []]
    servers = [raw_server(_handler(raw_server, "", each)) for each in connections]
    target = target_of(*(s.url for s in servers), models=("m", "n"))
    result = run_over(target, requests=64, users=4, transport=transport)
    assert not result.failed
    assert [len(each) for each in connections] == [4, 4]
    pairs = {f"{label(server)} {model}": 16 for server in servers for model in ("m", "n")}
    assert names(result.requests) == pairs
    assert all(record.text == record.served_by.partition(" ")[2] for record in result.requests)


def _handler(raw_server, headers, connections):
    def handle(peer, number):
        connections.append(number)
        while raw := raw_server.read_request(peer):
            model = json.loads(raw.partition(b"\r\n\r\n")[2])["model"]
            message = {"choices": [{"message": {"content": model}, "finish_reason": "stop"}]}
            body = json.dumps(message).encode()
            head = (
                f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(body)}"
            )
            peer.sendall(head.encode() + b"\r\n\r\n" + body)

    return handle


def test_an_idle_connection_that_a_server_closed_is_opened_again(mock_server, run_over):
    """Parked ones are watched: no request fails on them."""
    servers = [mock_server("--close-idle-ms", 20, "--ttft-ms", 1, "--tokens", 2) for _ in range(2)]
    result = run_over(
        target_of(*(s.url for s in servers)), requests=12, think_time_ns=(40_000_000, 40_000_000)
    )
    assert not result.failed
    assert result.generator.reopened >= 8


def test_one_that_dies_fails_its_share_and_the_load_goes_on(mock_server, run_over, soon_given_up):
    """Its turns are failures; those of the other are answered to the end."""
    dying = mock_server("--ttft-ms", 2, "--tokens", 2, "--die-after", 5)
    living = mock_server("--ttft-ms", 2, "--tokens", 2)
    result = run_over(target_of(dying.url, living.url), users=2, duration_ns=2_500_000_000)
    assert result.generator.ended == "complete"
    assert result.generator.server_gone is None
    assert names(result.ok)[label(dying)] == 5
    assert set(names(result.failed)) == {label(dying)}
    sent = names(result.requests)
    assert abs(sent[label(dying)] - sent[label(living)]) <= 2


def test_all_that_die_are_given_up(mock_server, run_over, soon_given_up):
    servers = [mock_server("--ttft-ms", 2, "--tokens", 2, "--die-after", 5) for _ in range(2)]
    result = run_over(target_of(*(s.url for s in servers)), users=2, duration_ns=20_000_000_000)
    assert result.generator.ended.startswith("gave up: from ")


def test_a_header_tells_who_answered_behind_one_url(raw_server, run_over):
    server = raw_server(_handler(raw_server, "X-Served-By: pod-7\r\n", []))
    result = run_over(target_of(server.url, replica_header="x-served-by"), requests=4)
    assert names(result.requests) == {"pod-7": 4}

"""Several servers and models, opened together, and what there is of them to watch."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.errors import ServerUnusable
from pytest_llmserve.domain.replicas import models_of, replicas_of, urls_of
from pytest_llmserve.domain.samples import METRICS, PROCESS
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.measure.opening import ServerWish, open_server
from pytest_llmserve.measure.replicas import Beside, parts
from pytest_llmserve.measure.watch import Watch

A, B, C = (target_from_url(f"http://127.0.0.1:{port}") for port in (1, 2, 3))


def wish(*urls, **options):
    named = {"endpoint": urls[0], "others": tuple(urls[1:]), "ready_ns": 5 * NS_PER_S}
    return ServerWish(**(named | options))


def test_all_are_asked_found_and_watched_together(mock_server, tmp_path):
    """Each has answered a question; memory is that of all their processes."""
    servers = [mock_server() for _ in range(3)]
    opened = open_server(wish(*(s.url for s in servers)), tmp_path)
    opened.close()
    target = opened.endpoint.target
    assert urls_of(target) == [s.url for s in servers]
    assert {each.api for each in (target, *target.beside)} == {"openai-chat"}
    assert all(len(s.log_rows(1)) == 1 for s in servers)
    assert opened.document["url"] == ", ".join(s.url for s in servers)
    assert opened.document["servers"] == [{"url": s.url, "model": "mock", "pid": s.pid} for s in servers]
    assert (opened.watched.pid, opened.watched.beside) == (servers[0].pid, tuple(s.pid for s in servers[1:]))
    assert opened.watched.parts == {}
    assert opened.renewed() is opened
    watch = Watch(opened.watched)
    watch.start()
    watch.sample_now()
    watch.stop()
    assert watch.window().samples[-1].processes == 3


def test_every_pair_of_server_and_model_takes_a_turn(mock_server, tmp_path):
    servers = [mock_server() for _ in range(2)]
    both = wish(*(s.url for s in servers), model="m", models=("m", "n"))
    opened = open_server(both, tmp_path)
    opened.close()
    labels = [s.url.partition("://")[2] for s in servers]
    pairs = [f"{label} {model}" for model in ("m", "n") for label in labels]
    assert [replica.name for replica in replicas_of(opened.endpoint.target)] == pairs
    assert models_of(opened.endpoint.target) == ["m", "n"]
    assert len(opened.beside) == 1


def test_another_model_or_api_is_no_replica(mock_server, tmp_path):
    first, other = mock_server(), mock_server("--model", "another")
    with pytest.raises(ServerUnusable) as fault:
        open_server(wish(first.url, other.url), tmp_path)
    assert str(fault.value) == (
        f"{other.url} serves the model another, and {first.url} mock: replicas serve the same; name one that"
        " both have with --llm-model, or test them one by one"
    )
    url = f"{other.url}/v1/completions"
    with pytest.raises(ServerUnusable) as fault:
        open_server(wish(first.url, url, model="mock", models=("mock",)), tmp_path)
    assert str(fault.value) == (
        f"{url} speaks openai-completions, and {first.url} openai-chat: replicas speak one API; name the one"
        " that both have with --llm-api, or test them one by one"
    )


def test_one_that_is_dead_from_the_beginning_is_named(mock_server, tmp_path):
    dead = "http://127.0.0.1:1"
    with pytest.raises(ServerUnusable, match=f"^{dead} refused the connection for 1 s"):
        open_server(wish(mock_server().url, dead, ready_ns=NS_PER_S), tmp_path)


def test_what_tells_of_some_alone_says_so():
    """Processes on another machine, and metrics that only some have."""
    beside = (Beside(B, 12), Beside(C, None))
    page = "{}/metrics".format
    assert parts(11, (Beside(B, 12),), (), A) == {}
    assert parts(11, beside, (page(A.url),), A) == {
        PROCESS: f"of 2 of 3 replicas: the processes of {C.url} are not known",
        METRICS: "of 1 of 3 replicas: the others have no metrics at /metrics",
    }
    assert parts(None, beside, tuple(map(page, (A.url, B.url, C.url))), A) == {}
    assert parts(11, beside, ("http://127.0.0.1:9/metrics",), A).keys() == {PROCESS}

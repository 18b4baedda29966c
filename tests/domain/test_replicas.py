"""Several servers or models that take turns: their names, their order, whose turn a request is."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from pytest_llmserve.domain.replicas import (
    Rota,
    models_of,
    only_at,
    replicas_of,
    servers_of,
    urls_of,
    with_stream,
)
from pytest_llmserve.domain.target import target_from_url


def target(*places, models=(None,), **more):
    found = [
        msgspec.structs.replace(target_from_url(url), model=model, **more)
        for model in models
        for url in places
    ]
    return msgspec.structs.replace(found[0], beside=tuple(found[1:]))


@pytest.mark.parametrize(
    ("places", "models", "names", "servers"),
    [
        (["http://a:1"], ["m"], [None], [0]),
        (["http://a:1", "https://b/v1"], ["m"], ["a:1", "b/v1"], [0, 1]),
        (["http://a:1"], ["m", "n"], ["m", "n"], [0, 0]),
        (["http://a:1", "http://b:2"], ["m", "n"], ["a:1 m", "b:2 m", "a:1 n", "b:2 n"], [0, 1, 0, 1]),
    ],
)
def test_each_is_named_by_what_differs(places, models, names, servers):
    """URL, model, or both; models of one server are at one server."""
    found = replicas_of(target(*places, models=models))
    assert [replica.name for replica in found] == names
    assert [replica.server for replica in found] == servers
    assert [each.url for each in servers_of(found)] == places
    assert all(replica.target.beside == () for replica in found)


def test_all_urls_and_models_are_told_once():
    pairs = target("http://a:1", "http://b:2", models=["m", "n"])
    assert (urls_of(pairs), models_of(pairs)) == (["http://a:1", "http://b:2"], ["m", "n"])
    at_b = only_at(pairs, "http://b:2")
    assert (urls_of(at_b), models_of(at_b)) == (["http://b:2"], ["m", "n"])


def test_none_is_asked_for_a_stream_against_the_plan():
    whole = with_stream(target("http://a:1", "http://b:2", stream=True), False)
    assert [whole.stream, *(each.stream for each in whole.beside)] == [False, False]


def test_request_i_is_for_i_modulo_n():
    assert [Rota(3).of(number) for number in range(7)] == [0, 1, 2, 0, 1, 2, 0]
    assert [Rota(3, (5, 1)).of(number) for number in range(7)] == [0, 1, 2, 0, 1, 2, 0]
    assert [Rota(1, (4, 2)).of(number) for number in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("number", [2, 3, 4, 6])
@pytest.mark.parametrize(("prompts", "workers"), [(2, 1), (6, 2), (12, 4), (16, 3), (6, 6)])
def test_no_prompt_and_no_worker_meets_the_same_one_always(number, prompts, workers):
    """Each N requests are for N, and each prompt and each worker comes to all of them about equally."""
    rota = Rota(number, (prompts, workers))
    asked = [rota.of(request) for request in range(number * 600)]
    assert all(len(set(asked[i : i + number])) == number for i in range(0, len(asked), number))
    for cycle in (prompts, workers):
        for first in range(cycle):
            own = Counter(asked[first::cycle])
            assert set(own) == set(range(number))
            assert max(own.values()) <= 2 * min(own.values())

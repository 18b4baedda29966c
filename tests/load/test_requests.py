"""The requests of one worker."""

import json

import msgspec
import pytest

from pytest_llmserve.domain.marks import nonce, turn_id
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.domain.task import Manner
from pytest_llmserve.load import requests
from pytest_llmserve.load.job import Job
from pytest_llmserve.load.prompts import prompt_order
from pytest_llmserve.load.requests import RequestWriter

PROMPTS = ["one", "two \ud800", [{"role": "system", "content": "s"}, {"role": "user", "content": "three"}]]
SEED, SALT = 7, "5eed0000"


def writer(api="openai-chat", salt=SALT, tasks=(), prompts=PROMPTS, manners=None, models=("m",), **plan):
    first, *beside = [
        msgspec.structs.replace(target_from_url("http://127.0.0.1:8000"), api=api, model=model)
        for model in models
    ]
    target = msgspec.structs.replace(first, beside=tuple(beside))
    load_plan = LoadPlan(users=1, requests=1, seed=SEED, salt=salt, **plan)
    return RequestWriter(
        Job(
            target=target,
            plan=load_plan,
            prompts_json=json.dumps(prompts).encode(),
            tasks=list(tasks),
            manners=manners or {},
            address=(2, ("127.0.0.1", 8000)),
            index=0,
            shard="",
        )
    )


def body(written):
    head, _, raw = written.raw.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(raw)}".encode() in head
    return json.loads(raw)


def said(written):
    """The text of the last message."""
    return body(written)["messages"][-1]["content"]


@pytest.mark.parametrize("salt", [SALT, None])
def test_request_i_carries_the_prompt_at_place_i_and_a_nonce_of_its_own(salt):
    """The first of a prompt is written in full, later ones are filled in: no difference."""
    made = writer(salt=salt)
    texts = ["one", "two \ud800", "three"]
    order = prompt_order(3, SEED)
    for request_id in [*range(9), 1_000_003]:
        mark = "" if salt is None else f"[{nonce(SALT, request_id)}] "
        text = texts[order[request_id % 3]]
        written = made.write(request_id)
        assert said(written) == mark + text
        earlier = 1 if text == "three" else 0
        assert written.input_chars == len(mark + text) + earlier


def test_a_prompt_and_fields_of_its_own_come_over_the_plans():
    made = writer(params={"temperature": 0, "max_tokens": 9})
    plain = body(made.write(0))
    assert (plain["temperature"], plain["max_tokens"]) == (0, 9)
    own = made.write(0, "own text", {"max_tokens": 3})
    assert said(own) == f"[{nonce(SALT, 0)}] own text"
    assert (body(own)["temperature"], body(own)["max_tokens"]) == (0, 3)
    assert body(made.write(0)) == plain, "the next is as before"


def test_each_prompt_keeps_its_task():
    order = prompt_order(3, SEED)
    made = writer(tasks=("a", "b", "c"))
    assert [made.write(i).task for i in range(6)] == [("a", "b", "c")[order[i % 3]] for i in range(6)]


@pytest.mark.parametrize("bound", ["_KEPT", "_LONGEST_BYTES"])
def test_beyond_what_is_kept_requests_are_the_same(bound, monkeypatch):
    """A great number of prompts, or long ones, costs time and no memory."""
    kept = writer()
    whole = [kept.write(i) for i in range(6)]
    monkeypatch.setattr(requests, bound, 1)
    made = writer()
    assert [made.write(i) for i in range(6)] == whole
    assert sum(found is not None for found in made._templates.values()) <= 1


def test_the_nonce_is_told_from_equal_digits_in_the_prompt():
    """A prompt may hold what stands in for the nonce."""
    made = writer(prompts=["00000000 [ffffffff]"])
    for request_id in range(3):
        assert said(made.write(request_id)) == f"[{nonce(SALT, request_id)}] 00000000 [ffffffff]"


@pytest.mark.parametrize("salt", [SALT, None])
def test_a_task_has_fields_and_a_path_of_its_own(salt):
    """They come over the load's, in the first request of a prompt and in those filled in from it."""
    made = writer(
        salt=salt,
        tasks=("a", "b", "a"),
        manners={"b": Manner({"max_tokens": 3}, "/emotion")},
        params={"max_tokens": 9, "top_p": 1},
        in_order=True,
    )
    for request_id in range(6):
        written = made.write(request_id)
        own = request_id % 3 == 1
        assert written.raw.startswith(b"POST /emotion " if own else b"POST /v1/chat/completions ")
        assert (body(written)["max_tokens"], body(written)["top_p"]) == (3 if own else 9, 1)


@pytest.mark.parametrize("prompts", [PROMPTS[:2], PROMPTS])
@pytest.mark.parametrize("models", [("a", "b"), ("a", "b", "c"), ("a", "b", "c", "d")])
def test_all_turns_of_a_conversation_are_for_one_replica(models, prompts):
    """The conversations take turns; whether N shares a factor with the number of prompts or of their ids."""
    made, several = writer(models=models, prompts=prompts), len(models)
    asked = []
    for first in range(3 * several):
        turns = [
            made.write_turn(turn_id(first, turn), [{"role": "user", "content": "x"}]) for turn in range(1, 6)
        ]
        assert {turn.replica for turn in turns} == {made.write(first).replica}
        assert {body(turn)["model"] for turn in turns} == {models[turns[0].replica]}
        asked.append(turns[0].replica)
    assert all(len(set(asked[at : at + several])) == several for at in range(0, len(asked), several))

"""What a server can do: judged on literal answers, and asked of a scripted server."""

from __future__ import annotations

import json

import msgspec
import pytest

from pytest_llmserve.dialects import DIALECTS
from pytest_llmserve.dialects.fields import FIELDS
from pytest_llmserve.domain.capabilities import Capability, unknown
from pytest_llmserve.domain.exchange import Decoded
from pytest_llmserve.domain.outcome import Outcome
from pytest_llmserve.domain.target import Target
from pytest_llmserve.serve import capabilities as judge
from pytest_llmserve.serve.endpoint import Endpoint
from pytest_llmserve.serve.reply import Reply, Stamps, make_record

YES, NO, UNKNOWN = True, False, None


def said(text="", chunks=1, tokens=None, reason=None) -> Reply:
    decoded = Decoded(
        outcome="ok",
        text=text,
        token_ns=tuple(range(1, chunks + 1)),
        output_tokens=tokens,
        tokens_from=None if tokens is None else "usage",
        finish_reason=reason,
    )
    return Reply(make_record(1, "x", Stamps(0), 200, decoded, None), text)


def failed(status, error, outcome=None) -> Reply:
    word = outcome or f"http_{str(status)[0]}xx"
    return Reply(make_record(1, "x", Stamps(0), status, Decoded(outcome=word, error=error), error), "")


REFUSED, BUSY = failed(422, "422: extra field"), failed(503, "503: busy")


@pytest.mark.parametrize(
    ("asked", "replies", "found"),
    [
        (True, [said("abc", 3)], Capability(YES, "yes", "an answer came in 3 chunks")),
        (
            True,
            [said("a b c d e f g h"), said("abc", 2)],
            Capability(YES, "yes", "an answer came in 2 chunks"),
        ),
        (
            True,
            [said("a b c d e f g h"), said("abc")],
            Capability(NO, "no", "an answer of 15 characters came in one piece"),
        ),
        (
            True,
            [said("hi"), said("")],
            unknown("the longest of 2 answers had 2 characters, too few to be cut"),
        ),
        (
            False,
            [said("abc", 3)],
            Capability(NO, "refused", "a request with a stream was refused when the server was opened"),
        ),
        (
            True,
            [BUSY],
            unknown(
                "a request with a stream, asked twice, was not answered,"
                " the server answered with a 5xx status: 503: busy"
            ),
        ),
    ],
)
def test_streaming_is_seen_by_chunks(asked, replies, found):
    assert judge.streaming(asked, replies) == found


def test_counts_in_a_stream_are_seen_by_one():
    """Nothing is said of counts where no answer was streamed."""
    streams = Capability(YES, "yes", "it did")
    told = judge.usage_in_stream(streams, said("a", 2, tokens=7))
    assert told == Capability(YES, "yes", "a streamed answer told that it has 7 tokens")
    silent = judge.usage_in_stream(streams, said("a", 2))
    assert silent == Capability(NO, "no", "a streamed answer of 2 chunks told no count")
    whole = judge.usage_in_stream(Capability(NO, "no", "one piece"), said("a", 1, tokens=7))
    assert whole == unknown("no answer was streamed: one piece")


@pytest.mark.parametrize(
    ("without", "with_it", "works", "word"),
    [
        ("I am a model.", said("ZEBULON, at your service"), YES, "changes the answer"),
        ("I am a model.", said("I am a bot."), YES, "changes the answer"),
        ("I am a model.", said("I am a model."), YES, "taken"),
        ("Zebulon too", said("Zebulon too"), YES, "taken"),
        ("I am a model.", REFUSED, NO, "refused"),
        ("I am a model.", BUSY, UNKNOWN, "not known"),
    ],
)
def test_a_system_message_is_seen_by_its_effect(without, with_it, works, word):
    found = judge.system_role([said(without)] * 2, with_it)
    assert (found.works, found.word) == (works, word)


def test_an_answer_that_changes_by_itself_is_no_effect_of_a_system_message():
    assert judge.system_role([said("a"), said("b")], said("c")).word == "taken"


@pytest.mark.parametrize(
    ("alike", "others", "works", "word"),
    [
        (["a", "a"], ["b", "a"], YES, "honoured"),
        (["x", "a", "a", "a"], ["b", "c"], YES, "honoured"),
        (["a", "b", "a", "b"], ["c", "d"], NO, "taken"),
        (["a", "a"], ["a", "a"], UNKNOWN, "not known"),
    ],
)
def test_a_seed_is_seen_by_answers_that_repeat(alike, others, works, word):
    found = judge.seed("options.seed", [said(text) for text in alike], [said(text) for text in others])
    assert (found.works, found.word) == (works, word)
    assert found.evidence.startswith("options.seed")


def test_a_seed_that_is_refused_is_quoted():
    assert judge.seed("seed", [REFUSED], ()).evidence == "seed was refused twice: 422: extra field"
    assert judge.seed("seed", [said("a"), failed(429, "429: slow down")], ()).works is None


@pytest.mark.parametrize(
    ("body", "works"),
    [
        (b'{"choices":[{"logprobs":{"content":[{"token":"a","logprob":-0.5}]}}]}', YES),
        (b'{"choices":[{"text":"a","logprobs":{"token_logprobs":[-0.5]}}]}', YES),
        (b'{"choices":[{"text":"a","logprobs":null}]}', NO),
        (b'{"choices":[{"text":"a"}]}', NO),
    ],
)
def test_log_probabilities_are_seen_by_their_numbers(body, works):
    assert judge.logprobs(Outcome("ok", status=200, body=body)).works is works


@pytest.mark.parametrize(
    ("few", "more", "works", "evidence"),
    [
        (said(tokens=6), said(tokens=24), YES, "max_tokens=6 gave 6 tokens, max_tokens=24 gave 24"),
        (said(chunks=6), said(chunks=20), YES, "max_tokens=6 gave 6 tokens, max_tokens=24 gave 20"),
        (
            said(tokens=6, reason="length"),
            said(tokens=6),
            YES,
            "max_tokens=6 gave 6 tokens, max_tokens=24 gave 6",
        ),
        (said(tokens=90), said(tokens=90), NO, "max_tokens=6 is taken, and an answer of 90 tokens came"),
        (
            said(tokens=3),
            said(tokens=3),
            UNKNOWN,
            "max_tokens=6 gave 3 tokens, and max_tokens=24 no more: answers are short anyway",
        ),
        (said(), said(), UNKNOWN, "max_tokens is taken; how many tokens an answer has is not known"),
    ],
)
def test_a_limit_is_seen_by_the_lengths_of_answers(few, more, works, evidence):
    found = judge.max_tokens_name("max_tokens", ("max_tokens",), [(6, few), (24, more)])
    assert (found.works, found.evidence) == (works, evidence)
    assert not works or found.word == "max_tokens"


def test_no_limit_is_told_apart_from_no_field():
    refused = judge.max_tokens_name(None, ("max_tokens", "max_completion_tokens"), [])
    evidence = "the server refused max_tokens and max_completion_tokens when it was opened"
    assert refused == Capability(NO, "none", evidence)
    assert judge.max_tokens_name(None, (), []).works is None


@pytest.mark.parametrize(
    ("cut", "whole", "works", "evidence"),
    [
        ([30, 20], [90, 60], YES, "max_tokens=6 gave 30 characters at most, without it 60 came"),
        ([300, 20], [400, 300], NO, "max_tokens=6 is taken, and 300 characters came, without it 300"),
        ([30, 30], [50, 90], UNKNOWN, "without max_tokens 50 characters came: answers are short anyway"),
    ],
)
def test_a_field_that_may_be_unknown_is_seen_by_shorter_texts(cut, whole, works, evidence):
    """Each of those with it against each of those without: one short answer is no sign."""
    found = judge.cut_by("max_tokens", 6, [said("x" * n) for n in cut], [said("x" * n) for n in whole])
    assert (found.works, found.evidence) == (works, evidence)


def test_a_capability_is_true_only_when_seen():
    assert Capability(YES, "yes", "")
    assert not Capability(NO, "taken", "")
    assert not unknown("why")


def model(body, connection, asked):
    """A server that honours seeds and limits, knows no logprobs, and fails every other time."""
    if len(asked) % 2:
        connection.answer(500, '{"error": "out of luck"}')
        return
    if "logprobs" in body:
        connection.answer(400, '{"error": "Unknown parameter: logprobs"}')
        return
    if any(message["role"] == "system" for message in body["messages"]):
        words = ["Zebulon"]
    else:
        words = [f"w{body.get('seed', 0)}-{n} " for n in range(body["max_tokens"])]
    events = [json.dumps({"choices": [{"index": 0, "delta": {"content": word}}]}) for word in words]
    end = json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    connection.begin_events(*(f"data: {event}\n\n" for event in [*events, end, "[DONE]"]))
    connection.end_events()


def test_a_server_is_asked_once_and_one_fault_is_no_verdict(scripted):
    """Every first answer fails, every second counts; looked at again nothing is asked."""
    posts = []

    def script(asked, connection):
        posts.append(asked)
        model(json.loads(asked.body), connection, posts)

    server = scripted(script)
    target = Target(
        scheme="http",
        host="127.0.0.1",
        port=server.port,
        api="openai-chat",
        model="m",
        limit_name="max_tokens",
    )
    endpoint = Endpoint(target)
    try:
        assert endpoint.capabilities_seen is None
        found = endpoint.capabilities
        count = len(posts)
        assert endpoint.capabilities is endpoint.capabilities_seen is found
        assert len(posts) == count
    finally:
        endpoint.close()
    assert {name: getattr(found, name).word for name in found.__struct_fields__} == {
        "streaming": "yes",
        "usage_in_stream": "no",
        "system_role": "changes the answer",
        "seed": "honoured",
        "logprobs": "refused",
        "max_tokens_name": "max_tokens",
    }
    assert found.as_json()["logprobs"]["evidence"] == (
        "a request for log probabilities was refused twice: 400: Unknown parameter: logprobs"
    )


def test_a_server_that_is_gone_is_not_known():
    """Faults while asking make things "not known", never "no"."""
    target = Target(scheme="http", host="127.0.0.1", port=9, api="openai-chat", limit_name="max_tokens")
    endpoint = Endpoint(target)
    try:
        found = endpoint.capabilities
    finally:
        endpoint.close()
    assert {getattr(found, name).word for name in found.__struct_fields__} == {"not known"}
    assert "no connection could be made" in found.seed.evidence


def test_a_described_api_is_asked_whether_it_streams_and_takes_the_usual_limit(scripted):
    """No other field is sent: none is known. A template that has no place for it is not asked."""

    def script(asked, connection):
        words = json.loads(asked.body).get("max_tokens", 60) if asked.body.startswith(b"{") else 60
        connection.answer(200, json.dumps({"response": "word " * words}))

    server = scripted(script)
    target = Target(scheme="http", host="127.0.0.1", port=server.port, api="json")
    listed = msgspec.structs.replace(target, json_request='["{prompt}"]')
    found, no_place = map(capabilities_of, (target, listed))
    fields = {json.dumps(sorted(json.loads(asked.body))) for asked in server.asked if b"{" in asked.body}
    assert fields == {'["prompt"]', '["max_tokens", "prompt"]'}
    assert found.streaming.word == "no"
    assert found.seed.evidence == "json has no field for a seed that is known"
    limit = found.max_tokens_name
    assert limit == Capability(
        YES, "max_tokens", "max_tokens=6 gave 30 characters at most, without it 300 came"
    )
    assert no_place.max_tokens_name == unknown(
        "--llm-json-request is not an object: no place for the parameters max_tokens"
    )


def capabilities_of(target):
    endpoint = Endpoint(target)
    try:
        return endpoint.capabilities
    finally:
        endpoint.close()


@pytest.mark.parametrize(
    ("api", "params"),
    [
        ("openai-chat", {"temperature": 1, "seed": 7}),
        ("ollama-chat", {"options": {"temperature": 1, "seed": 7}}),
        ("tgi", {"parameters": {"do_sample": True, "seed": 7}}),
        ("openai-responses", {}),
        ("json", {}),
    ],
)
def test_seeded_names_the_fields_that_an_api_draws_by(api, params):
    """Where the API has them; a limit given as max_tokens goes into the same object."""
    endpoint = Endpoint(
        Target(scheme="http", host="h", port=1, api=api, model="m", limit_name="options.num_predict")
    )
    assert endpoint.seeded(7) == params
    body = json.loads(endpoint.encoded("Hi", {"max_tokens": 16, **endpoint.seeded(7)}).body)
    assert body["options"] == {"num_predict": 16, **params.get("options", {})}


def test_limited_names_the_field_that_the_server_takes():
    """Nested where the API nests it; empty, with the name None, where there is none."""
    target = Target(scheme="http", host="h", port=1, api="openai-chat", limit_name="options.num_predict")
    assert Endpoint(target).limited(16) == {"options": {"num_predict": 16}}
    bare = Endpoint(Target(scheme="http", host="h", port=1, api="json"))
    assert (bare.limited(16), bare.limit_name) == ({}, None)


def test_fields_are_of_dialects_there_are():
    assert set(FIELDS) <= set(DIALECTS)

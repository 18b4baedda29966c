"""How auto decides, by what servers of each kind answer to its probes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_llmserve.dialects import DIALECTS
from pytest_llmserve.dialects.detect import PROBES, Choice, ProbeAnswer, choose, probe_paths
from pytest_llmserve.domain.errors import ServerUnusable

NOT_FOUND = ProbeAnswer(status=404, content_type="application/json", body=b'{"detail":"Not Found"}')
NOTHING = ProbeAnswer(error="connection refused")


def answered(value: Any, status: int = 200) -> ProbeAnswer:
    return ProbeAnswer(status=status, content_type="application/json", body=json.dumps(value).encode())


def probed(path: str = "", **answers: ProbeAnswer) -> dict[str, ProbeAnswer]:
    """Answers to all probes; `models`, `openapi` and `root` name those that are not 404."""
    ends = {"models": "/models", "openapi": "/openapi.json", "root": "/"}
    table = dict.fromkeys(probe_paths(path), NOT_FOUND)
    for name, answer in answers.items():
        table.update({place: answer for place in table if place.endswith(ends[name])})
    return table


def takes(*paths: str, field: str = "prompt", required: tuple[str, ...] = ("prompt",)) -> ProbeAnswer:
    schema = {"properties": {name: {"type": "string"} for name in {field, *required}}, "required": required}
    body = {"requestBody": {"content": {"application/json": {"schema": schema}}}}
    return answered({"paths": {path: {"post": body} for path in paths}})


ONE_MODEL = answered({"object": "list", "data": [{"id": "smollm2-135m"}]})


@pytest.mark.parametrize(
    ("path", "paths"),
    [
        ("", PROBES),
        ("/v1", ("/v1/models", "/openapi.json", "/")),
        ("/v1/chat/completions", ("/v1/models", "/openapi.json", "/")),
        ("/v1/completions", ("/v1/models", "/openapi.json", "/")),
        ("/api/v3", ("/api/v3/models", "/api/openapi.json", "/api/", "/openapi.json")),
        ("/llm", ("/llm/v1/models", "/llm/openapi.json", "/llm/", "/openapi.json")),
    ],
)
def test_the_probes_lie_below_the_users_prefix(path: str, paths: tuple[str, ...]) -> None:
    assert probe_paths(path) == paths


@pytest.mark.parametrize(
    ("listing", "models", "because"),
    [
        ({"data": [{"id": "a"}]}, ("a",), "GET /v1/models lists model a"),
        ({"data": [{"id": "a"}, {"id": "b"}]}, ("a", "b"), "GET /v1/models lists models a, b"),
        ({"models": [{"name": "a"}, {"model": "b"}]}, ("a", "b"), "GET /v1/models lists models a, b"),
        ({"models": ["a"]}, ("a",), "GET /v1/models lists model a"),
        ({"object": "list", "data": []}, (), "GET /v1/models lists no model"),
        (
            {"data": [{"id": name} for name in "abcdef"]},
            tuple("abcdef"),
            "GET /v1/models lists models a, b, c, d, e, ...",
        ),
    ],
)
@pytest.mark.parametrize("path", ["", "/v1"])
def test_a_listing_of_models_means_chat(
    listing: Any, models: tuple[str, ...], because: str, path: str
) -> None:
    assert choose(path, probed(path, models=answered(listing))) == Choice(
        api="openai-chat",
        path=path,
        models=models,
        because=because,
        fallback_api="openai-completions",
    )


@pytest.mark.parametrize(
    "listing",
    [
        ProbeAnswer(status=200, content_type="text/html", body=b"<html>"),
        answered({"data": [{"value": 1}]}),
        answered({"data": [5]}),
        answered({"data": []}),
        answered({"data": "x"}),
        answered([]),
        answered({"data": [{"id": "a"}]}, status=500),
        ProbeAnswer(status=200, body=b"[" * 100_000),
    ],
)
def test_what_lists_no_models_is_not_taken_for_one(listing: ProbeAnswer) -> None:
    with pytest.raises(ServerUnusable, match="not a model server that auto knows"):
        choose("", probed(models=listing))


def test_models_below_a_prefix_mean_chat_there() -> None:
    choice = choose("/llm", probed("/llm", models=ONE_MODEL))
    assert (choice.api, choice.path) == ("openai-chat", "/llm")


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/v1/chat/completions", "openai-chat"),
        ("/v1/completions", "openai-completions"),
        ("/odd/chat/completions", "openai-chat"),
    ],
)
def test_an_endpoint_in_the_url_is_taken_at_its_word(path: str, api: str) -> None:
    end = "/chat/completions" if api == "openai-chat" else "/completions"
    assert choose(path, probed(path)) == Choice(api=api, path=path, because=f"the URL ends with {end}")
    assert choose(path, probed(path, models=ONE_MODEL)).models == ("smollm2-135m",)


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_wants_a_key_is_told_so(status: int) -> None:
    with pytest.raises(ServerUnusable) as caught:
        choose("", probed(models=answered({"error": "Unauthorized"}, status=status)))
    assert str(caught.value) == (
        f"the server asks for a key: GET /v1/models answered {status} application/json;"
        " name the environment variable that holds a valid one with --llm-api-key-env VAR"
    )


def test_a_description_with_openai_paths_is_enough() -> None:
    """The model listing of some servers fails, though they speak the API."""
    broken = answered({"detail": "offline"}, status=500)
    described = takes("/v1/chat/completions", "/v1/completions", "/generate")
    assert choose("", probed(models=broken, openapi=described)) == Choice(
        api="openai-chat",
        path="/v1/chat/completions",
        because="/openapi.json describes POST /v1/chat/completions",
    )
    assert choose("", probed(openapi=takes("/v1/completions"))).api == "openai-completions"


def test_a_described_path_that_takes_a_prompt_means_json() -> None:
    assert choose("", probed(openapi=takes("/health", "/generate"))) == Choice(
        api="json",
        path="/generate",
        because="/openapi.json describes POST /generate with a text 'prompt'",
    )


def test_the_request_is_made_to_fit_the_description() -> None:
    described = takes("/ask", field="question", required=("question",))
    assert choose("", probed(openapi=described)) == Choice(
        api="json",
        path="/ask",
        because="/openapi.json describes POST /ask with a text 'question'",
        json_request='{"question": "{prompt}"}',
    )


def test_a_path_of_the_users_own_means_json_there() -> None:
    assert choose("/api/ask", probed("/api/ask")) == Choice(
        api="json",
        path="/api/ask",
        because="the URL names /api/ask, which is no path of a known API",
    )


def test_a_path_of_the_users_own_is_called_as_described_though_others_look_better() -> None:
    described = takes("/api/ask", "/generate", field="text", required=("text",))
    choice = choose("/api/ask", probed("/api/ask", openapi=described))
    assert (choice.path, choice.json_request) == ("/api/ask", '{"text": "{prompt}"}')
    elsewhere = choose("/api/other", probed("/api/other", openapi=described))
    assert (elsewhere.path, elsewhere.json_request) == ("/api/other", None)


def test_a_mounted_application_describes_paths_below_itself() -> None:
    answers = probed("/app")
    answers["/app/openapi.json"] = takes("/v1/chat/completions")
    choice = choose("/app", answers)
    assert (choice.api, choice.path) == ("openai-chat", "/app/v1/chat/completions")


def test_a_server_of_no_known_kind_is_refused_with_all_that_was_seen() -> None:
    page = ProbeAnswer(status=200, content_type="text/html; charset=utf-8", body=b"<html>")
    bare = ProbeAnswer(status=404)
    answers = {"/v1/models": bare, "/openapi.json": NOTHING, "/": page}
    with pytest.raises(ServerUnusable) as caught:
        choose("", answers)
    assert str(caught.value) == (
        "not a model server that auto knows: GET /v1/models answered 404 without Content-Type,"
        " GET /openapi.json answered nothing (connection refused), GET / answered 200 text/html;"
        " name the API with --llm-api openai-chat|openai-completions|json"
    )


def test_a_post_that_wants_more_than_a_prompt_is_pointed_out() -> None:
    described = takes("/predict", required=("prompt", "user_id"))
    with pytest.raises(ServerUnusable) as caught:
        choose("", probed(openapi=described))
    assert str(caught.value).endswith(
        "; POST /predict takes 'prompt' but also wants user_id: give --llm-json-request"
    )


@pytest.mark.parametrize("path", ["", "/v1", "/v1/chat/completions", "/api/ask"])
def test_a_server_that_does_not_answer_is_said_to_be_down(path: str) -> None:
    with pytest.raises(ServerUnusable) as caught:
        choose(path, dict.fromkeys(probe_paths(path)[:1], NOTHING))
    assert str(caught.value) == (
        f"the server does not answer: GET {probe_paths(path)[0]} answered nothing (connection refused);"
        " check that it runs, and the URL"
    )


def test_every_choice_is_a_dialect_there_is() -> None:
    choices = [
        choose("", probed(models=ONE_MODEL)),
        choose("/v1/completions", probed("/v1/completions")),
        choose("", probed(openapi=takes("/generate"))),
    ]
    assert {choice.api for choice in choices} <= set(DIALECTS)
    assert {choice.fallback_api for choice in choices} <= {None, *DIALECTS}

"""How auto decides, by what servers of each kind answer to its probes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_llmserve.dialects import DIALECTS
from pytest_llmserve.dialects.detect import Asking, Choice, Detection, ProbeAnswer, detect, look_up, posts_in
from pytest_llmserve.dialects.kinds import DIALECT_KINDS, KINDS, kind
from pytest_llmserve.dialects.kinds.openai_server import FALLBACKS
from pytest_llmserve.domain.errors import ServerUnusable

URL = "http://h"
NOT_FOUND = ProbeAnswer(status=404, content_type="application/json", body=b'{"detail":"Not Found"}')
NOTHING = ProbeAnswer(error="connection refused")
PAGE = ProbeAnswer(status=200, content_type="text/html; charset=utf-8", body=b"<html>")


def answered(value: Any, status: int = 200) -> ProbeAnswer:
    return ProbeAnswer(status=status, content_type="application/json", body=json.dumps(value).encode())


def led(detection: Detection, answers: dict[str, ProbeAnswer], other: ProbeAnswer) -> Choice:
    """Answer what is asked; a key without a method is one of GET."""
    table = {path if " " in path else f"GET {path}": answer for path, answer in answers.items()}
    answer = None
    while True:
        try:
            probe = detection.send(answer) if answer is not None else next(detection)
        except StopIteration as end:
            choice = end.value
            assert isinstance(choice, Choice)
            return choice
        answer = table.get(str(probe), other)


def chosen(path: str = "", other: ProbeAnswer = NOT_FOUND, **answers: ProbeAnswer) -> Choice:
    """What is chosen for a URL with this path; `answers` by the names of `PAGES`, without a prefix."""
    return led(detect(path, URL), {PAGES[name]: answer for name, answer in answers.items()}, other)


PAGES = {
    "models": "/v1/models",
    "openapi": "/openapi.json",
    "root": "/",
    "tags": "/api/tags",
    "version": "/api/version",
    "info": "/info",
    "v2": "/v2",
    "index": "POST /v2/repository/index",
    "v2_models": "/v2/models",
    "config": "/config",
    "gradio_info": "/gradio_api/info",
    "generate": "POST /generate",
    "run": "POST /run",
    "predict": "POST /predict",
}


def refused(path: str = "", other: ProbeAnswer = NOT_FOUND, **answers: ProbeAnswer) -> str:
    with pytest.raises(ServerUnusable) as caught:
        chosen(path, other, **answers)
    return str(caught.value)


def probes(choice: Choice) -> list[str]:
    return [asked.probe for asked in choice.asked]


def takes(
    *paths: str, field: str = "prompt", required: tuple[str, ...] = ("prompt",), **more: Any
) -> ProbeAnswer:
    properties = {name: {"type": "string"} for name in {field, *required}} | more
    schema = {"properties": properties, "required": [*required, *more]}
    body = {"requestBody": {"content": {"application/json": {"schema": schema}}}}
    return answered({"paths": {path: {"post": body} for path in paths}})


# What servers of each kind say of themselves, after their public documentation.
OPENAI = answered({"object": "list", "data": [{"id": "smollm2-135m", "object": "model", "owned_by": "vllm"}]})
LLAMA_TAGS = answered({"models": [{"name": "m"}], "object": "list", "data": [{"id": "m"}]})
OLLAMA_MODELS = answered({"object": "list", "data": [{"id": "qwq:latest", "owned_by": "library"}]})
TAGS = answered({"models": [{"name": "qwq:latest", "model": "qwq:latest", "size": 19851349856}]})
OLLAMA_ROOT = ProbeAnswer(status=200, content_type="text/plain; charset=utf-8", body=b"Ollama is running")
TGI_INFO = answered(
    {"model_id": "HuggingFaceTB/SmolLM2-135M", "max_concurrent_requests": 128, "version": "2.4"}
)
EMBEDDINGS_INFO = answered(
    {"model_id": "thenlper/gte-base", "model_type": {"embedding": {"pooling": "mean"}}}
)
TRITON = answered({"name": "triton", "version": "2.51.0", "extensions": ["classification", "sequence"]})
INDEX = answered([{"name": "llm", "version": "1", "state": "READY"}, {"name": "old", "state": "UNAVAILABLE"}])
ANTHROPIC = answered({"data": [{"type": "model", "id": "claude-x", "display_name": "X"}], "has_more": False})


def gradio_config(version: str, prefix: str | None = None) -> ProbeAnswer:
    config = {"version": version, "dependencies": [], "components": []}
    return answered(config if prefix is None else config | {"api_prefix": prefix})


def gradio_info(*names: str, component: str = "Textbox") -> ProbeAnswer:
    text = {"label": "q", "component": component, "type": {"type": "string"}, "parameter_name": "q"}
    if component != "Textbox":
        text["type"] = {"type": "number"}  # type: ignore[assignment]
    one = {"parameters": [text], "returns": [text]}
    return answered({"named_endpoints": {f"/{name}": one for name in names}, "unnamed_endpoints": {}})


@pytest.mark.parametrize("path", ["", "/v1"])
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
def test_a_listing_of_models_means_chat(
    listing: Any, models: tuple[str, ...], because: str, path: str
) -> None:
    choice = chosen(path, models=answered(listing))
    assert (choice.api, choice.path, choice.models) == ("openai-chat", path, models)
    assert (choice.because, choice.fallbacks) == (because, FALLBACKS)
    assert len(choice.asked) == 2  # one more, to see that it is no Ollama, or no KServe


def test_what_was_asked_and_concluded_is_told() -> None:
    choice = chosen(models=OPENAI)
    assert [(str(asked), asked.so) for asked in choice.asked] == [
        ("GET /v1/models answered 200 application/json", "lists model smollm2-135m"),
        ("GET /api/version answered 404 application/json", "tells nothing"),
    ]


@pytest.mark.parametrize(
    "listing",
    [
        PAGE,
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
    assert refused(models=listing).startswith("none of: openai-chat, openai-completions, ")


@pytest.mark.parametrize(
    ("path", "models", "openapi"),
    [
        ("/api/v3", "/api/v3/models", "/api/openapi.json"),
        ("/llm", "/llm/v1/models", "/llm/openapi.json"),
        ("/api/v3/chat/completions", "/api/v3/models", None),
    ],
)
def test_the_probes_lie_below_the_users_prefix(path: str, models: str, openapi: str | None) -> None:
    asked = probes(led(detect(path, URL), {}, NOT_FOUND))
    assert asked[0] == f"GET {models}"
    assert openapi is None or f"GET {openapi}" in asked
    choice = led(detect(path, URL), {models: OPENAI}, NOT_FOUND)
    assert (choice.api, choice.path, choice.models) == ("openai-chat", path, ("smollm2-135m",))


@pytest.mark.parametrize(
    ("path", "api", "end"),
    [
        ("/v1/chat/completions", "openai-chat", "/chat/completions"),
        ("/v1/completions", "openai-completions", "/completions"),
        ("/odd/chat/completions", "openai-chat", "/chat/completions"),
        ("/v1/responses", "openai-responses", "/responses"),
        ("/v1/messages", "anthropic-messages", "/v1/messages"),
        ("/api/chat", "ollama-chat", "/api/chat"),
        ("/api/generate", "ollama-generate", "/api/generate"),
        ("/generate_stream", "tgi", "/generate_stream"),
        ("/v2/models/llm/generate", "kserve", "/v2/models/llm/generate"),
        ("/v2/models/llm/generate_stream", "kserve", "/v2/models/llm/generate_stream"),
        ("/x/v2/models/llm/versions/3", "kserve", "/v2/models/llm/versions/3"),
        ("/gradio_api/call/chat", "gradio", "/gradio_api/call/chat"),
        ("/call/chat", "gradio", "/call/chat"),
        ("/run/predict", "gradio", "/run/predict"),
        ("/run", "gradio", "/run"),
    ],
)
def test_an_endpoint_in_the_url_is_taken_at_its_word(path: str, api: str, end: str) -> None:
    choice = chosen(path)
    assert (choice.api, choice.path, choice.because) == (api, path, f"the URL ends with {end}")
    assert len(choice.asked) <= 3
    assert choice.models == ()


@pytest.mark.parametrize(
    ("path", "answers", "models"),
    [
        ("/v1/completions", {"models": OPENAI}, ("smollm2-135m",)),
        ("/v1/responses", {"models": OPENAI}, ("smollm2-135m",)),
        ("/v1/messages", {"models": ANTHROPIC}, ("claude-x",)),
        ("/api/chat", {"tags": TAGS}, ("qwq:latest",)),
        ("/generate_stream", {"info": TGI_INFO}, ("HuggingFaceTB/SmolLM2-135M",)),
        ("/v1/chat/completions", {"models": answered({}, status=401)}, ()),
    ],
)
def test_the_models_are_asked_for_all_the_same(
    path: str, answers: dict[str, ProbeAnswer], models: tuple[str, ...]
) -> None:
    choice = chosen(path, **answers)
    assert (choice.path, choice.models, len(choice.asked) <= 2) == (path, models, True)


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_wants_a_key_is_told_so(status: int) -> None:
    assert refused(models=answered({"error": "Unauthorized"}, status=status)) == (
        f"http://h: the server asks for a key: GET /v1/models answered {status} application/json;"
        " name the environment variable that holds a valid one with --llm-api-key-env VAR"
    )


@pytest.mark.parametrize("body", [b"<html>401 Authorization Required</html>", b"Unauthorized", b"", b"\xff"])
def test_a_key_may_be_asked_for_in_any_words(body: bytes) -> None:
    """By a proxy before the server; where the API is named, a listing that is refused is no fault."""
    page = ProbeAnswer(status=401, content_type="text/html", body=body)
    assert refused(models=page).startswith("http://h: the server asks for a key: GET /v1/models answered 401")
    assert led(look_up("openai-chat", ""), {"/v1/models": page}, NOT_FOUND).models == ()
    assert chosen("/v1/chat/completions", models=page).api == "openai-chat"


def test_a_key_that_is_refused_is_not_called_missing() -> None:
    """Its variable is named, never the key."""
    with pytest.raises(
        ServerUnusable, match=r"^http://h: the server refused the key in BAD: GET /v1/models answ"
    ):
        led(detect("", URL, Asking("BAD")), {"/v1/models": answered({"error": "no"}, status=401)}, NOT_FOUND)


def test_anthropics_api_is_known_by_its_listing_and_by_its_errors() -> None:
    choice = chosen(models=ANTHROPIC)
    assert (choice.api, choice.models) == ("anthropic-messages", ("claude-x",))
    assert choice.because == "GET /v1/models lists model claude-x in the form of Anthropic's API"
    error = {"type": "error", "error": {"type": "authentication_error", "message": "x-api-key is required"}}
    choice = chosen(models=answered(error, status=401))
    assert (choice.api, choice.models) == ("anthropic-messages", ())
    assert choice.because == "GET /v1/models answered 401 in the form of Anthropic's API"


def test_ollama_is_asked_in_its_own_api_though_it_has_openais() -> None:
    choice = chosen(
        models=OLLAMA_MODELS, version=answered({"version": "0.12.6"}), root=OLLAMA_ROOT, tags=TAGS
    )
    assert (choice.api, choice.path, choice.models) == ("ollama-chat", "", ("qwq:latest",))
    assert choice.because == (
        "GET / says that Ollama is running, whose own API tells more than /v1; model qwq:latest"
    )
    assert choice.fallbacks == ("openai-chat",)
    assert probes(choice) == ["GET /v1/models", "GET /api/version", "GET /"]


def test_an_ollama_without_openais_api_is_known_by_its_tags() -> None:
    choice = chosen(tags=TAGS)
    assert (choice.api, choice.because) == ("ollama-chat", "GET /api/tags lists model qwq:latest")
    assert choice.fallbacks == ("ollama-generate", "openai-chat")


@pytest.mark.parametrize(
    "likeness",
    [
        {"tags": LLAMA_TAGS},
        {"version": answered({"version": "1.0"}), "root": PAGE},
        {"version": PAGE, "root": OLLAMA_ROOT},
    ],
)
def test_servers_with_some_paths_of_ollamas_stay_openais(likeness: dict[str, ProbeAnswer]) -> None:
    """llama.cpp has /api/tags, KoboldCpp /api/version: neither is Ollama."""
    assert chosen(models=OPENAI, **likeness).api == "openai-chat"


def test_tgi_is_known_by_its_info() -> None:
    choice = chosen(info=TGI_INFO)
    assert (choice.api, choice.path, choice.models) == ("tgi", "", ("HuggingFaceTB/SmolLM2-135M",))
    assert choice.because == "GET /info tells model_id HuggingFaceTB/SmolLM2-135M"
    named = chosen("/generate", info=TGI_INFO)
    assert (named.api, named.path) == ("tgi", "/generate")
    assert chosen(models=OPENAI, info=TGI_INFO).api == "openai-chat"
    assert "GET /info" not in probes(chosen(models=OPENAI, info=TGI_INFO))


def test_an_embeddings_server_generates_nothing() -> None:
    assert refused(info=EMBEDDINGS_INFO).startswith("none of: ")


def test_kserve_is_known_by_its_metadata() -> None:
    choice = chosen(v2=TRITON, index=INDEX)
    assert (choice.api, choice.path, choice.models) == ("kserve", "", ("llm",))
    assert choice.because == "GET /v2 is the metadata of triton, which has model llm"
    runtime = answered({"name": "kserve", "version": "0.14", "extensions": ["model_repository_extension"]})
    choice = chosen(v2=runtime, v2_models=answered({"models": ["smollm2"]}))
    assert (choice.api, choice.models) == ("kserve", ("smollm2",))
    # Its version 1 protocol lists models at OpenAI's path, but as bare names.
    choice = chosen(models=answered({"models": ["smollm2"]}), v2=runtime, index=INDEX)
    assert (choice.api, choice.models) == ("kserve", ("llm",))
    assert refused(v2=answered({"name": "an app"})).startswith("none of: ")


@pytest.mark.parametrize(
    ("version", "prefix", "info", "path"),
    [
        ("6.31.0", "/gradio_api", "gradio_info", "/gradio_api/call/chat"),
        ("5.50.0", "/gradio_api", "gradio_info", "/gradio_api/call/chat"),
        ("4.44.1", None, "info", "/call/chat"),
        ("3.50.2", None, "info", "/run/chat"),
    ],
)
def test_gradio_is_known_by_its_config(version: str, prefix: str | None, info: str, path: str) -> None:
    pages = {"config": gradio_config(version, prefix), info: gradio_info("clear", "chat")}
    choice = chosen(**pages)
    assert (choice.api, choice.path) == ("gradio", path)
    assert (choice.json_request, choice.json_answer) == ('{"data": ["{prompt}"]}', "data.0")
    at_once = (path.replace("/call/", "/run/"),) if "/call/" in path else ()
    assert choice.other_paths == at_once
    clear = path.replace("chat", "clear")
    assert choice.because == (
        f"GET /config is that of Gradio {version[0]}, whose function chat takes a text"
        f" (and {clear}: name one in the URL)"
    )
    named = chosen(clear, **pages)
    assert (named.path, named.because) == (clear, f"the URL ends with {clear}")
    assert named.json_request == '{"data": ["{prompt}"]}'


def test_a_gradio_app_without_a_text_says_which_functions_it_has() -> None:
    assert refused(
        config=gradio_config("6.1.0", "/gradio_api"), gradio_info=gradio_info("add", component="Number")
    ) == (
        "http://h: GET /config is that of Gradio 6.1.0, and no function of it takes a text: add;"
        " name one in the URL, such as /call/NAME, and its inputs with --llm-json-request"
    )


@pytest.mark.parametrize("prefix", ["/a\r\nX-Key: k", "/a b", "evil", "/\u20ac"])
def test_a_page_whose_prefix_is_no_path_is_none_of_gradio(prefix: str) -> None:
    described = takes("/ask", field="text", required=("text",))
    choice = chosen(config=gradio_config("6.1.0", prefix), gradio_info=gradio_info("chat"), openapi=described)
    assert (choice.api, choice.path) == ("json", "/ask")
    assert f"GET {prefix}/info" not in probes(choice)


def test_a_function_that_no_gradio_describes_so_is_none() -> None:
    odd = answered({"named_endpoints": {"/chat": {"parameters": [{"component": []}], "returns": []}}})
    config = answered({"version": "6.1.0", "dependencies": [], "components": [{"id": {}}, {"id": [1]}]})
    described = takes("/ask", field="text", required=("text",))
    assert chosen(config=config, info=odd, openapi=described).api == "json"
    assert chosen("/call/chat", config=config, info=odd).because == "the URL ends with /call/chat"
    found = chosen(config=config, info=gradio_info("chat"), openapi=described)
    assert (found.api, found.path) == ("gradio", "/call/chat")


def test_a_description_with_known_paths_is_enough() -> None:
    """The model listing of some servers fails, though they speak the API."""
    broken = answered({"detail": "offline"}, status=500)
    choice = chosen(models=broken, openapi=takes("/v1/chat/completions", "/v1/completions", "/generate"))
    assert (choice.api, choice.path) == ("openai-chat", "/v1/chat/completions")
    assert choice.because == "/openapi.json describes POST /v1/chat/completions"
    assert chosen(openapi=takes("/v1/completions")).api == "openai-completions"
    assert chosen(openapi=takes("/v1/messages", field="messages")).api == "anthropic-messages"
    assert chosen(openapi=takes("/api/generate", field="model")).api == "ollama-generate"
    assert chosen(openapi=answered({"paths": {"/api/chat": {"post": {}}}})).api == "ollama-chat"


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/chat", "message"),
        ("/api/generate", "prompt"),
        ("/v1/messages", "text"),
        ("/responses", "question"),
        ("/completions", "prompt"),
        ("/app/generate_stream", "prompt"),
    ],
)
def test_a_known_path_with_a_body_of_its_own_is_json(path: str, field: str, named: bool) -> None:
    """The words are common, and the description tells that the API's own fields are not there."""
    described = takes(path, field=field, required=(field,))
    choice = chosen(path if named else "", openapi=described)
    assert (choice.api, choice.path) == ("json", path)
    assert choice.because == f"/openapi.json describes POST {path} with a text '{field}'"


def test_a_known_path_is_that_of_its_api_where_the_server_has_its_signs_or_its_fields() -> None:
    described = takes("/api/chat", field="message", required=("message",))
    assert chosen("/api/chat", tags=TAGS, openapi=described).models == ("qwq:latest",)
    asks = takes("/api/chat", field="messages", required=("text",))
    assert chosen("/api/chat", openapi=asks).api == "ollama-chat"
    assert chosen("/api/generate", openapi=takes("/api/generate", field="model")).api == "ollama-generate"
    assert "GET /openapi.json" not in probes(chosen("/v1/completions"))


def test_a_described_path_that_takes_a_prompt_means_json() -> None:
    choice = chosen(openapi=takes("/health", "/generate"))
    assert (choice.api, choice.path, choice.json_request) == ("json", "/generate", None)
    assert choice.because == (
        "/openapi.json describes POST /generate with a text 'prompt' (and POST /health: name one in the URL)"
    )


def test_the_request_is_made_to_fit_the_description() -> None:
    choice = chosen(openapi=takes("/ask", field="question", required=("question",)))
    assert (choice.api, choice.json_request) == ("json", '{"question": "{prompt}"}')
    job = {"enum": ["emotion", "chat"], "type": "string"}
    choice = chosen(openapi=takes("/ask", field="text", required=("text",), job=job))
    assert choice.json_request == '{"text": "{prompt}", "job": "chat"}'
    assert choice.because == "/openapi.json describes POST /ask with a text 'text', job 'chat'"


def test_a_described_list_of_data_means_gradio() -> None:
    data = {"data": {"type": "array", "items": {"type": "string"}}}
    document = takes("/run", required=(), field="comment", **data)
    choice = chosen(openapi=document)
    assert (choice.api, choice.path) == ("gradio", "/run")
    assert choice.because == "/openapi.json describes POST /run with a list 'data', as Gradio takes it"
    assert chosen("/run", openapi=document).because == choice.because


def test_a_run_that_takes_a_text_is_no_gradio() -> None:
    choice = chosen("/run", openapi=takes("/run", field="text", required=("text",)))
    assert (choice.api, choice.path, choice.json_request) == ("json", "/run", '{"text": "{prompt}"}')


def test_a_path_of_the_users_own_means_json_there() -> None:
    choice = chosen("/api/ask")
    assert (choice.api, choice.path) == ("json", "/api/ask")
    assert choice.because == "the URL names /api/ask: a path of your own is sent JSON"


def test_a_path_of_the_users_own_is_called_as_described_though_others_look_better() -> None:
    described = takes("/api/ask", "/generate", field="text", required=("text",))
    choice = chosen("/api/ask", openapi=described)
    assert (choice.path, choice.json_request) == ("/api/ask", '{"text": "{prompt}"}')
    elsewhere = chosen("/api/other", openapi=described)
    assert (elsewhere.path, elsewhere.json_request) == ("/api/other", None)


def test_a_mounted_application_describes_paths_below_itself() -> None:
    choice = led(detect("/app", URL), {"/app/openapi.json": takes("/v1/chat/completions")}, NOT_FOUND)
    assert (choice.api, choice.path) == ("openai-chat", "/app/v1/chat/completions")


def test_a_server_that_describes_nothing_is_tried_with_the_commonest_requests() -> None:
    only_post = ProbeAnswer(status=501, content_type="text/html")
    choice = chosen("", only_post, generate=answered({"response": "hi"}))
    assert (choice.api, choice.path, choice.json_request) == ("json", "/generate", '{"prompt": "{prompt}"}')
    assert choice.because == 'POST /generate answers {"prompt": "Say hi."}'
    choice = chosen("", only_post, run=answered({"data": ["hi"]}))
    assert (choice.api, choice.path, choice.json_request) == ("gradio", "/run", '{"data": ["{prompt}"]}')
    # A description that leaves the body out, as LitServe's does: only paths that it has are tried.
    bare = answered({"paths": {"/predict": {"post": {}}}})
    choice = chosen(openapi=bare, generate=answered({}), predict=answered({"output": "hi"}))
    assert (choice.api, choice.path, choice.json_request) == ("json", "/predict", '{"input": "{prompt}"}')
    assert refused("/v1").startswith("none of: ")
    assert refused(generate=PAGE, run=answered({}, status=422)).startswith("none of: ")


def test_a_server_of_no_known_kind_is_refused_with_all_that_was_seen() -> None:
    bare = ProbeAnswer(status=404)
    assert refused("", bare, openapi=NOTHING, config=PAGE) == (
        f"none of: {', '.join(DIALECTS)} is spoken at http://h:"
        " GET /v1/models /api/tags /info /v2 answered 404 without Content-Type,"
        " GET /config answered 200 text/html, GET /openapi.json answered nothing (connection refused),"
        " POST /generate /run /predict answered 404 without Content-Type;"
        " name the API with --llm-api, and the path in the URL, such as --llm-endpoint=http://h/PATH"
    )


def test_a_post_that_wants_more_than_a_prompt_is_pointed_out() -> None:
    assert refused(openapi=takes("/predict", required=("prompt", "user_id"))).endswith(
        "; POST /predict takes 'prompt' but also wants user_id: give --llm-endpoint=http://h/predict"
        """ --llm-json-request='{"prompt": "{prompt}", "user_id": "..."}'"""
    )
    assert refused("/predict", openapi=takes("/predict", required=("prompt", "user_id"))) == (
        "http://h: POST /predict takes 'prompt' but also wants user_id: give"
        """ --llm-json-request='{"prompt": "{prompt}", "user_id": "..."}'"""
    )


def test_the_only_text_that_is_wanted_takes_the_prompt_whatever_its_name() -> None:
    one = takes("/ask", field="frage", required=("frage",))
    choice = chosen(openapi=one)
    assert (choice.api, choice.path, choice.json_request) == ("json", "/ask", '{"frage": "{prompt}"}')
    assert choice.because == "/openapi.json describes POST /ask with a text 'frage'"
    two = takes("/say", "/ask", field="frage", required=("frage",))
    assert refused(openapi=two).endswith(
        "; its /openapi.json has POST /say, /ask: name one in the URL, such as --llm-endpoint=http://h/say"
    )
    named = chosen("/ask", openapi=two)
    assert (named.path, named.json_request) == ("/ask", '{"frage": "{prompt}"}')
    bare = answered({"paths": {"/a": {"post": {}}, "/run": {"post": {}}}})
    todo = "; its /openapi.json has POST /a, /run: name one in the URL, such as --llm-endpoint=http://h/a"
    assert refused(openapi=bare).endswith(todo)
    login = takes("/login", field="password", required=("password",))
    assert refused(openapi=login).startswith("none of: ")


def test_a_server_that_was_started_is_named_by_its_port() -> None:
    """Where the port is another one with each start."""
    pages = {"/openapi.json": takes("/say", "/ask", field="frage", required=("frage",))}
    with pytest.raises(ServerUnusable, match=r"such as --llm-endpoint='http://127\.0\.0\.1:\{port\}/say'\Z"):
        led(detect("", URL, base="http://127.0.0.1:{port}"), pages, NOT_FOUND)


SLOW = ProbeAnswer(error="no answer within 7.4 s", slow=True)


def test_the_only_path_that_takes_its_time_is_chosen() -> None:
    choice = chosen(generate=SLOW)
    assert (choice.api, choice.path, choice.json_request) == ("json", "/generate", '{"prompt": "{prompt}"}')
    assert choice.because == "POST /generate is slow (no answer within 7.4 s), and no other path answers"
    begun = ProbeAnswer(status=200, content_type="application/json", slow=True, error="no answer within 7 s")
    assert chosen(run=begun).api == "gradio"
    assert chosen(generate=SLOW, run=answered({"data": ["hi"]})).path == "/run"
    assert refused(generate=SLOW, run=SLOW).endswith(
        "POST /generate /run answered nothing (no answer within 7.4 s), POST /predict answered 404"
        " application/json; if it is a slow model, name its path, such as --llm-endpoint=http://h/generate,"
        " and give it longer, -o llm_ready_timeout=5m"
    )


def test_a_path_that_is_there_and_fails_is_no_unknown_server() -> None:
    """Others are not there, or the description has it; a server that knows no POST has no such path."""
    broken = answered({"error": "CUDA out of memory"}, status=500)
    said = "http://h: POST /generate answered 500: CUDA out of memory; it was asked "
    assert refused(generate=broken) == (
        said + '{"prompt": "Say hi."}: see the server\'s log, or where it wants another request, name'
        " --llm-endpoint=http://h/generate and give --llm-json-request"
    )
    bare = answered({"paths": {"/generate": {"post": {}}}})
    assert refused(openapi=bare, generate=broken).startswith(said)
    assert refused(other=broken).startswith("none of: ")
    assert refused(generate=ProbeAnswer(status=501)).startswith("none of: ")
    wants = answered({"detail": [{"loc": ["body", "q"], "msg": "Field required"}]}, status=422)
    assert refused(run=wants).endswith(
        '; POST /run answered 422 to {"data": ["Say hi."]}: body.q: Field required: name'
        " --llm-endpoint=http://h/run and give --llm-json-request"
    )


@pytest.mark.parametrize(
    ("answers", "so"),
    [
        ({"generate": answered({"response": "hi"})}, "POST /generate: is an answer"),
        ({"generate": SLOW}, "POST /generate: may be a slow model"),
        ({"v2": TRITON, "index": INDEX}, "POST /v2/repository/index: lists model llm"),
        ({"v2": TRITON, "v2_models": answered({"models": ["a", "b"]})}, "GET /v2/models: lists models a, b"),
        (
            {"config": gradio_config("4.1.0"), "info": gradio_info("chat", "add")},
            "GET /info: lists the functions chat, add",
        ),
    ],
)
def test_what_decides_tells_something(answers: dict[str, ProbeAnswer], so: str) -> None:
    assert so in [f"{asked.probe}: {asked.so}" for asked in chosen(**answers).asked]


def test_what_was_concluded_is_kept_of_a_server_that_is_refused() -> None:
    asking = Asking()
    with pytest.raises(ServerUnusable):
        led(detect("", URL, asking), {"/v1/models": answered({}, status=401)}, NOT_FOUND)
    assert [asked.so for asked in asking.asked] == ["asks for a key"]


@pytest.mark.parametrize("path", ["", "/v1", "/v1/chat/completions", "/api/ask", "/run"])
def test_a_server_that_does_not_answer_is_said_to_be_down(path: str) -> None:
    message = refused(path, NOTHING)
    assert message.startswith("http://h: the server does not answer: GET /")
    assert message.endswith(" answered nothing (connection refused); check that it runs, and the URL")


@pytest.mark.parametrize(
    ("api", "answers", "models"),
    [
        ("openai-responses", {"models": OPENAI}, ("smollm2-135m",)),
        ("ollama-generate", {"tags": TAGS}, ("qwq:latest",)),
        ("kserve", {"v2": TRITON, "index": INDEX}, ("llm",)),
        ("tgi", {}, ()),
        ("json", {}, ()),
        ("openai-chat", {"models": answered({}, status=403)}, ()),
    ],
)
def test_a_named_api_is_only_asked_for_its_models(
    api: str, answers: dict[str, ProbeAnswer], models: tuple[str, ...]
) -> None:
    choice = led(look_up(api, ""), {PAGES[name]: answer for name, answer in answers.items()}, NOT_FOUND)
    assert (choice.api, choice.path, choice.models) == (api, "", models)
    assert choice.because == "--llm-api names it"
    assert len(choice.asked) <= 2


def test_a_named_gradio_is_asked_for_its_functions() -> None:
    answers = {"/config": gradio_config("4.1.0"), "/info": gradio_info("chat")}
    choice = led(look_up("gradio", ""), answers, NOT_FOUND)
    assert (choice.path, choice.json_request) == ("/call/chat", '{"data": ["{prompt}"]}')
    assert choice.because.startswith("--llm-api names it; GET /config is that of Gradio 4")
    assert led(look_up("gradio", "/call/other"), answers, NOT_FOUND).path == "/call/other"


def test_every_row_leads_somewhere() -> None:
    """Each kind has its function, each dialect that lists something its kind."""
    assert all(callable(kind(name)) for name in KINDS)
    assert set(DIALECT_KINDS.values()) == set(KINDS) - {"openapi"}
    assert set(DIALECT_KINDS) | {"json"} == set(DIALECTS)


def test_the_paths_of_a_description_are_told() -> None:
    assert posts_in(takes("/a", "/b/{id}")) == ("/a",)
    assert posts_in(NOT_FOUND) == ()

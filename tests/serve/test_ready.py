"""wait_ready against scripted servers: waiting, deciding, asking once."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time

import msgspec
import pytest

from pytest_llmserve.dialects import DIALECTS
from pytest_llmserve.domain.errors import ServerUnusable, SetupError
from pytest_llmserve.domain.target import Target, target_from_url
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.serve import ready
from pytest_llmserve.serve.command import free_port
from pytest_llmserve.serve.process import start
from pytest_llmserve.serve.ready import wait_ready
from pytest_llmserve.serve.story import Story

CHAT = "/v1/chat/completions"
STREAMED = (
    'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}\n\n',
    "data: [DONE]\n\n",
)
UNSTREAMED = json.dumps(
    {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
)
COMPLETION = json.dumps({"choices": [{"index": 0, "text": "Hi", "finish_reason": "stop"}]})


def listing(*models: str) -> str:
    return json.dumps({"object": "list", "data": [{"id": model} for model in models]})


def openai(models=("m",), chat=None, completions=None, health=200):
    """An OpenAI-like server; `chat` and `completions` answer their paths, 404 without."""

    def script(asked, connection):
        if asked.path == "/health":
            connection.answer(health, "")
        elif asked.path == "/v1/models":
            connection.answer(200, listing(*models))
        elif asked.path == CHAT and chat is not None:
            chat(json.loads(asked.body), connection)
        elif asked.path == "/v1/completions" and completions is not None:
            completions(json.loads(asked.body), connection)
        else:
            connection.answer(404, '{"detail": "Not Found"}')

    return script


def good(body, connection):
    if body.get("stream"):
        connection.begin_events(*STREAMED)
        connection.end_events()
    else:
        connection.answer(200, UNSTREAMED)


def url_target(server, **changes) -> Target:
    return msgspec.structs.replace(target_from_url(server.url), **changes)


def failure(target: Target, limit_s: float = 10, **kwargs) -> str:
    with pytest.raises(ServerUnusable) as caught:
        wait_ready(target, limit_ns=int(limit_s * NS_PER_S), **kwargs)
    return str(caught.value)


@pytest.fixture
def opened(scripted):
    """Open the conversation with a scripted server; closed with the test."""
    made = []

    def open_(script, **changes):
        server = scripted(script)
        made.append(wait_ready(url_target(server, **changes), limit_ns=10 * NS_PER_S))
        return made[-1], server

    yield open_
    for endpoint in made:
        endpoint.close()


def test_healthy_server_is_understood_by_itself(opened):
    """Dialect, model, stream and token counts are learnt; the choice is explained."""
    endpoint, server = opened(openai(chat=good))
    target = endpoint.target
    assert (target.api, target.model, target.stream, target.stream_usage) == ("openai-chat", "m", True, True)
    assert endpoint.because == ("GET /v1/models lists model m; a one-line prompt was answered in one piece")
    questions = [json.loads(asked.body) for asked in server.asked if asked.method == "POST"]
    assert questions == [
        {
            "model": "m",
            "messages": [{"role": "user", "content": "Say hi."}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 4,
        }
    ]


def test_a_server_that_repeats_the_key_or_a_terminals_orders_is_told_without(scripted):
    """In what is asked, why it is chosen, why it cannot be used; the model is asked for as it is."""
    key, models = "sk-12345678", ["m \x1b[31mBearer sk-12345678"]
    server = scripted(lambda asked, connection: openai(models, chat=good)(asked, connection))
    target = url_target(server, headers=(("Authorization", f"Bearer {key}"),))
    story = Story()
    endpoint = wait_ready(target, limit_ns=10 * NS_PER_S, story=story)
    endpoint.close()
    assert endpoint.model == models[0]
    assert endpoint.because.startswith("GET /v1/models lists model m \ufffd[31m***; a one-line prompt")
    assert story.asked[0].so == "lists model m \ufffd[31m***"
    models.append("other")
    assert failure(target) == (
        f"{server.url} serves several models: m \ufffd[31m***, other; choose one with --llm-model NAME"
    )


@pytest.mark.parametrize(
    ("refused", "stream", "stream_usage"),
    [("stream_options", True, False), ("stream", False, False), (None, True, True)],
)
def test_unknown_fields_are_not_sent_again(opened, refused, stream, stream_usage):
    """A server that refuses stream_options, or streams, is asked without from then on."""

    def picky(body, connection):
        if refused in body:
            connection.answer(422, json.dumps({"detail": f"Extra inputs: {refused}"}))
        else:
            good(body, connection)

    endpoint, server = opened(openai(chat=picky))
    assert (endpoint.target.stream, endpoint.target.stream_usage) == (stream, stream_usage)
    assert endpoint.generate("Hi").ok
    assert refused is None or refused not in json.loads(server.asked[-1].body)


def test_server_without_chat_is_asked_for_completions(opened):
    """A base model's server: 404 for chat, so completions."""
    endpoint, _ = opened(openai(completions=lambda body, connection: connection.answer(200, COMPLETION)))
    assert endpoint.api == "openai-completions"
    assert endpoint.because == (
        "GET /v1/models lists model m; openai-chat is not there, status 404; a one-line prompt was answered"
        " in one piece"
    )
    assert endpoint.generate("Hi").text == "Hi"


def test_loading_server_is_waited_for(opened):
    """503 is "loading": asked again until it is over."""
    health = []

    def script(asked, connection):
        if asked.path == "/health":
            health.append(asked)
            connection.answer(503 if len(health) < 3 else 200, '{"error": {"message": "Loading model"}}')
        else:
            openai(chat=good)(asked, connection)

    opened(script)
    assert len(health) == 3


def test_server_that_comes_up_late_is_waited_for(tmp_path):
    """A connection that is refused at first is tried again."""
    program = """if True:
        import http.server, sys, time
        time.sleep(0.5)
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(404); self.send_header("Content-Length", "0"); self.end_headers()
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                body = b'{"response": "hi"}'
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body))); self.end_headers()
                self.wfile.write(body)
            def log_message(self, *a): pass
        http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
    """
    port = free_port()
    target = Target(scheme="http", host="127.0.0.1", port=port, api="json")
    with start([sys.executable, "-c", program, str(port)], tmp_path) as server:
        endpoint = wait_ready(target, limit_ns=20 * NS_PER_S, alive=lambda: server.death)
        assert endpoint.generate("Hi").text == "hi"
        assert endpoint.because.startswith("--llm-api names it; a one-line prompt was answered")
        endpoint.close()


def test_no_server_is_told_after_the_limit(scripted):
    """Refused until the limit: what was tried, and the two ways out."""
    server = scripted(good)
    server.close()
    begun = time.monotonic()
    assert failure(url_target(server), 0.5) == (
        f"{server.url} refused the connection for 500 ms: start the server first,"
        " or let --llm-serve 'CMD --port {port}' start it"
    )
    assert 0.5 <= time.monotonic() - begun < 5


def test_dead_process_ends_the_wait_at_once(scripted):
    """No waiting for the limit when the server's process is gone."""
    server = scripted(good)
    server.close()
    begun = time.monotonic()
    message = failure(url_target(server), 60, alive=lambda: "exited with code 1; its log is empty")
    assert message == "the server ended before it was ready: exited with code 1; its log is empty"
    assert time.monotonic() - begun < 10


def test_process_that_dies_during_a_hang_ends_the_wait(scripted):
    """Also while a request hangs the process is watched."""
    hung = []

    def hang(asked, connection):
        hung.append(asked)
        time.sleep(5)

    server = scripted(hang)
    begun = time.monotonic()
    message = failure(url_target(server), 60, alive=lambda: "killed by SIGKILL" if hung else None)
    assert message == "the server ended before it was ready: killed by SIGKILL"
    assert time.monotonic() - begun < 4


def test_another_program_on_the_port_is_not_taken_for_the_server(scripted):
    """Our server could not bind and died; what answers is not it."""
    server = scripted(openai(chat=good))
    message = failure(url_target(server), alive=lambda: "exited with code 1; its log is empty")
    assert message.startswith("the server ended before it was ready")


def test_hang_is_told(scripted):
    """Accepted, never answered."""
    server = scripted(lambda asked, connection: time.sleep(5))
    assert failure(url_target(server), 0.5) == (
        f"{server.url} accepted the connection but did not answer GET /health within 500 ms:"
        " does it hang, or is another program there? see the server's log"
    )


def test_other_protocol_is_told_at_once(scripted):
    """Something that does not speak HTTP will not learn it by waiting."""
    server = scripted(lambda asked, connection: connection.send("220 ready for mail\r\n\r\n"))
    begun = time.monotonic()
    message = failure(url_target(server), 60)
    assert message.startswith(f"{server.url} does not answer as its URL says (not HTTP: ")
    assert message.endswith("): check the port, and http or https")
    assert time.monotonic() - begun < 10


def test_https_on_a_plain_server_is_told_at_once(scripted):
    """The wrong scheme is told as such."""
    server = scripted(good)
    target = msgspec.structs.replace(url_target(server), scheme="https")
    begun = time.monotonic()
    message = failure(target, 60)
    assert message.startswith(f"{target.url} does not answer as its URL says (TLS: ")
    assert message.endswith("check the port, and http or https")
    assert time.monotonic() - begun < 10


def test_eternal_loading_is_told(scripted):
    """503 until the limit."""
    server = scripted(openai(health=503))
    assert failure(url_target(server), 0.5) == (
        f"{server.url} still answered 503 to GET /health after 500 ms: is it still loading?"
        " see the server's log"
    )


def test_several_models_are_listed(scripted):
    """The choice is the user's."""
    server = scripted(openai(models=("a", "b"), chat=good))
    assert failure(url_target(server)) == (
        f"{server.url} serves several models: a, b; choose one with --llm-model NAME"
    )


def test_named_model_is_taken(opened):
    """--llm-model decides among several."""
    endpoint, _ = opened(openai(models=("a", "b"), chat=good), model="b")
    assert endpoint.model == "b"


def test_named_api_still_finds_the_only_model(opened):
    """--llm-api openai-chat: the model comes from the listing all the same."""
    endpoint, _ = opened(openai(chat=good), api="openai-chat")
    assert endpoint.model == "m"
    assert endpoint.because.startswith("--llm-api names it; ")


def test_named_api_works_without_a_listing(opened):
    """--llm-api openai-chat on a server without /v1/models: no model is named."""

    def script(asked, connection):
        good(json.loads(asked.body), connection) if asked.path == CHAT else connection.answer(404, "")

    endpoint, _ = opened(script, api="openai-chat")
    assert endpoint.model is None
    assert endpoint.generate("Hi").ok


def test_request_template_means_json(opened):
    """Who gives --llm-json-request has said which API it is."""

    def script(asked, connection):
        known = asked.path == "/generate" and json.loads(asked.body) == {"q": "Say hi."}
        connection.answer(200 if known else 404, '{"answer": "hi"}')

    endpoint, _ = opened(script, json_request='{"q": "{prompt}"}')
    assert (endpoint.api, endpoint.target.json_request) == ("json", '{"q": "{prompt}"}')
    assert endpoint.because.startswith("--llm-json-request is given; ")


def test_crash_on_the_first_question_is_told(scripted):
    """A server that cannot answer one line is unusable; its own reason is shown."""
    server = scripted(openai(chat=lambda body, connection: connection.answer(500, '{"error": "no GPU"}')))
    message = failure(url_target(server))
    assert message == f"{server.url} answered 500 to a one-line prompt: 500: no GPU; see the server's log"


def test_crash_that_is_known_a_moment_later_is_told(scripted):
    """The connection breaks first, the exit status comes after: the crash is what is told."""
    broken = []

    def crash(body, connection):
        broken.append(time.monotonic())
        connection.reset()

    def alive():
        return "killed by SIGSEGV" if broken and time.monotonic() - broken[0] > 0.2 else None

    message = failure(url_target(scripted(openai(chat=crash))), alive=alive)
    assert message == "the server ended before it was ready: killed by SIGSEGV"


def test_web_server_is_not_a_model_server(scripted):
    """A server of another kind: what each probe answered, and the option that names the API."""
    server = scripted(lambda asked, connection: connection.answer(404, "<h1>no</h1>", "text/html"))
    message = failure(url_target(server))
    assert message == (
        f"none of: {', '.join(DIALECTS)} is spoken at {server.url}:"
        " GET /v1/models /api/tags /info /v2 /config /openapi.json answered 404 text/html,"
        " POST /generate /run /predict answered 404 text/html;"
        f" name the API with --llm-api, and the path in the URL, such as --llm-endpoint={server.url}/PATH"
    )


def test_a_probe_that_hangs_does_not_hang_the_rest(scripted):
    """It takes a share of the time, and what the others say is heard."""

    def script(asked, connection):
        if asked.path == "/v1/models":
            time.sleep(2)
        elif asked.path == "/openapi.json":
            connection.answer(200, json.dumps({"paths": {"/v1/chat/completions": {"post": {}}}}))
        elif asked.path == CHAT:
            good(json.loads(asked.body), connection)
        else:
            connection.answer(404, "")

    endpoint = wait_ready(url_target(scripted(script)), limit_ns=4 * NS_PER_S)
    endpoint.close()
    assert endpoint.because.startswith("/openapi.json describes POST /v1/chat/completions; ")
    assert endpoint.story.asked[0].answer == "nothing (no answer within 1 s)"


def test_a_slow_model_is_waited_for_though_nothing_describes_it(scripted):
    """Its path took longer than one probe may, and no other path is there."""

    def script(asked, connection):
        if asked.path == "/generate":
            time.sleep(1.2)
        connection.answer(200 if asked.path == "/generate" else 404, '{"response": "Hi"}')

    endpoint = wait_ready(url_target(scripted(script)), limit_ns=4 * NS_PER_S)
    endpoint.close()
    assert (endpoint.api, endpoint.target.path) == ("json", "/generate")
    assert str(endpoint.story.asked[-3]).startswith("POST /generate answered nothing (no answer within ")
    assert endpoint.story.asked[-3].so == "may be a slow model"


def test_a_gradio_that_takes_no_orders_is_asked_at_once(scripted):
    """An app that has /run alone, though its generation has /call."""
    text = {"label": "q", "component": "Textbox", "type": {"type": "string"}, "parameter_name": "q"}
    answers = {
        "/config": {"version": "6.1.0", "api_prefix": "/gradio_api", "dependencies": [], "components": []},
        "/gradio_api/info": {"named_endpoints": {"/f": {"parameters": [text], "returns": [text]}}},
        "/gradio_api/run/f": {"data": ["Hi"]},
    }

    def script(asked, connection):
        value = answers.get(asked.path)
        connection.answer(404 if value is None else 200, json.dumps(value))

    endpoint = wait_ready(url_target(scripted(script)), limit_ns=10 * NS_PER_S)
    assert endpoint.generate("hello").text == "Hi"
    endpoint.close()
    assert (endpoint.api, endpoint.target.path) == ("gradio", "/gradio_api/run/f")
    assert endpoint.because == (
        "GET /config is that of Gradio 6, whose function f takes a text; /gradio_api/call/f is not there,"
        " status 404; a one-line prompt was answered in one piece"
    )


def test_what_was_tried_is_told_without_secrets(scripted):
    """Each prompt as a command, and what came of it; of a server that cannot be used as well."""

    def picky(body, connection):
        if "stream_options" in body:
            connection.answer(422, '{"detail": "Extra inputs: stream_options, says sk-12345678"}')
        else:
            connection.answer(500, '{"error": "no GPU"}')

    server, story = scripted(openai(chat=picky)), Story()
    failure(url_target(server, headers=(("X-Api-Key", "sk-12345678"),)), story=story)
    assert [str(asked) for asked in story.asked] == [
        "GET /v1/models answered 200 application/json",
        "GET /api/version answered 404 application/json",
    ]
    first, second = story.tried
    assert first.request.startswith(f"curl {server.url}/v1/chat/completions ")
    assert "stream_options" in first.request
    assert first.answer.startswith("the server answered with a 4xx status: 422: ")
    assert "stream_options" not in second.request
    assert second.answer == "the server answered with a 5xx status: 500: no GPU"
    assert "sk-1234" not in repr(story)


def test_secret_of_a_complaint_is_hidden(scripted):
    """A server that quotes the key in its refusal."""

    def script(asked, connection):
        connection.answer(401, json.dumps({"error": f"bad key {asked.headers['x-api-key']}"}))

    server = scripted(script)
    target = url_target(server, api="openai-chat", headers=(("X-Api-Key", "sk-12345678"),))
    message = failure(target)
    assert "bad key ***; give the environment variable" in message
    assert "sk-1234" not in message


def test_unknown_host_is_told_at_once(monkeypatch):
    """A name that no one knows is not waited for."""

    def lookup(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", lookup)
    begun = time.monotonic()
    assert failure(Target(scheme="http", host="nowhere", port=1), 60) == (
        "host 'nowhere' is not known ([Errno -2] Name or service not known):"
        " check the endpoint's URL and this machine's name service"
    )
    assert time.monotonic() - begun < 5


def test_unknown_api_is_the_users_fault():
    """A wrong --llm-api is told before anything is asked."""
    with pytest.raises(SetupError, match="no API 'openai-chatt'; did you mean openai-chat"):
        wait_ready(Target(scheme="http", host="h", port=1, api="openai-chatt"), limit_ns=NS_PER_S)


def test_prefix_is_kept(opened):
    """A server behind a prefix is asked below it, for the models and for answers."""

    def script(asked, connection):
        asked.path = asked.path.removeprefix("/team") if asked.path.startswith("/team") else "/wrong"
        openai(chat=good)(asked, connection)

    endpoint, _ = opened(script, path="/team/v1")
    assert endpoint.url.endswith("/team/v1")
    assert endpoint.generate("Hi").ok


def test_failure_closes_its_connections(scripted):
    """An attempt that failed leaves no thread behind."""
    before = set(threading.enumerate())
    server = scripted(openai(models=("a", "b")))
    failure(url_target(server))
    assert not any(t.name == "llmserve-endpoint" for t in set(threading.enumerate()) - before)


def test_helpers_are_at_hand():
    """resolve and local_address are part of this room's face."""
    assert {"resolve", "local_address", "wait_ready"} == set(ready.__all__)

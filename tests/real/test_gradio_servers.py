"""Gradio 3 to 6: functions found out, ordered and fetched or at once; errors inside a 200; planted delays."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.request
from itertools import pairwise
from statistics import median

import msgspec
import pytest

from pytest_llmserve.dialects.gradio import functions
from pytest_llmserve.serve.endpoint import Endpoint
from tests.real.environments import APPS, python_of
from tests.real.serving import ALONE, served, session

FIRST_MS, NEXT_MS = 300, 50
"""What the app plants, see apps/gradio_app.py."""
PREFIX = {3: "", 4: "", 5: "/gradio_api", 6: "/gradio_api"}
REQUEST = '{"data": ["{prompt}", 4]}'
NO_REASON = (
    "the function failed and the server gave no reason: see its log, or start the app with"
    " launch(show_error=True)"
)


class App:
    """A running app of one generation."""

    def __init__(self, generation, server):
        self.generation, self.server = generation, server

    def page(self, path):
        with urllib.request.urlopen(self.server.base + path, timeout=10) as answer:
            return json.loads(answer.read())

    @property
    def functions(self):
        info = self.page(PREFIX[self.generation] + "/info")
        return {found.name: found for found in functions(info, self.page("/config"))}

    def path(self, name, way="call"):
        return f"{PREFIX[self.generation]}/{way}/{name}"

    @contextlib.contextmanager
    def asked(self, path, request=REQUEST, answer=None):
        """The endpoint of one of its functions."""
        with contextlib.closing(
            self.server.speaking("gradio", path, json_request=request, json_answer=answer)
        ) as made:
            yield made


@pytest.fixture(scope="module", params=[6, 5, 4, 3])
def app(request, tmp_path_factory):
    python = python_of(f"gradio{request.param}")
    command = [python, str(APPS / "gradio_app.py"), "{port}"]
    path = f"{PREFIX[request.param]}/run/generate"
    known = {"api": "gradio", "json_request": REQUEST}
    env = ALONE | {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    with served(command, tmp_path_factory.mktemp("gradio"), env=env, path=path, **known) as server:
        yield App(request.param, server)


def test_every_function_is_found_and_answers_as_its_pages_say(app):
    """Each by the path, the template and the place of the answer that were read out of /config and /info."""
    found = app.functions
    way = "call" if app.generation >= 4 else "run"
    assert {name: one.path for name, one in found.items()} == {
        name: app.path(name, way) for name in ("generate", "stream", "pairs", "label", "memory")
    }
    assert {one.generation for one in found.values()} == {app.generation}
    assert found["generate"].request == '{"data": ["{prompt}", 8]}'
    said = {"memory": "good day 8", "label": "POSITIVE", "generate": "w0 w1 w2 w3 w4 w5 w6 w7"}
    if app.generation >= 4:  # what is generated bit by bit, /run does not wait for
        said |= {"stream": "t0 t1 t2 t3 t4 t5 t6 t7 ", "pairs": "you said good day"}
    for name, text in said.items():
        one = found[name]
        with app.asked(one.path, one.request, one.answer) as endpoint:
            reply = endpoint.generate("good day")
            assert (reply.outcome, reply.text, reply.error) == ("ok", text, None), name
            assert len(reply.record.steps) == (app.generation >= 4)


def test_auto_finds_it_out(app):
    """From the bare address: the function that is likeliest to be a model's."""
    with contextlib.closing(app.server.speaking("auto")) as found:
        way = "call" if app.generation >= 4 else "run"
        assert (found.api, found.target.path) == ("gradio", app.path("generate", way)), found.because
        assert found.generate("hi").text == "w0 w1 w2 w3 w4 w5 w6 w7"


def test_a_streamed_answer_comes_word_by_word(app):
    """With the delays that are planted, counted from the order; of /run there is the first word alone."""
    at_once = app.server.endpoint.send({"data": ["a", 3]}, path=app.path("stream", "run"))
    assert (at_once.status, json.loads(at_once.body)["is_generating"]) == (200, True)
    with app.asked(app.path("generate", "run")) as endpoint:
        target = msgspec.structs.replace(endpoint.target, path=app.path("stream", "run"))
        with contextlib.closing(Endpoint(target)) as too_early:
            reply = too_early.generate("a")
    assert (reply.outcome, reply.text, reply.record.steps) == ("cut_off", "t0 ", ())
    assert reply.error.startswith("only the first part of an answer that is generated bit by bit")
    if app.generation == 3:
        return
    with app.asked(app.path("stream")) as endpoint, endpoint.stream("a") as stream:
        assert list(stream) == ["t0 ", "t1 ", "t2 ", "t3 "]
    record = stream.reply.record
    assert record.steps[0].sent_ns == record.sent_ns
    assert record.ttft_ms >= FIRST_MS
    gaps_ms = [gap / 1e6 for gap in record.token_ns.gaps_ns]
    assert sum(gaps_ms) >= 3 * NEXT_MS * 0.8
    assert (stream.reply.output_tokens, stream.reply.tokens_from) == (4, "estimated")


def test_errors_are_told_in_every_form(app):
    """Inside a 200 with and without a reason, in the middle of a stream, with a status."""
    if app.generation == 3:
        replies = [app.server.endpoint.generate(prompt) for prompt in ("boom", "gerr")]
        assert [(one.outcome, one.error) for one in replies] == [
            ("http_5xx", '500: {"error": null}'),
            ("http_5xx", "500: 'planted gr.Error'"),
        ]
        return
    with app.asked(app.path("generate")) as endpoint:
        replies = [endpoint.generate(prompt) for prompt in ("boom", "gerr")]
        told = "planted gr.Error" if app.generation == 6 else NO_REASON
        assert [(one.outcome, one.error, one.status) for one in replies] == [
            ("server_error_in_stream", NO_REASON, 200),
            ("server_error_in_stream", told, 200),
        ]
        refused = endpoint.send({})
        assert (refused, refused.error) == ("http_4xx", "422: body.data: Field required")
        assert endpoint.send({"data": ["a", 4]}, path=app.path("nosuch")) == "http_5xx"
        assert endpoint.generate("a").ok
    with app.asked(app.path("stream")) as endpoint:
        reply = endpoint.generate("boom")
        assert (reply.outcome, reply.text) == ("server_error_in_stream", "t0 t1 ")


LOAD = """
@pytest.mark.load(users=4, requests=16)
@pytest.mark.error_rate(max=0)
def test_it(llm_load):
    llm_load("Say hi.")
"""


def test_a_load_measures_what_is_planted(app, tmp_path):
    """Four at once: time to the first token and between tokens as a plain client sees them too."""
    if app.generation == 3:
        pytest.skip("Gradio 3 streams over WebSockets alone")
    before = plain_ms(app)
    done = session(
        tmp_path / "suite",
        LOAD,
        f"--llm-endpoint={app.server.base}{app.path('stream')}",
        "--llm-api=gradio",
        f"--llm-json-request={REQUEST}",
    )
    after = plain_ms(app)
    assert done.exit == 0, done.text
    assert done.run["counts"]["ok"] == 16
    ours = [done.run["metrics"][name]["p50"] for name in ("ttft_ms", "itl_ms")]
    print(f"gradio {app.generation}: ours {ours}, a plain client before and after: {before}, {after}")
    for figure, planted, *plain in zip(ours, (FIRST_MS, NEXT_MS), before, after, strict=True):
        assert planted * 0.8 < figure < 1.5 * max(*plain, planted) + 20


def plain_ms(app):
    """Medians of a client that asks one after the other, with nothing of ours: first token, gap."""
    stamps = [arrivals_ms(app) for _ in range(3)]
    gaps = [later - sooner for row in stamps for sooner, later in pairwise(row)]
    return median(row[0] for row in stamps), median(gaps)


def arrivals_ms(app):
    url = app.server.base + app.path("stream")
    began = time.perf_counter()
    order = urllib.request.Request(url, b'{"data": ["a", 4]}', {"Content-Type": "application/json"})
    with urllib.request.urlopen(order, timeout=10) as answer:
        place = json.loads(answer.read())["event_id"]
    with urllib.request.urlopen(f"{url}/{place}", timeout=10) as events:
        lines = ((line, time.perf_counter()) for line in iter(events.readline, b""))
        return [1000 * (at - began) for line, at in lines if line.startswith(b"event: generating")]

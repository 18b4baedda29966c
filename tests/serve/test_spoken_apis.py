"""APIs with a form of their own, over sockets: the simulator's encoders know nothing of the dialects."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import pytest_llmserve
from pytest_llmserve.dialects import dialect
from pytest_llmserve.dialects.encoding import limited
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.target import Target, target_from_url
from pytest_llmserve.load.engine import LoadRun
from pytest_llmserve.serve.endpoint import Endpoint
from pytest_llmserve.simulator import command

LIMIT_S = 20.0
FACES = ("openai-responses", "anthropic-messages", "ollama-generate", "ollama-chat", "tgi", "kserve")
COUNTED = {
    "openai-responses": (3, "completed"),
    "anthropic-messages": (3, "end_turn"),
    "ollama-generate": (3, "stop"),
    "ollama-chat": (3, "stop"),
    "tgi": (4, "eos_token"),
}
"""Tokens and reason of an answer of three words; TGI counts its special token, and Triton nothing."""
WRONG: dict[str, dict[str, Any]] = {
    "openai-responses": {"max_output_tokens": -9},
    "anthropic-messages": {"max_tokens": -9},
    "ollama-generate": {"options": {"num_predict": -9}},
    "ollama-chat": {"options": {"num_predict": -9}},
    "tgi": {"parameters": {"max_new_tokens": -9}},
    "kserve": {"parameters": {"max_tokens": -9}},
}
every_api = pytest.mark.parametrize("api", FACES)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a simulator with these APIs, whose answers have three words."""
    folder = tmp_path_factory.mktemp("simulator")
    env = {**os.environ, "PYTHONPATH": str(Path(pytest_llmserve.__file__).parents[1])}
    options = ["--port-file", str(folder / "port"), "--tokens", "3", "--itl-ms", "2", "--context", "1200"]
    faces = [word for face in FACES for word in ("--face", face)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command(0), *options, *faces], env=env, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + LIMIT_S
        while not (folder / "port").exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        yield f"http://127.0.0.1:{(folder / 'port').read_text()}"
    finally:
        process.kill()
        process.wait(LIMIT_S)


@pytest.fixture
def ask(url: str) -> Iterator[Callable[..., Endpoint]]:
    """``ask("tgi", stream=False, fault="...")`` -> an `Endpoint`."""
    made: list[Endpoint] = []

    def make(api: str, fault: str = "", **fields: Any) -> Endpoint:
        made.append(Endpoint(spoken(url, api, fault, **fields)))
        return made[-1]

    yield make
    for endpoint in made:
        endpoint.close()


def spoken(url: str, api: str, fault: str = "", **fields: Any) -> Target:
    told = {"api": api, "model": "simulator", "headers": (("X-Simulator-Fault", fault),) if fault else ()}
    return msgspec.structs.replace(target_from_url(url), **{**told, **fields})


@every_api
def test_an_answer_is_the_same_streamed_and_whole(ask: Callable[..., Endpoint], api: str) -> None:
    """With its counts and its reason where the API tells them; a chunk a token, or one."""
    streamed, whole = ask(api).generate("Say it."), ask(api, stream=False).generate("Say it.")
    assert (streamed.outcome, streamed.error) == (whole.outcome, whole.error) == ("ok", None)
    assert streamed.text == whole.text
    assert len(streamed.text.split()) == len(streamed.record.token_ns) == 3
    assert len(whole.record.token_ns) == 1
    told = [(reply.output_tokens, reply.record.finish_reason) for reply in (streamed, whole)]
    assert told == ([COUNTED[api]] * 2 if api in COUNTED else [(3, None), (None, None)])


@every_api
def test_pieces_come_one_by_one_and_parameters_arrive(ask: Callable[..., Endpoint], api: str) -> None:
    limit = limited(dialect(api).limit_names[0], 2)
    with ask(api, "stall:every=1,ms=100,after=1").stream("Say it.", **limit) as pieces:
        found = list(pieces)
    assert len(found) == 2
    assert "".join(found) == pieces.reply.text == " ".join(ask(api).generate("Say it.").text.split()[:2])


@every_api
def test_an_answer_that_is_not_streamed_is_one_piece(ask: Callable[..., Endpoint], api: str) -> None:
    """For whoever iterates over it, in async code too."""
    endpoint = ask(api, stream=False)
    said = endpoint.generate("Say it.").text
    assert list(endpoint.stream("Say it.")) == [said]

    async def pieces() -> list[str]:
        return [piece async for piece in endpoint.astream("Say it.")]

    assert asyncio.run(pieces()) == [said]


@every_api
def test_a_system_message_arrives(ask: Callable[..., Endpoint], api: str) -> None:
    """In its place, or joined to the prompt: it changes the answer either way."""
    prompt: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say it."}]
    alone, with_system = ask(api).generate("Say it.").text.split(), ask(api).generate(prompt).text.split()
    assert alone != with_system
    turns = [{"role": "assistant", "content": "What?"}, {"role": "user", "content": "It."}]
    assert ask(api).generate([*prompt, *turns]).outcome == "ok", "an answer of before goes along"
    if api not in {"tgi", "kserve"}:  # the simulator draws the first word by it, the others by the prompt
        assert alone[1:] == with_system[1:]


@every_api
def test_faults_in_a_stream_are_told(ask: Callable[..., Endpoint], api: str) -> None:
    """An error in it, a stream cut off, one without an end mark; the text before stays."""
    broken = ask(api, "error_in_stream:every=1,after=2").generate("Say it.")
    assert broken.outcome == "server_error_in_stream"
    assert broken.error is not None
    assert broken.error.startswith("EngineCore encountered an issue")
    assert len(broken.text.split()) == 2
    cut = ask(api, "truncated_stream:every=1,after=2").generate("Say it.")
    assert (cut.outcome, len(cut.text.split())) == ("cut_off", 2)
    unmarked = ask(api, "missing_end_mark:every=1").generate("Say it.")
    assert unmarked.outcome == ("ok" if api == "kserve" else "cut_off")


@every_api
def test_refusals_are_told_in_the_servers_words(ask: Callable[..., Endpoint], api: str) -> None:
    """A prompt too long for the context, a wrong parameter, another model."""
    for stream in (True, False):
        long = ask(api, stream=stream).generate("word " * 1000)
        assert (long.outcome, long.status) == ("http_4xx", 400)
        wanted = 1024 if api == "anthropic-messages" else 0  # its API demands a limit
        assert long.error == (
            f"400: the model's context is 1200 tokens: 1250 in the prompt and {wanted} for the answer"
            " are too many"
        )
        wrong = ask(api, stream=stream).generate("hi", **WRONG[api])
        assert wrong.outcome == "http_4xx"
        assert wrong.error is not None
        assert "is -9: it must be at least " in wrong.error
        other = ask(api, stream=stream, model="gpt-9").generate("hi")
        assert other.status == (200 if api == "tgi" else 404), "TGI has one model, which nobody names"


@pytest.mark.parametrize("api", ["ollama-generate", "ollama-chat"])
def test_ollama_loads_its_model_for_an_empty_prompt(ask: Callable[..., Endpoint], api: str) -> None:
    """A sound answer without a word, which is no answer."""
    prompt: Any = [] if api == "ollama-chat" else ""
    reply = ask(api).generate(prompt)
    assert (reply.outcome, reply.error) == (
        "malformed",
        "empty answer: status 200 with no text, reasoning or tool call, finish_reason 'load'",
    )


@every_api
def test_a_load_is_measured(url: str, tmp_path: Path, api: str) -> None:
    """As any other, whichever way its answers come."""
    plan = LoadPlan(users=4, requests=20, salt="5eed0000")
    with LoadRun(spoken(url, api), plan, ["Say it."], tmp_path / "run") as run:
        run.start()
        run.wait()
        result = run.result()
    assert (len(result.ok), result.error_rate) == (20, 0.0)
    assert {record.tokens_from for record in result.requests} == {"usage" if api in COUNTED else "estimated"}
    assert all(len(record.token_ns) == 3 for record in result.requests)
    taken_ns = [record.end_ns - record.sent_ns for record in result.requests if record.end_ns is not None]
    assert min(taken_ns) >= 4e6, "two gaps of 2 ms are planted, and a server that is late makes none shorter"

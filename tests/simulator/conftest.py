"""What faults are given: requests and streamed answers, written out."""

from __future__ import annotations

import importlib
import json

import pytest

from pytest_llmserve.simulator.faults import FAULTS
from pytest_llmserve.simulator.faults.fault import Asked, Part, Stream


def fault_of(name, **keys):
    module, _, cls = FAULTS[name].partition(":")
    return getattr(importlib.import_module(module), cls)(**keys)


def asked_of(number=1, prompt="Hello", **changes):
    body = {"model": "m", "messages": [{"role": "user", "content": prompt}], "stream": True}
    raw = json.dumps(body).encode()
    told = {"since_s": 0.0, "face": "openai-chat", "body": body, "raw": raw, "system": "", "stream": True}
    return Asked(**{**told, "number": number, "prompt": prompt, "active": 1, "text": "one two", **changes})


def chat_event(text=None, finish=None, **more):
    delta = {} if text is None else {"content": text}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({"id": "1", "choices": choices, **more}).encode() + b"\n\n"


def chat_stream(*texts):
    """A role chunk at once, a token every 10 ms from 20 ms on, finish_reason, usage, [DONE]."""
    parts = [Part(0.0, chat_event(""))]
    parts += [Part(20.0 + 10 * at, chat_event(text), 1) for at, text in enumerate(texts)]
    last = parts[-1].due_ms
    usage = b'data: {"id": "1", "choices": [], "usage": {"completion_tokens": 4}}\n\n'
    return Stream(
        [*parts, Part(last, chat_event(finish="stop")), Part(last, usage), Part(last, b"data: [DONE]\n\n")]
    )


def ollama_stream(*texts):
    lines = [{"model": "m", "response": text, "done": False} for text in texts]
    lines.append(
        {"model": "m", "response": "", "done": True, "done_reason": "stop", "eval_count": len(texts)}
    )
    data = [json.dumps(line).encode() + b"\n" for line in lines]
    return Stream([Part(10.0 * at, line, int(at < len(texts))) for at, line in enumerate(data)])


def gradio_stream(*texts):
    """An event every 10 ms, each with all of the text so far, and once more at the end."""
    said = ["".join(texts[: at + 1]) for at in range(len(texts))]
    parts = [Part(10.0 * at, gradio_event("generating", text), 1) for at, text in enumerate(said)]
    return Stream([*parts, Part(parts[-1].due_ms, gradio_event("complete", said[-1]))])


def gradio_event(name, text):
    return f"event: {name}\ndata: {json.dumps([text])}\n\n".encode()


class Faults:
    """What tests of faults call."""

    make = staticmethod(fault_of)
    asked = staticmethod(asked_of)
    chat = staticmethod(chat_stream)
    ollama = staticmethod(ollama_stream)
    gradio = staticmethod(gradio_stream)

    @staticmethod
    def hit(fault, requests, change):
        """The requests, of so many, of which `change(asked)` is true after `fault` saw them."""
        found = []
        for number in range(1, requests + 1):
            request = asked_of(number)
            fault.asked(request)
            found += [number] if change(request) else []
        return found

    @staticmethod
    def changed(fault, stream, number=1, **changes):
        """The stream after `fault` saw it, its parts as texts."""
        fault.streamed(asked_of(number, **changes), stream)
        return [part.data.decode() for part in stream.parts]


@pytest.fixture
def faults():
    return Faults

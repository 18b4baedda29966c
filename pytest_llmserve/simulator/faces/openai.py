"""What OpenAI's two APIs have in common. Fields and bounds: platform.openai.com, and vLLM's own ones."""

from __future__ import annotations

from typing import Any

from pytest_llmserve.simulator import wire
from pytest_llmserve.simulator.faces.face import Answer
from pytest_llmserve.simulator.fields import (
    OBJECT,
    TEXT,
    TRUTH,
    Check,
    Number,
    Refused,
    Texts,
    check_fields,
    shown,
    stop_texts,
)

MOST_TOKENS = Number(1, 2**31 - 1, whole=True)

FIELDS: dict[str, Check] = {
    "model": TEXT,
    "max_tokens": MOST_TOKENS,
    "temperature": Number(0, 2),
    "top_p": Number(0, 1, above=True),
    "top_k": Number(-1, 2**31 - 1, whole=True),
    "min_p": Number(0, 1),
    "n": Number(1, 1, whole=True),
    "seed": Number(-(2**63), 2**63 - 1, whole=True),
    "stop": Texts(),
    "presence_penalty": Number(-2, 2),
    "frequency_penalty": Number(-2, 2),
    "repetition_penalty": Number(0, above=True),
    "logit_bias": OBJECT,
    "user": TEXT,
    "ignore_eos": TRUTH,
    "stream": TRUTH,
    "stream_options": OBJECT,
}


def read_common(body: dict[str, Any], fields: dict[str, Check], model: str) -> dict[str, Any]:
    """Check a body; return what of it is common to `Question`s.

    Raises:
        Refused: 404 for another model, else 400.
    """
    check_fields(body, fields)
    if body.get("model") not in (None, model):
        raise Refused(f"the model {shown(body['model'])} does not exist: there is {model!r} only", 404)
    for token, bias in (body.get("logit_bias") or {}).items():
        Number(-100, 100)(f"logit_bias[{shown(token)}]", bias)
    options = body.get("stream_options")
    if options is not None:
        if not body.get("stream"):
            raise Refused("stream_options is only for a request with stream: true")
        check_fields(options, {"include_usage": TRUTH}, "stream_options.")
    most = body.get("max_completion_tokens")
    return {
        "most_tokens": body.get("max_tokens") if most is None else most,
        "full": bool(body.get("ignore_eos")),
        "stop": stop_texts(body.get("stop")),
        "stream": bool(body.get("stream")),
        "include_usage": bool(options and options.get("include_usage")),
    }


def envelope(answer: Answer, kind: str, prefix: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    """What stands around the choices."""
    return {
        "id": f"{prefix}-{answer.number}",
        "object": kind,
        "created": int(answer.created_s),
        "model": answer.model,
        "choices": choices,
    }


def usage(answer: Answer) -> dict[str, int]:
    """Token counts."""
    said = len(answer.tokens)
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": said,
        "total_tokens": answer.prompt_tokens + said,
    }


def event(value: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + wire.as_json(value) + b"\n\n"


DONE = b"data: [DONE]\n\n"


def error(message: str, status: int) -> bytes:
    """An error as OpenAI's API words it."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return wire.error_body(message, status, kind)

"""What the mock server says and when: lists of timed pieces, and the faults that change such a list. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from typing import Any

import mock_leaks

from pytest_llmserve.simulator import wire

WORDS = ("red", "green", "blue", "amber", "violet", "teal", "ochre", "indigo")
CREATED = 1700000000
APIS = {"/v1/chat/completions": "chat", "/v1/completions": "completions", "/generate": "generate"}
KNOWN_FIELDS = {"model", "messages", "prompt", "stream", "max_tokens", "max_completion_tokens", "temperature"}
NONCE = re.compile(r"\[([0-9a-f]{8,})\]")


def option(default: Any, help_text: str, **more: Any) -> Any:
    return field(default=default, metadata={"help": help_text, **more})


@dataclass(frozen=True)
class Behaviour:
    """The options of the command line, one a field. Each fault is off by default, and they combine.

    A request is counted when it asks for an answer; /health and /v1/models are not.
    """

    model: str = option("mock", "name in /v1/models")
    ttft_ms: float = option(5.0, "from the full request to the first token")
    itl_ms: float = option(1.0, "from token to token")
    tokens: int = option(8, "tokens of an answer; a request's max_tokens may ask for fewer")
    tokens_per_chunk: int = option(1, "tokens in one event")
    framing: str = option("chunked", "how a body is delimited", choices=wire.FRAMINGS)
    healthy_first: int = option(0, "the first N requests are spared every fault of an answer")
    loading_s: float = option(0.0, "503 for everything in the first S seconds")
    fail_status: int = option(0, "status of failures; alone: of every answer")
    fail_first: int = option(0, "the first N requests fail")
    fail_every: int = option(0, "each Nth request fails")
    reject_unknown: bool = option(False, "400 for a field such as stream_options")
    spread: float = option(0.0, "sigma of a lognormal law; --ttft-ms is its median")
    seed: int = option(0, "of that law")
    slow_every: int = option(0, "each Nth request waits --slow-ms longer for its first token")
    slow_ms: float = option(1000.0, "how much longer")
    hang: bool = option(False, "read the request, never answer")
    hang_after_headers: bool = option(False, "send the headers, then nothing")
    truncate_after: int = option(-1, "close after K token chunks (an unstreamed body: half-way)")
    error_in_stream: int = option(-1, "an error event after K token chunks, inside the 200")
    empty_answer: bool = option(False, "a 200 without a single token")
    no_done: bool = option(False, "leave out data: [DONE]")
    no_usage: bool = option(False, "never tell token counts")
    crlf: bool = option(False, "CRLF line ends in the event stream")
    close_after_answer: bool = option(False, "close after a streamed answer, keep-alive promised")
    close_idle_ms: float = option(0.0, "close a kept connection that is idle for so long")
    refuse_after: int = option(0, "accept no connection after N requests")
    die_after: int = option(0, "kill -9 of itself after N answers")
    slots: int = option(0, "answer so many requests at a time; the others wait, and their time with them")
    repeat_mark: bool = option(False, "an answer begins with the last mark of its prompt")
    swap_every: int = option(0, "with --repeat-mark: each Nth begins with the mark of the request before it")
    say: str = option("", "written to stderr as a line, and the request answered as ever")
    say_every: int = option(0, "by each Nth request")
    leak_kb: int = option(0, "kilobytes kept for ever at each request; of files and threads any number: one")
    leak_where: str = option("own", "what is kept, and where", choices=tuple(mock_leaks.KINDS))
    leak_freed: bool = option(False, "what --leak-kb keeps is given back at once")


def arguments() -> list[tuple[str, dict[str, Any]]]:
    """Name and keywords of each option, for argparse."""
    found = []
    for item in fields(Behaviour):
        more: dict[str, Any] = {"default": item.default, "help": item.metadata["help"]}
        if item.type == "bool":
            more["action"] = "store_true"
        else:
            more["type"] = {"int": int, "float": float, "str": str}[str(item.type)]
            more["choices"] = item.metadata.get("choices")
        found.append(("--" + item.name.replace("_", "-"), more))
    return found


@dataclass(frozen=True)
class Piece:
    """A part of a body, due so long after the request was received."""

    due_ms: float
    data: bytes
    tokens: int = 0


@dataclass(frozen=True)
class Question:
    """What a request asks for."""

    api: str
    stream: bool
    include_usage: bool
    tokens: int
    finish_reason: str
    nonce: str | None
    begins: str = ""


def fault_in(behaviour: Behaviour, api: str, body: Any) -> str | None:
    """Why a request is a 400, or None."""
    if not isinstance(body, dict):
        return "the body is not a JSON object"
    needed, kind = ("messages", list) if api == "chat" else ("prompt", str)
    if not isinstance(body.get(needed), kind):
        return f"'{needed}' is required"
    if not isinstance(_wanted(behaviour, body), int) or _wanted(behaviour, body) < 1:
        return "max_tokens is not a positive number"
    unknown = sorted(set(body) - KNOWN_FIELDS)
    if behaviour.reject_unknown and unknown:
        return f"unknown field '{unknown[0]}'"
    return None


def question(behaviour: Behaviour, api: str, body: dict[str, Any]) -> Question:
    """Read a request's body that `fault_in` found none in."""
    wanted = _wanted(behaviour, body)
    tokens = 0 if behaviour.empty_answer else min(wanted, behaviour.tokens)
    marks = NONCE.findall(str(body.get("messages", body.get("prompt"))))
    return Question(
        api=api,
        stream=bool(body.get("stream")) and api != "generate",
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        tokens=tokens,
        finish_reason="length" if wanted < behaviour.tokens else "stop",
        nonce=marks[0] if marks else None,
        begins=f"{marks[-1]} " if behaviour.repeat_mark and marks else "",
    )


def _wanted(behaviour: Behaviour, body: dict[str, Any]) -> Any:
    return body.get("max_completion_tokens", body.get("max_tokens", behaviour.tokens))


def words(first: int, count: int) -> str:
    """Tokens first, first+1, ... as text; an answer streamed and unstreamed reads the same."""
    return "".join(WORDS[i % len(WORDS)] + " " for i in range(first, first + count))


def usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": 7 + tokens}


def whole(behaviour: Behaviour, asked: Question) -> Piece:
    """The unstreamed answer, sent when its last token would have been."""
    due_ms = behaviour.ttft_ms + max(0, asked.tokens - 1) * behaviour.itl_ms
    text = asked.begins + words(0, asked.tokens)
    if asked.api == "generate":
        return Piece(due_ms, wire.as_json({"response": text}), asked.tokens)
    choice: dict[str, Any] = {"index": 0, "finish_reason": asked.finish_reason}
    if asked.api == "chat":
        choice["message"] = {"role": "assistant", "content": text}
    else:
        choice["text"] = text
    body = {**_envelope(behaviour, asked, ""), "choices": [choice]}
    if not behaviour.no_usage:
        body["usage"] = usage(asked.tokens)
    return Piece(due_ms, wire.as_json(body), asked.tokens)


def streamed(behaviour: Behaviour, asked: Question) -> list[Piece]:
    """The events of a sound answer: role at once, tokens by the timing law, the rest with the last."""
    step = behaviour.tokens_per_chunk
    pieces = [Piece(0.0, _event(behaviour, asked, "", role=True))] if asked.api == "chat" else []
    due_ms = behaviour.ttft_ms
    for first in range(0, asked.tokens, step):
        due_ms = behaviour.ttft_ms + first * behaviour.itl_ms
        count = min(step, asked.tokens - first)
        text = words(first, count) if first else asked.begins + words(first, count)
        pieces.append(Piece(due_ms, _event(behaviour, asked, text), count))
    pieces.append(Piece(due_ms, _event(behaviour, asked, "", finish=asked.finish_reason)))
    if asked.include_usage and not behaviour.no_usage:
        body = {**_envelope(behaviour, asked, ".chunk"), "choices": [], "usage": usage(asked.tokens)}
        pieces.append(Piece(due_ms, _data(wire.as_json(body))))
    if not behaviour.no_done:
        pieces.append(Piece(due_ms, _data(b"[DONE]")))
    return pieces


def spoiled(behaviour: Behaviour, pieces: list[Piece]) -> tuple[list[Piece], bool]:
    """The events after the faults of a stream, and whether the connection is cut at their end."""
    cut = False
    if behaviour.error_in_stream >= 0:
        kept = _up_to(pieces, behaviour.error_in_stream)
        error = _data(wire.error_body("planted error in the stream", 500))
        pieces = [*kept, Piece(kept[-1].due_ms if kept else behaviour.ttft_ms, error)]
    if behaviour.truncate_after >= 0:
        pieces, cut = _up_to(pieces, behaviour.truncate_after), True
    if behaviour.crlf:
        pieces = [replace(piece, data=piece.data.replace(b"\n", b"\r\n")) for piece in pieces]
    return pieces, cut


def _up_to(pieces: list[Piece], chunks: int) -> list[Piece]:
    """The pieces up to the given number of token chunks; 0 keeps what comes before the first."""
    kept: list[Piece] = []
    seen = 0
    for piece in pieces:
        if seen == chunks and (chunks or piece.tokens):
            break
        kept.append(piece)
        seen += bool(piece.tokens)
    return kept


def _envelope(behaviour: Behaviour, asked: Question, suffix: str) -> dict[str, Any]:
    kind = "chat.completion" + suffix if asked.api == "chat" else "text_completion"
    return {"id": "mock-1", "object": kind, "created": CREATED, "model": behaviour.model}


def _event(
    behaviour: Behaviour, asked: Question, text: str, *, role: bool = False, finish: str | None = None
) -> bytes:
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
    if asked.api == "chat":
        choice["delta"] = {} if finish else {"content": text}
        if role:
            choice["delta"]["role"] = "assistant"
    else:
        choice["text"] = text
    return _data(wire.as_json({**_envelope(behaviour, asked, ".chunk"), "choices": [choice]}))


def _data(payload: bytes) -> bytes:
    return b"data: " + payload + b"\n\n"

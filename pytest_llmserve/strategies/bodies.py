"""Bodies of requests that no client should send."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.strategies.damage import KINDS
from pytest_llmserve.strategies.json_text import written

_HI = "Say hi."
_MESSAGE = {"role": "user", "content": _HI}

VALID: dict[str, dict[str, Any]] = {
    "openai-chat": {"model": "", "messages": [_MESSAGE], "max_tokens": 1},
    "openai-completions": {"model": "", "prompt": _HI, "max_tokens": 1},
    "ollama-generate": {"model": "", "prompt": _HI, "stream": False, "options": {"num_predict": 1}},
    "ollama-chat": {"model": "", "messages": [_MESSAGE], "stream": False, "options": {"num_predict": 1}},
    "tgi": {"inputs": _HI, "parameters": {"details": True, "max_new_tokens": 1}},
    "kserve": {"text_input": _HI, "parameters": {"max_tokens": 1}},
    "openai-responses": {"model": "", "input": _HI, "max_output_tokens": 1},
    "anthropic-messages": {"model": "", "messages": [_MESSAGE], "max_tokens": 1},
    "gradio": {"data": [_HI]},
    "json": {"prompt": _HI},
}
"""API -> a body it takes, as small as it can be; an empty model is filled in or left out."""

_IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
_TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "nonsense"}}}

WRONG: dict[str, tuple[dict[str, Any], ...]] = {
    "openai-chat": (
        {"messages": [{"role": "wizard", "content": _HI}]},
        {"messages": [{"role": "assistant", "content": _HI}]},
        {"messages": [{"role": "system", "content": _HI}] * 3},
        {"messages": [{"role": "tool", "content": _HI}]},
        {"messages": [{"role": "assistant", "tool_calls": [{}]}, _MESSAGE]},
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
        {"messages": [{"role": "user", "content": [_IMAGE]}]},
        {"messages": [{"role": "user", "content": [{**_IMAGE, "image_url": {"url": "file:///etc/passwd"}}]}]},
        {"tools": [{}]},
        {"tools": [_TOOL]},
        {"tools": [_TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        {"tool_choice": "required"},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"$ref": "#"}}}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": {"pattern": "("}},
            }
        },
        {"response_format": {"type": "wizard"}},
        {"stream_options": {"include_usage": True}},
        {"logprobs": False, "top_logprobs": 5},
        {"chat_template": "{{ 1/0 }}"},
    ),
    "openai-completions": (
        {"prompt": []},
        {"prompt": [""]},
        {"prompt": [[]]},
        {"prompt": [-1]},
        {"prompt": [999_999_999]},
        {"prompt": [2**63]},
        {"prompt": [1.5]},
        {"prompt": ["a", 1]},
        {"prompt": ["a"] * 1000},
        {"echo": True, "logprobs": -1},
        {"suffix": 5},
        {"best_of": 0, "n": 2},
        {"grammar": "root ::= root"},
        {"stream_options": {"include_usage": True}},
    ),
    "ollama-generate": (
        {"prompt": [_HI]},
        {"model": 5},
        {"model": "../../etc/passwd"},
        {"options": {"num_predict": "many"}},
        {"options": {"num_ctx": -1}},
        {"options": {"temperature": "hot"}},
        {"options": {"stop": 5}},
        {"options": []},
        {"stream": "yes"},
        {"images": ["not base64!"]},
        {"images": [_HI]},
        {"format": "wizard"},
        {"format": {"type": "object", "properties": {"a": {"$ref": "#"}}}},
        {"keep_alive": "forever"},
        {"template": "{{ .Nothing"},
        {"raw": True, "template": "{{ .Prompt }}"},
        {"context": [-1]},
        {"suffix": 5},
    ),
    "ollama-chat": (
        {"messages": [{"role": "wizard", "content": _HI}]},
        {"messages": [{"role": "user", "content": [_HI]}]},
        {"messages": [{"role": "tool", "content": _HI}]},
        {"messages": [{"role": "user", "content": _HI, "images": ["not base64!"]}]},
        {"messages": [{"role": "assistant", "content": "", "tool_calls": [{}]}, _MESSAGE]},
        {"messages": _HI},
        {"tools": [{}]},
        {"tools": [_TOOL]},
        {"think": "wizardly"},
        {"options": {"num_predict": "many"}},
        {"options": {"temperature": "hot"}},
        {"format": "wizard"},
        {"keep_alive": "forever"},
        {"stream": "yes"},
    ),
    "tgi": (
        {"inputs": [_HI]},
        {"inputs": None},
        {"parameters": {"max_new_tokens": 0}},
        {"parameters": {"max_new_tokens": -1}},
        {"parameters": {"max_new_tokens": 2**31}},
        {"parameters": {"temperature": 0}},
        {"parameters": {"top_p": 1}},
        {"parameters": {"top_k": 0}},
        {"parameters": {"truncate": 0}},
        {"parameters": {"best_of": 2, "do_sample": False}},
        {"parameters": {"stop": ["a"] * 100}},
        {"parameters": {"repetition_penalty": 0}},
        {"parameters": {"grammar": {"type": "regex", "value": "("}}},
        {"parameters": {"grammar": {"type": "json", "value": {"$ref": "#"}}}},
        {"parameters": {"adapter_id": "../../etc/passwd"}},
        {"parameters": []},
    ),
    "kserve": (
        {"text_input": [_HI]},
        {"text_input": None},
        {"text_input": ["a"] * 1000},
        {"parameters": []},
        {"parameters": {"max_tokens": -1}},
        {"parameters": {"max_tokens": "many"}},
        {"parameters": {"temperature": "hot"}},
        {"parameters": {"top_p": 5}},
        {"parameters": {"stop": {"a": 1}}},
        {"parameters": {"stream": "yes"}},
        {"parameters": {"nested": {"deep": [1]}}},
        {"id": 5},
    ),
    "openai-responses": (
        {"input": []},
        {"input": [""]},
        {"input": [{"type": "wizard"}]},
        {"input": [{"role": "wizard", "content": _HI}]},
        {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
        {"input": [{"role": "user", "content": [{"type": "output_text", "text": _HI}]}]},
        {"input": [{"type": "function_call_output", "call_id": "none", "output": ""}]},
        {"input": [{"type": "item_reference", "id": "none"}]},
        {"instructions": {"role": "system"}},
        {"max_output_tokens": -1},
        {"previous_response_id": "none"},
        {"previous_response_id": "none", "conversation": "none"},
        {"background": True, "store": False},
        {"reasoning": {"effort": "wizard"}},
        {"text": {"format": {"type": "json_schema"}}},
        {"tools": [{}]},
        {"tools": [{"type": "function", "name": "f", "parameters": {"type": "nonsense"}}]},
        {"tool_choice": "required"},
        {"truncation": "wizard"},
    ),
    "anthropic-messages": (
        {"messages": [{"role": "system", "content": _HI}]},
        {"messages": [{"role": "wizard", "content": _HI}]},
        {"messages": [{"role": "assistant", "content": _HI}]},
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "none"}]}]},
        {"messages": [{"role": "assistant", "content": [{"type": "thinking", "thinking": _HI}]}, _MESSAGE]},
        {"system": [{"type": "wizard"}]},
        {"system": {"role": "system"}},
        {"max_tokens": 0},
        {"stop_sequences": [""]},
        {"stop_sequences": "x"},
        {"thinking": {"type": "enabled"}},
        {"thinking": {"type": "enabled", "budget_tokens": 999_999}},
        {"tools": [{}]},
        {"tools": [{"name": "f", "input_schema": {"type": "nonsense"}}]},
        {"tool_choice": {"type": "tool", "name": "g"}},
    ),
    "gradio": (
        {"data": []},
        {"data": [[]]},
        {"data": [_HI] * 50},
        {"data": {"prompt": _HI}},
        {"data": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}]},
        {"data": [{"__type__": "update", "value": 1}]},
        {"fn_index": -1},
        {"trigger_id": "x"},
        {"session_hash": ""},
        {"event_data": []},
        {"batched": True},
    ),
    "json": ({"prompt": [""]}, {"prompt": {"text": _HI}}, {"stream": "yes"}, {"n": 0}),
}
"""API -> what is put into its valid body to make it one that means nothing."""


def malformed_bodies(
    api: str | None = None, *, model: str | None = None, valid: Mapping[str, Any] | None = None
) -> st.SearchStrategy[bytes]:
    """Bodies for `llm_endpoint.send` that are not what the API asks for.

    Wrong types, missing fields, NaN and huge numbers, deep nesting, duplicate keys, bad UTF-8 and other
    encodings, JSON cut off, no JSON at all, wrong content, and a `WrongLength`, whose Content-Length lies
    where `send` or `survives` sends it. A lenient server may answer some of them.

    Args:
        api: name of the API, as `llm_endpoint.api`; None = those of all APIs, and what is right for one
            is wrong for another.
        model: name put into the bodies of APIs that have a place for it; a server that looks for its model
            first would otherwise refuse every body for that alone.
        valid: a body that your server takes, in place of the API's: the ones drawn are made from it.

    Raises:
        SetupError: no body of that API is known and none is given.
    """
    if valid is not None:
        if not valid:
            raise SetupError(
                "malformed_bodies: valid={} has no field to break; give a body that the server takes"
            )
        return _broken(dict(valid), ())
    if api is None:
        return st.sampled_from(tuple(VALID)).flatmap(lambda name: malformed_bodies(name, model=model))
    if api not in VALID:
        raise SetupError(_unknown(api))
    body = dict(VALID[api])
    if "model" in body:
        body = {**body, "model": model} if model else {k: v for k, v in body.items() if k != "model"}
    return _broken(body, WRONG.get(api, ()))


def _broken(body: dict[str, Any], wrong: tuple[dict[str, Any], ...]) -> st.SearchStrategy[bytes]:
    kinds = [damage(body) for damage in KINDS.values()]
    if wrong:
        kinds.append(st.sampled_from([written({**body, **fields}) for fields in wrong]))
    return st.one_of(kinds)


def _unknown(api: str) -> str:
    near = difflib.get_close_matches(api, VALID, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return (
        f"malformed_bodies: no body of the API {api!r} is known; {hint}known: {', '.join(VALID)}; "
        'or give one that your server takes: valid={"prompt": "Say hi."}'
    )

"""Parts of a request that every dialect writes the same way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import Dialect, HttpRequest, Prompt
from pytest_llmserve.domain.target import Target


def json_body(value: Any) -> bytes:
    """JSON in UTF-8. NaN and infinities are written as they are, so that servers can be tried with them.

    Raises:
        SetupError: something in it is no JSON value.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8; JSON has an escape for it
        return json.dumps(value, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise SetupError(f"the request cannot be written as JSON: {error}") from None


def json_headers(accept: str) -> tuple[tuple[str, str], ...]:
    """The headers of a JSON request."""
    return (("Content-Type", "application/json"), ("Accept", accept))


def event_headers(stream: bool) -> tuple[tuple[str, str], ...]:
    """The headers of a JSON request that is answered with events where it asks for a stream."""
    return json_headers("text/event-stream, application/json" if stream else "application/json")


def messages(prompt: Prompt) -> list[dict[str, Any]]:
    """A prompt as chat messages: a text is one message of the user."""
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt


def prompt_text(prompt: Prompt) -> str:
    """A prompt as one text: the contents of the messages, a line each."""
    if isinstance(prompt, str):
        return prompt
    return "\n".join(content_text(message.get("content")) for message in prompt)


def content_text(content: Any) -> str:
    """The text of a message's content: a text, or a list of parts of which the text parts count."""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def limited(name: str | None, tokens: Any) -> dict[str, Any]:
    """The parameters that limit an answer to so many tokens, for a field of `Dialect.limit_names`.

    Example: "options.num_predict" gives {"options": {"num_predict": 4}}; None gives {}.
    """
    if name is None:
        return {}
    value: Any = tokens
    for step in reversed(name.split(".")):
        value = {step: value}
    return dict(value)


def asked(spoken: Dialect, target: Target, prompt: Prompt, params: Mapping[str, Any]) -> HttpRequest:
    """A prompt as a request, with `max_tokens` written as the field that this server was seen to take.

    So one test runs against servers that name it otherwise, some of which pass over what they do not know.
    A parameter that names the field itself goes before.

    Raises:
        SetupError: the request cannot be built.
    """
    name = target.limit_name
    if name not in {None, "max_tokens"} and "max_tokens" in params:
        rest = {key: value for key, value in params.items() if key != "max_tokens"}
        params = merged(limited(name, params["max_tokens"]), rest)
    return spoken.encode(target, prompt, params)


def merged(body: dict[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """A body with the user's parameters over its own; where both have an object, the keys of both."""
    found = {**body, **params}
    for key in body.keys() & params.keys():
        if isinstance(body[key], Mapping) and isinstance(params[key], Mapping):
            found[key] = {**body[key], **params[key]}
    return found


def path_to(path: str, endpoint: str, neighbours: tuple[str, ...] = ()) -> str:
    """The path to send to, out of the path of the user's URL.

    A prefix gets the endpoint behind it, a path that ends with it stays, and one that ends with
    another endpoint of the same API gives its neighbour. All begin with "/".
    """
    for known in (endpoint, *neighbours):
        if path.endswith(known):
            return path.removesuffix(known) + endpoint
    return path + endpoint

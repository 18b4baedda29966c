"""`ollama-generate`: POST /api/generate, streamed as lines of JSON or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_llmserve.dialects.encoding import prompt_text
from pytest_llmserve.dialects.ollama import GENERATE, LIMIT_NAMES, LinesReader, ollama_request
from pytest_llmserve.dialects.plain import Read
from pytest_llmserve.domain.exchange import HttpRequest, Prompt
from pytest_llmserve.domain.target import Target

_SYSTEM = ("system", "developer")


class OllamaGenerate(Read):
    """One prompt to a model of Ollama, put into the model's own template there."""

    name = "ollama-generate"
    limit_names: tuple[str, ...] = LIMIT_NAMES
    asks_usage = False

    def encode(self, target: Target, prompt: Prompt, params: Mapping[str, Any]) -> HttpRequest:
        """Turn a prompt into a request; `params` go into the body as they are.

        Of chat messages the system's are the field `system`; the contents of all others are the
        prompt, a line each, and their `images` go along.

        Raises:
            SetupError: no model is known, or a parameter is no JSON value.
        """
        return ollama_request(target, GENERATE, _fields(prompt), params)

    def reader(self) -> LinesReader:
        """Of one answer."""
        return LinesReader()


def _fields(prompt: Prompt) -> dict[str, Any]:
    if isinstance(prompt, str):
        return {"prompt": prompt}
    system = [message for message in prompt if message.get("role") in _SYSTEM]
    others = [message for message in prompt if message.get("role") not in _SYSTEM]
    fields: dict[str, Any] = {"prompt": prompt_text(others)}
    if system:
        fields["system"] = prompt_text(system)
    images = [image for message in others for image in message.get("images") or ()]
    if images:
        fields["images"] = images
    return fields

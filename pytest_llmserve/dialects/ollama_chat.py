"""`ollama-chat`: POST /api/chat, streamed as lines of JSON or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_llmserve.dialects.encoding import messages
from pytest_llmserve.dialects.ollama import CHAT, LIMIT_NAMES, LinesReader, ollama_request
from pytest_llmserve.dialects.plain import Read
from pytest_llmserve.domain.exchange import HttpRequest, Prompt
from pytest_llmserve.domain.target import Target


class OllamaChat(Read):
    """A chat with a model of Ollama."""

    name = "ollama-chat"
    limit_names: tuple[str, ...] = LIMIT_NAMES
    asks_usage = False

    def encode(self, target: Target, prompt: Prompt, params: Mapping[str, Any]) -> HttpRequest:
        """Turn a prompt into a request; messages and `params` go into the body as they are.

        Raises:
            SetupError: no model is known, or a parameter is no JSON value.
        """
        return ollama_request(target, CHAT, {"messages": messages(prompt)}, params)

    def reader(self) -> LinesReader:
        """Of one answer."""
        return LinesReader()

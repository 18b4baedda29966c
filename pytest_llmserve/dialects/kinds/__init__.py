"""The kinds of servers that `auto` knows: each is one file with its signs, and one row of the table."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from pytest_llmserve.dialects.known_paths import Place
from pytest_llmserve.dialects.probing import Asking, Detecting

KINDS: dict[str, str] = {
    "openai": "pytest_llmserve.dialects.kinds.openai_server:detect",
    "ollama": "pytest_llmserve.dialects.kinds.ollama_server:detect",
    "tgi": "pytest_llmserve.dialects.kinds.tgi_server:detect",
    "kserve": "pytest_llmserve.dialects.kinds.kserve_server:detect",
    "gradio": "pytest_llmserve.dialects.kinds.gradio_server:detect",
    "openapi": "pytest_llmserve.dialects.kinds.openapi_server:detect",
}
"""Name -> the function that looks for its signs below a prefix. The order is that of asking: the commonest
first, and those that a plain web server may look like last."""

DIALECT_KINDS: dict[str, str] = {
    "openai-chat": "openai",
    "openai-completions": "openai",
    "openai-responses": "openai",
    "anthropic-messages": "openai",
    "ollama-generate": "ollama",
    "ollama-chat": "ollama",
    "tgi": "tgi",
    "kserve": "kserve",
    "gradio": "gradio",
}
"""Dialect -> the kind that knows where its models, or its functions, are listed."""

Detect = Callable[[Asking, Place], Detecting]
"""Takes where to ask."""


def kind(name: str) -> Detect:
    """Import the function of that kind."""
    module, _, function = KINDS[name].partition(":")
    found: Detect = getattr(import_module(module), function)
    return found

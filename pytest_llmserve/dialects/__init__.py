"""How each API speaks: requests to bytes, bytes to answers. No socket, no clock."""

from __future__ import annotations

import difflib
from importlib import import_module

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import Dialect

DIALECTS: dict[str, str] = {
    "openai-chat": "pytest_llmserve.dialects.openai_chat:OpenAIChat",
    "openai-completions": "pytest_llmserve.dialects.openai_completions:OpenAICompletions",
    "ollama-generate": "pytest_llmserve.dialects.ollama_generate:OllamaGenerate",
    "ollama-chat": "pytest_llmserve.dialects.ollama_chat:OllamaChat",
    "tgi": "pytest_llmserve.dialects.tgi:Tgi",
    "kserve": "pytest_llmserve.dialects.kserve:KServe",
    "openai-responses": "pytest_llmserve.dialects.openai_responses:OpenAIResponses",
    "anthropic-messages": "pytest_llmserve.dialects.anthropic_messages:AnthropicMessages",
    "gradio": "pytest_llmserve.dialects.gradio:Gradio",
    "json": "pytest_llmserve.dialects.json_generic:GenericJson",
}
"""Name for `--llm-api` -> where its class lies. A new dialect is one file and one row."""

DESCRIBED = ("json", "gradio")
"""Those whose requests and answers the user describes: `--llm-json-request`, `--llm-json-answer`."""


def dialect(name: str) -> Dialect:
    """Import and make the dialect of that name.

    Raises:
        SetupError: no such dialect; the text lists the known ones.
    """
    if name not in DIALECTS:
        near = difflib.get_close_matches(name, DIALECTS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise SetupError(f"--llm-api: no API {name!r}; {hint}known: auto, {', '.join(DIALECTS)}")
    module, _, cls = DIALECTS[name].partition(":")
    made: Dialect = getattr(import_module(module), cls)()
    return made

"""The APIs that the simulator speaks: each is one file and one row of the table."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from pytest_llmserve.simulator.faces.face import Face, TwoPaths

FACES: dict[str, str] = {
    "openai-chat": "pytest_llmserve.simulator.faces.openai_chat:OpenAIChat",
    "openai-completions": "pytest_llmserve.simulator.faces.openai_completions:OpenAICompletions",
    "openai-responses": "pytest_llmserve.simulator.faces.openai_responses:OpenAIResponses",
    "anthropic-messages": "pytest_llmserve.simulator.faces.anthropic_messages:AnthropicMessages",
    "ollama-generate": "pytest_llmserve.simulator.faces.ollama_generate:OllamaGenerate",
    "ollama-chat": "pytest_llmserve.simulator.faces.ollama_chat:OllamaChat",
    "tgi": "pytest_llmserve.simulator.faces.tgi:Tgi",
    "kserve": "pytest_llmserve.simulator.faces.kserve:KServe",
    "gradio": "pytest_llmserve.simulator.faces.gradio:Gradio",
    "gradio-run": "pytest_llmserve.simulator.faces.gradio:GradioRun",
    "json": "pytest_llmserve.simulator.faces.json_generic:GenericJson",
}
"""Name for `--face` -> where its class lies. Of two at one path the later one is spoken there."""


def faces(names: Sequence[str]) -> list[Face]:
    """Import and make the faces of these names."""
    made = []
    for name in names:
        module, _, cls = FACES[name].partition(":")
        made.append(getattr(import_module(module), cls)())
    return made


def by_path(names: Sequence[str], model: str) -> dict[str, Face]:
    """The faces of these names by the paths of their POSTs."""
    made: dict[str, Face] = {}
    for face in faces(names):
        for each in (face, face.streamed()) if isinstance(face, TwoPaths) else (face,):
            made[each.path.replace("{model}", model)] = each
    return made

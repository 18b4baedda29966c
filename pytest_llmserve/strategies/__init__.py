"""Hypothesis strategies for inputs that break model servers.

Everything public lies here: ``from pytest_llmserve.strategies import hostile_prompts``. A name is imported
when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_llmserve.strategies.bodies import malformed_bodies
    from pytest_llmserve.strategies.empty import empty_prompts
    from pytest_llmserve.strategies.hostile import hostile_prompts
    from pytest_llmserve.strategies.kinds import (
        HostilePrompt,
        MalformedBody,
        SamplingParams,
        WrongSamplingParams,
    )
    from pytest_llmserve.strategies.lengths import WrongLength
    from pytest_llmserve.strategies.markup import markup_prompts
    from pytest_llmserve.strategies.openapi import schema_of
    from pytest_llmserve.strategies.oversized import oversized_prompts
    from pytest_llmserve.strategies.plain import prompts
    from pytest_llmserve.strategies.sampling import sampling_params
    from pytest_llmserve.strategies.special import special_characters

__all__ = [
    "HostilePrompt",
    "MalformedBody",
    "SamplingParams",
    "WrongLength",
    "WrongSamplingParams",
    "empty_prompts",
    "hostile_prompts",
    "malformed_bodies",
    "markup_prompts",
    "oversized_prompts",
    "prompts",
    "sampling_params",
    "schema_of",
    "special_characters",
]

MODULES: dict[str, str] = {
    "HostilePrompt": "kinds",
    "MalformedBody": "kinds",
    "SamplingParams": "kinds",
    "WrongLength": "lengths",
    "WrongSamplingParams": "kinds",
    "empty_prompts": "empty",
    "hostile_prompts": "hostile",
    "malformed_bodies": "bodies",
    "markup_prompts": "markup",
    "oversized_prompts": "oversized",
    "prompts": "plain",
    "sampling_params": "sampling",
    "schema_of": "openapi",
    "special_characters": "special",
}
"""Public name -> the module of this room that has it."""


def __getattr__(name: str) -> Any:
    """Import the module that has this name."""
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{MODULES[name]}"), name)

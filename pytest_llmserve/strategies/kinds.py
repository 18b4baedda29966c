"""Types that hypothesis knows how to draw once this package is installed: ``@given(prompt=...)``."""

from __future__ import annotations

from typing import Any, NewType

HostilePrompt = NewType("HostilePrompt", str)
"""Drawn from `hostile_prompts()`."""

SamplingParams = NewType("SamplingParams", dict[str, Any])
"""Drawn from `sampling_params()`."""

WrongSamplingParams = NewType("WrongSamplingParams", dict[str, Any])
"""Drawn from `sampling_params(valid=False)`."""

MalformedBody = NewType("MalformedBody", bytes)
"""Drawn from `malformed_bodies()`."""

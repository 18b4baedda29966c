"""NUL characters that break it."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import Asked, Fault


@dataclass
class Error500OnNul(Fault):
    """A NUL character in a prompt is answered by 500 "embedded null byte", and no 400."""

    def asked(self, asked: Asked) -> None:
        if "\0" in asked.prompt + asked.system:
            asked.status, asked.error = 500, "Internal Server Error: embedded null byte"

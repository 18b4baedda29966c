"""What a simulator is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_llmserve.simulator import MODEL_NAME
from pytest_llmserve.simulator.faces import FACES
from pytest_llmserve.simulator.timing import TimingLaw

MIB = 1024 * 1024


@dataclass(frozen=True)
class Settings:
    """The options of the program.

    Attributes:
        tokens: of an answer that nobody cuts.
        slots: requests answered at the same time; the others wait. 0 = any number.
        context: tokens, of prompt and answer together.
        most_body_bytes: of a request.
        faces: the APIs that are spoken.
        seed: of the timing law, and of the faults that draw lots.
        patience_s: longest wait for the rest of a request.
    """

    model: str = MODEL_NAME
    law: TimingLaw = field(default_factory=TimingLaw)
    tokens: int = 16
    slots: int = 32
    context: int = 8192
    most_body_bytes: int = 64 * MIB
    faces: tuple[str, ...] = tuple(FACES)
    seed: int = 0
    patience_s: float = 5.0

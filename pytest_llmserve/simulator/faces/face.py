"""What an API is to the simulator: a path, questions from bodies, and answers to bytes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pytest_llmserve.simulator.faults.fault import Part
from pytest_llmserve.simulator.question import Question


@dataclass(frozen=True)
class Answer:
    """What is answered, and when.

    Attributes:
        number: of the request.
        created_s: seconds since 1970.
        dues_ms: when each token is due, after the slot was had.
        waited_ms: for the slot.
        finish: "stop", "length" or "load".
    """

    number: int
    model: str
    created_s: float
    tokens: list[str]
    dues_ms: list[float]
    waited_ms: float
    finish: str
    prompt_tokens: int

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.tokens)

    @property
    def last_ms(self) -> float:
        """When its last token is due; an answer without any is due at once."""
        return self.dues_ms[-1] if self.dues_ms else 0.0


class Face(Protocol):
    """An API. A new one is one file and one row of the table.

    Attributes:
        name: the row's.
        path: of the POST; "{model}" stands for the name of the model.
        stream_type: Content-Type of a streamed answer.
    """

    name: str
    path: str
    stream_type: str

    @property
    def schema(self) -> dict[str, Any]:
        """Of the body, as a JSON schema."""

    def read(self, body: dict[str, Any], model: str) -> Question:
        """Read a request's body. Raises Refused."""

    def whole(self, answer: Answer) -> bytes:
        """The body of an unstreamed answer."""

    def parts(self, question: Question, answer: Answer) -> list[Part]:
        """The events of a streamed one."""

    def error(self, message: str, status: int) -> bytes:
        """The body of an error."""


@runtime_checkable
class TwoPaths(Face, Protocol):
    """An API whose path tells whether an answer is streamed: this one is for whole answers."""

    def streamed(self) -> Face:
        """The same API at its path for streams."""


@runtime_checkable
class Queued(Face, Protocol):
    """A face whose answers are ordered by POST and fetched by GET, below the same path."""

    def ordered(self, number: str) -> bytes:
        """The body that answers an order, with the number by which it is fetched."""

    def unknown(self) -> bytes:
        """The stream that answers a number without an order."""

"""What is asked to find out a server's kind, and what the answers say. Asks nothing itself."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import msgspec

from pytest_llmserve.dialects.piece import UNPARSABLE

_SHOWN_NAMES = 5
TELLS_NOTHING = "tells nothing"


class Probe(msgspec.Struct, frozen=True):
    """One question. With a body it is JSON, and a prompt: its answer may take as long as any."""

    method: str
    path: str
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class ProbeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What one probe brought: a status, or the reason why there was no answer, or not all of one.

    Attributes:
        slow: the time for it was over before its end.
    """

    status: int | None = None
    content_type: str = ""
    body: bytes = b""
    error: str | None = None
    slow: bool = False

    def __str__(self) -> str:
        if self.status is None:
            return f"nothing ({self.error or 'no reason known'})"
        told = f"{self.status} {self.content_type.partition(';')[0].strip() or 'without Content-Type'}"
        return told if self.error is None else f"{told} ({self.error})"

    @property
    def json(self) -> Any:
        """The body of a 200 as JSON; None when it is none."""
        if self.status != 200:
            return None
        try:
            return msgspec.json.decode(self.body)
        except UNPARSABLE:
            return None

    @property
    def json_object(self) -> dict[str, Any]:
        """The same when it is an object, else an empty one."""
        value = self.json
        return value if isinstance(value, dict) else {}


class Asked(msgspec.Struct, frozen=True):
    """A probe, its answer, and what was concluded from it."""

    probe: str
    answer: str
    so: str = TELLS_NOTHING

    def __str__(self) -> str:
        return f"{self.probe} answered {self.answer}"


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What `auto` chose.

    Attributes:
        api: name of the dialect.
        path: for `Target.path`.
        models: names the server lists, perhaps none.
        because: why, in words for people.
        fallbacks: the dialects to try in turn when the first request is refused with 404.
        other_paths: those to try before them.
        json_request: the request template that fits, for the `json` and `gradio` dialects only.
        json_answer: where the answer lies, likewise.
        asked: every probe in order, with its answer.
    """

    api: str
    path: str
    models: tuple[str, ...] = ()
    because: str
    fallbacks: tuple[str, ...] = ()
    other_paths: tuple[str, ...] = ()
    json_request: str | None = None
    json_answer: str | None = None
    asked: tuple[Asked, ...] = ()


Question = Generator[Probe, ProbeAnswer, ProbeAnswer]
Detecting = Generator[Probe, ProbeAnswer, Choice | None]
"""Yields what to ask next, is sent the answer; returns the choice, or None when the signs are not there."""


class Asking:
    """The probes of one detection and their answers; none is asked twice. Lives as long as it.

    Args:
        key_env: environment variable of the key that is sent along, or None.
    """

    def __init__(self, key_env: str | None = None) -> None:
        self.key_env = key_env
        self.answers: dict[Probe, ProbeAnswer] = {}
        self._so: dict[Probe, str] = {}

    def get(self, path: str) -> Question:
        """Ask a path with GET."""
        return (yield from self.ask(Probe("GET", path)))

    def ask(self, probe: Probe) -> Question:
        """Ask, unless it has been asked."""
        if probe not in self.answers:
            self.answers[probe] = yield probe
        return self.answers[probe]

    def conclude(self, asked: str | Probe, so: str) -> str:
        """Note what the answer to a probe, or to GET of a path, says; returns "GET path says"."""
        probe = Probe("GET", asked) if isinstance(asked, str) else asked
        self._so[probe] = so
        return f"{probe} {so}"

    @property
    def asked(self) -> tuple[Asked, ...]:
        """Every probe so far."""
        return tuple(
            Asked(str(probe), str(answer), self._so.get(probe, TELLS_NOTHING))
            for probe, answer in self.answers.items()
        )


def models_text(models: tuple[str, ...]) -> str:
    """The models' names: "model a", "models a, b", "no model"."""
    if not models:
        return "no model"
    shown = ", ".join(models[:_SHOWN_NAMES]) + (", ..." if len(models) > _SHOWN_NAMES else "")
    return f"{'model' if len(models) == 1 else 'models'} {shown}"


def listed_models(value: Any) -> tuple[str, ...] | None:
    """The names in a listing: of OpenAI's form, of Ollama's, or of bare names; None when it is none."""
    if not isinstance(value, dict):
        return None
    for field in ("data", "models"):
        rows = value.get(field)
        if isinstance(rows, list):
            names = [_model_name(row) for row in rows]
            if None not in names and (names or value.get("object") == "list"):
                return tuple(name for name in names if name is not None)
    return None


def _model_name(row: Any) -> str | None:
    if isinstance(row, dict):
        row = next((row[field] for field in ("id", "name", "model") if field in row), None)
    return row if isinstance(row, str) else None

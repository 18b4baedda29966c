"""A recorded trace, replayed: one JSON object a line, when a request came and how long it was."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import Prompt
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.units import NS_PER_MS, NS_PER_S

CHARS_A_TOKEN = 4
"""What a token of English text is worth, about; the server's own count is in the record."""

_TIMES = {"timestamp": NS_PER_S, "at_s": NS_PER_S, "timestamp_ms": NS_PER_MS}
_LENGTHS = ("prompt", "input_chars", "input_tokens")


class TraceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a trace.

    Attributes:
        at_ns: from the start of the run.
        prompt: as recorded, or None: one of `chars` characters is made.
        output_tokens: tokens it may generate, or None.
    """

    at_ns: int
    prompt: Prompt | None = None
    chars: int | None = None
    output_tokens: int | None = None

    @property
    def params(self) -> dict[str, Any] | None:
        """Fields of its request that come over the plan's, or None."""
        return None if self.output_tokens is None else {"max_tokens": self.output_tokens}


def read_trace(path: str, speed: float = 1.0) -> list[TraceRow]:
    """Read a trace; the first request comes at 0, the others as long after it as recorded, over `speed`.

    Raises:
        SetupError: the file cannot be read, is empty, or a row is wrong: file, line and what to write.
    """
    try:
        lines = Path(path).read_text("utf-8").split("\n")
    except OSError as error:
        raise SetupError(f"trace {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SetupError(f"trace {path} cannot be read: not UTF-8 at byte {error.start}") from None
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                rows.append(_row(line))
            except ValueError as error:
                raise SetupError(f"trace {path}, line {number}: {error}") from None
    if not rows:
        raise SetupError(
            f'trace {path} is empty: write rows such as {{"timestamp": 0.5, "input_tokens": 200}}'
        )
    rows.sort(key=attrgetter("at_ns"))
    first_ns = rows[0].at_ns
    return [msgspec.structs.replace(row, at_ns=round((row.at_ns - first_ns) / speed)) for row in rows]


def within_plan(rows: Sequence[TraceRow], plan: LoadPlan) -> list[TraceRow]:
    """The rows a plan's `duration_ns` and `requests` leave; those of the warm-up do not count."""
    if plan.duration_ns is not None:
        over_ns = plan.warm_up_ns + plan.duration_ns
        rows = [row for row in rows if row.at_ns < over_ns]
    if plan.requests is not None:
        warm_up = sum(1 for row in rows if row.at_ns < plan.warm_up_ns)
        rows = rows[: warm_up + plan.requests]
    return list(rows)


def end_of(rows: Sequence[TraceRow]) -> int:
    """Where a trace ends, in ns from the start of the run: just after its last row."""
    return rows[-1].at_ns + 1 if rows else 0


def rows_to_json(rows: Sequence[TraceRow]) -> bytes:
    """For a worker. JSON, because msgpack has no form for a lone surrogate."""
    return json.dumps([[row.at_ns, row.prompt, row.chars, row.output_tokens] for row in rows]).encode()


def rows_from_json(data: bytes) -> list[TraceRow]:
    """The inverse of `rows_to_json`."""
    return [
        TraceRow(at_ns=at_ns, prompt=prompt, chars=chars, output_tokens=tokens)
        for at_ns, prompt, chars, tokens in json.loads(data)
    ]


def sized(text: str, chars: int) -> str:
    """A text of so many characters, made of another said over and over."""
    if not text:
        return " " * chars
    return " ".join([text] * (chars // (len(text) + 1) + 1))[:chars]


def prompt_text(prompt: Prompt) -> str:
    """All that a prompt says, as one text."""
    if isinstance(prompt, str):
        return prompt
    return " ".join(text for message in prompt for text in _texts(message.get("content")))


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]


def _row(line: str) -> TraceRow:
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise ValueError(f"not JSON ({error})") from None
    if not isinstance(fields, dict):
        raise ValueError('not an object: write rows such as {"timestamp": 0.5, "input_tokens": 200}')
    if "input_length" in fields or "output_length" in fields:
        raise ValueError(
            "a row in Mooncake's form, whose timestamp is in milliseconds: rename timestamp to timestamp_ms,"
            " input_length to input_tokens and output_length to output_tokens"
        )
    at_ns = _at_ns(fields)
    given = _only_one(fields, _LENGTHS, "length")
    tokens = None if fields.get("output_tokens") is None else _count(fields, "output_tokens")
    if given == "prompt":
        return TraceRow(at_ns=at_ns, prompt=_prompt(fields["prompt"]), output_tokens=tokens)
    chars = _count(fields, given) * (CHARS_A_TOKEN if given == "input_tokens" else 1)
    return TraceRow(at_ns=at_ns, chars=chars, output_tokens=tokens)


def _at_ns(fields: dict[str, Any]) -> int:
    name = _only_one(fields, tuple(_TIMES), "time")
    value = fields[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}, not a number")
    return round(value * _TIMES[name])


def _only_one(fields: dict[str, Any], names: tuple[str, ...], what: str) -> str:
    given = [name for name in names if fields.get(name) is not None]
    if len(given) == 1:
        return given[0]
    if not given:
        raise ValueError(f"has no {what}: give one of {', '.join(names)}")
    raise ValueError(f"has a {what} more than once: give one of {', '.join(given)}")


def _count(fields: dict[str, Any], name: str) -> int:
    value = fields[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is {value!r}, not a whole number of 1 or more")
    return value


def _prompt(value: object) -> Prompt:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(message, dict) for message in value):
        return value
    raise ValueError("prompt is neither a text nor a list of chat messages")

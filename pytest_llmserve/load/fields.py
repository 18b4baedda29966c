"""What of a row of a data set is the prompt: a field, or a template over several. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any

from pytest_llmserve.domain.exchange import Prompt

USUAL = ("messages", "prompt", "question", "text", "input", "instruction")
"""Fields that are looked for, in this order, where none is named."""


class NoField(ValueError):
    """A row has no field of that name."""


Reading = Callable[[Any], Prompt]


def reading(field: str | None) -> Reading:
    """How the prompt is read from a row; the function raises ValueError where it is not there.

    Args:
        field: a name, dots for levels ("data.0.text"); a template of such names in braces; None = the first
            of `USUAL` that the row has.

    Raises:
        ValueError: the template is none.
    """
    if field is None:
        return _usual
    if "{" not in field and "}" not in field:
        return lambda row: as_prompt(field, value_at(row, field))
    parts = _parts(field)
    return lambda row: "".join(text if name is None else _said(value_at(row, name)) for text, name in parts)


def value_at(row: Any, field: str) -> Any:
    """The value of a field; dots are levels, unless the row has a field of just that name.

    Raises:
        NoField: there is none.
    """
    if isinstance(row, Mapping) and field in row:
        return row[field]
    value = row
    for step in field.split("."):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise NoField(f"has no field {field!r}: {_what_it_has(row)}")
    return value


def as_prompt(field: str, value: Any) -> Prompt:
    """A text, or chat messages without the answer that they end with.

    Raises:
        ValueError: neither, or nothing in it.
    """
    if isinstance(value, str) and value.strip():
        return value
    if is_chat(value):
        asked = list(value)
        while asked and asked[-1]["role"] == "assistant":
            asked.pop()
        if asked:
            return asked
        raise ValueError(f"field {field!r} holds answers and no question: leave the row out")
    if value in ("", None, []) or isinstance(value, str):
        raise ValueError(f"field {field!r} is empty: leave the row out")
    raise ValueError(
        f"field {field!r} is {_shown(value)}: a prompt is a text or a list of chat messages;"
        f' the template "{{{field}}}" makes a text of anything'
    )


def is_chat(value: Any) -> bool:
    """A list of chat messages, each with a role and a content."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, dict) and isinstance(each.get("role"), str) for each in value)
        and all("content" in each for each in value)
    )


def _usual(row: Any) -> Prompt:
    if isinstance(row, str) and row.strip():
        return row
    name = next((name for name in USUAL if isinstance(row, Mapping) and name in row), None)
    if name is None:
        raise NoField(f"has none of the fields {', '.join(USUAL)}: name one with field=; {_what_it_has(row)}")
    return as_prompt(name, row[name])


def _parts(template: str) -> list[tuple[str, str | None]]:
    """Texts, each alone, and names of fields, each with an empty text."""
    found: list[tuple[str, str | None]] = []
    try:
        for text, name, spec, conversion in Formatter().parse(template):
            if spec or conversion or name == "":
                raise ValueError("a brace holds the name of a field and nothing else")
            found += [(text, None)] if text else []
            found += [("", name)] if name is not None else []
    except ValueError as error:
        raise ValueError(
            f"the template {template!r} cannot be read: {error}; a brace itself is {{{{ or }}}}"
        ) from None
    return found


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _what_it_has(row: Any) -> str:
    if not isinstance(row, Mapping):
        return f"it is {_shown(row)}, no object with fields"
    return f"it has {', '.join(map(str, row)) or 'no field'}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:60]}..."

"""Markers as dataclasses: keywords, converters, and all faults of a marker at once."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pytest_llmserve.domain.errors import MarkerError

T = TypeVar("T")


def keyword(convert: Callable[[object], Any], default: Any = None, *, doc: str = "") -> Any:
    """A dataclass field that is a marker's keyword.

    Args:
        convert: turns what the user wrote into the field's value, or raises ValueError
            with a sentence.
        default: the field's value when the keyword is absent, already converted.
        doc: a few words for `pytest --markers`.
    """
    return dataclasses.field(default=default, metadata={"convert": convert, "doc": doc})


def build(cls: type[T], marker: str, args: Sequence[object], kwargs: Mapping[str, object]) -> T:
    """Make a `cls` from a marker's arguments.

    Raises:
        MarkerError: names every fault: positional arguments, unknown keywords, wrong values.
    """
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init and "convert" in f.metadata}  # type: ignore[arg-type]
    faults = []
    if args:
        faults.append(f"takes keywords only, got {', '.join(map(repr, args))}")
    values: dict[str, Any] = {}
    for name, value in kwargs.items():
        if name not in fields:
            faults.append(_unknown(name, list(fields)))
            continue
        try:
            values[name] = fields[name].metadata["convert"](value)
        except ValueError as error:
            faults.append(f"{name}: {error}")
    if not faults:
        try:
            return cls(**values)
        except ValueError as error:  # a rule over several keywords, from __post_init__
            faults.append(str(error))
    raise MarkerError(marker, faults)


def signature(cls: type, marker: str) -> str:
    """The line `pytest --markers` prints: name, keywords, first line of the docstring."""
    names = [f"{f.name}=" for f in dataclasses.fields(cls) if f.init and "convert" in f.metadata]
    doc = (cls.__doc__ or "").strip().splitlines()[0]
    return f"{marker}({', '.join(names)}): {doc}"


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    return f"no keyword {name!r}, {hint}"


def number(value: object) -> float:
    """A finite number, not a bool."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def positive(value: object) -> float:
    """A number over 0."""
    result = number(value)
    if result <= 0:
        raise ValueError(f"{value!r} is not over 0")
    return result


def not_negative(value: object) -> float:
    """A number of 0 or more."""
    result = number(value)
    if result < 0:
        raise ValueError(f"{value!r} is below 0")
    return result


def percentage(value: object) -> float:
    """A number over 0, at most 100."""
    result = positive(value)
    if result > 100:
        raise ValueError(f"{value!r} is over 100: it is in percent")
    return result


def share(value: object) -> float:
    """A share from 0 to 1, such as 0.002."""
    result = number(value)
    if not 0 <= result <= 1:
        raise ValueError(f"{value!r} is not a share from 0 to 1 (0.2 % is 0.002)")
    return result


def count(value: object) -> int:
    """A whole number of 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is not a whole number of 1 or more")
    return value


def whole(value: object) -> int:
    """A whole number of 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a whole number of 0 or more")
    return value


def flag(value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is not True or False")
    return value

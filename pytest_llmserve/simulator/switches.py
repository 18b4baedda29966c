"""Faults by their names: `slow_tail:every=20,ms=800` to an object, and what there is to be told. Pure."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from importlib import import_module
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pytest_llmserve.simulator.faults import FAULTS
from pytest_llmserve.simulator.faults.fault import Fault

_TRUTHS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_WANTED = {int: "a whole number", float: "a number", bool: "true or false"}


class UnknownFault(ValueError):
    """A text names no fault, or not as it can be; says what there is."""


def make_fault(text: str, seed: int, table: Mapping[str, str] = FAULTS) -> Fault:
    """Make the fault that a text names.

    Args:
        text: a name, then, where keys are given, ":" and KEY=VALUE, with commas between.
        seed: for a fault whose text gives none.
        table: name -> "module:class".

    Raises:
        UnknownFault: no such name, key or value; lists those that there are.
    """
    name, _, rest = text.strip().partition(":")
    kind = _kind(name, table)
    keys = {field.name: field for field in fields(kind)}
    hints = get_type_hints(kind)
    given: dict[str, Any] = {}
    for pair in filter(None, rest.split(",")):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if key not in keys or not equals:
            raise UnknownFault(f"fault {name}: no key {key!r}; its keys: {_listed(kind)}")
        given[key] = _value(f"fault {name}: {key}", keys[key].metadata, hints[key], value)
    missing = [key for key, field in keys.items() if _needed(field) and key not in given]
    if missing:
        raise UnknownFault(f"fault {name}: {', '.join(missing)} is not given; its keys: {_listed(kind)}")
    return kind(**{"seed": seed} | given)


def listing(table: Mapping[str, str] = FAULTS) -> str:
    """All faults, a line each with their keys, and one with what they do."""
    rows = []
    for name in table:
        kind = _kind(name, table)
        does = (inspect.getdoc(kind) or "").partition("\n")[0]
        rows.append(f"{name}  {_listed(kind)}\n    {does}")
    return "\n".join(rows) or "there are no faults"


def _kind(name: str, table: Mapping[str, str]) -> type[Fault]:
    if name not in table:
        near = difflib.get_close_matches(name, table, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UnknownFault(f"no fault {name!r}; {hint}there are: {', '.join(table) or 'none'}")
    module, _, cls = table[name].partition(":")
    found: type[Fault] = getattr(import_module(module), cls)
    return found


def _listed(kind: type[Fault]) -> str:
    hints = get_type_hints(kind)
    own = [field for field in fields(kind) if field.name != "seed"]
    return ", ".join(_described(field, hints[field.name]) for field in (*own, fields(kind)[0]))


def _described(field: Field[Any], hint: Any) -> str:
    words = "|".join(map(str, get_args(hint))) if get_origin(hint) is Literal else _plain(hint).__name__
    if _needed(field):
        return f"{field.name}={words}"
    return f"{field.name}={field.default}" + (f" ({words})" if get_origin(hint) is Literal else "")


def _needed(field: Field[Any]) -> bool:
    return field.default is MISSING


def _plain(hint: Any) -> type:
    """The type of a value: of `int | None`, int."""
    found: type = next((part for part in get_args(hint) if part is not type(None)), hint)
    return found


def _value(where: str, bounds: Mapping[str, float], hint: Any, text: str) -> Any:
    if get_origin(hint) is Literal:
        if text not in map(str, get_args(hint)):
            raise UnknownFault(f"{where}={text}: give {' or '.join(map(str, get_args(hint)))}")
        return next(value for value in get_args(hint) if str(value) == text)
    kind = _plain(hint)
    try:
        value = _TRUTHS[text.lower()] if kind is bool else kind(text)
        if bounds and not bounds["least"] <= value <= bounds["most"]:  # nor is NaN
            raise ValueError(text)
    except (ValueError, KeyError):
        raise UnknownFault(f"{where}={text}: give {_WANTED[kind]}{_within(bounds)}") from None
    return value


def _within(bounds: Mapping[str, float]) -> str:
    if not bounds:
        return ""
    most = bounds["most"]
    return f", {bounds['least']:.10g} " + ("or more" if math.isinf(most) else f"to {most:.10g}")

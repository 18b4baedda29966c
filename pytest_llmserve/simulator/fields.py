"""How a request's body is read: strictly, and with a reason for whoever sent it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, NoReturn, Protocol


class Refused(Exception):
    """The request is the client's fault: a 4xx, and why."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def parse_object(raw: bytes) -> dict[str, Any]:
    """Read a body as a JSON object, and nothing that only looks like one.

    Raises:
        Refused: no UTF-8, no JSON, no object, NaN, a key twice, or nested too deep.
    """
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_number, object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        raise Refused(f"the body is not UTF-8: byte {error.start} is {raw[error.start]:#04x}") from None
    except json.JSONDecodeError as error:
        raise Refused(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise Refused("the body is nested too deep") from None
    except ValueError:  # Python reads no whole number of thousands of digits
        raise Refused("the body holds a number that is too long") from None
    if not isinstance(value, dict):
        raise Refused(f"the body is {kind(value)}, not a JSON object")
    return value


def _no_number(name: str) -> NoReturn:
    raise Refused(f"the body is not JSON: {name} is no number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise Refused(f"the key {shown(twice)} stands twice in one object")
    return found


class Check(Protocol):
    """What a field must be."""

    @property
    def schema(self) -> dict[str, Any]:
        """The same as a JSON schema."""

    def __call__(self, name: str, value: Any) -> None:
        """Raise Refused where the value is another."""


@dataclass(frozen=True)
class Number:
    """A number within bounds.

    Attributes:
        whole: without a fraction; 1.0 has one.
        above: must be over `least`, not just at it.
    """

    least: float
    most: float = inf
    whole: bool = False
    above: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """As a JSON schema."""
        found: dict[str, Any] = {"type": "integer" if self.whole else "number"}
        found["exclusiveMinimum" if self.above else "minimum"] = self.least
        return found | ({"maximum": self.most} if isfinite(self.most) else {})

    def __call__(self, name: str, value: Any) -> None:
        """Raise Refused where the value is another."""
        if type(value) is not int and (self.whole or type(value) is not float):
            raise Refused(f"{name} is {kind(value)}, not a {'whole ' if self.whole else ''}number")
        at_least = value > self.least if self.above else value >= self.least
        if not at_least or value > self.most or value in (inf, -inf):
            limit = f"{'over' if self.above else 'at least'} {self.least:g}"
            limit += f" and at most {self.most:g}" if isfinite(self.most) else ""
            raise Refused(f"{name} is {value if abs(value) < 1e9 else 'too large'}: it must be {limit}")


@dataclass(frozen=True)
class Kind:
    """A value of a JSON type, named as JSON schemas do; perhaps one of a few texts."""

    name: str
    among: tuple[str, ...] = ()

    @property
    def schema(self) -> dict[str, Any]:
        """As a JSON schema."""
        return {"type": self.name} | ({"enum": list(self.among)} if self.among else {})

    def __call__(self, name: str, value: Any) -> None:
        """Raise Refused where the value is another."""
        wanted, words = _KINDS[self.name]
        if type(value) is not wanted:
            raise Refused(f"{name} is {kind(value)}, not {words}")
        if self.among and value not in self.among:
            raise Refused(f"{name} is none of {', '.join(self.among)}")


_KINDS: dict[str, tuple[type, str]] = {
    "boolean": (bool, "true or false"),
    "string": (str, "a text"),
    "object": (dict, "an object"),
    "array": (list, "a list"),
}
TRUTH, TEXT, OBJECT, LIST = Kind("boolean"), Kind("string"), Kind("object"), Kind("array")


@dataclass(frozen=True)
class Texts:
    """A text, or a list of texts."""

    most: int = 16

    @property
    def schema(self) -> dict[str, Any]:
        """As a JSON schema."""
        texts = {"type": "array", "items": {"type": "string"}, "maxItems": self.most}
        return {"anyOf": [{"type": "string"}, texts]}

    def __call__(self, name: str, value: Any) -> None:
        """Raise Refused where the value is another."""
        if isinstance(value, str):
            return
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise Refused(f"{name} is {kind(value)}, not a text or a list of texts")
        if len(value) > self.most:
            raise Refused(f"{name} holds {len(value)} texts: {self.most} at most")


def check_fields(body: Mapping[str, Any], checks: Mapping[str, Check], place: str = "") -> None:
    """Hold every field that is known against its check; null counts as not given, unknown fields as well.

    Raises:
        Refused: the first one that is wrong.
    """
    for name, check in checks.items():
        if body.get(name) is not None:
            check(place + name, body[name])


def schema_of(checks: Mapping[str, Check], required: tuple[str, ...]) -> dict[str, Any]:
    """The JSON schema of a body with these fields."""
    return {
        "type": "object",
        "properties": {name: check.schema for name, check in checks.items()},
        "required": list(required),
    }


def stop_texts(value: Any) -> tuple[str, ...]:
    """The texts of a field that `Texts` let pass; an empty one stops nothing."""
    found = [value] if isinstance(value, str) else value or []
    return tuple(text for text in found if text)


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if type(value) is float:
        return "a number with a fraction"
    return {int: "a number", str: "a text", list: "a list", dict: "an object"}[type(value)]


def shown(text: str) -> str:
    """A text of the client's in quotes, cut where it is long."""
    return repr(text if len(text) <= 40 else text[:40] + "...")

"""JSON written by hand: with bytes at one of its places that no writer of JSON would put there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

Path = tuple[str | int, ...]

_MARK = "@here@"


def paths(value: Any, at: Path = ()) -> Iterator[Path]:
    """Every place within a value, such as ("messages", 0, "role"), the outer ones first."""
    steps = (
        list(value) if isinstance(value, Mapping) else range(len(value)) if isinstance(value, list) else ()
    )
    yield from ((*at, step) for step in steps)
    for step in steps:
        yield from paths(value[step], (*at, step))


def value_at(value: Any, path: Path) -> Any:
    """What lies at that place."""
    for key in path:
        value = value[key]
    return value


def replaced(body: Mapping[str, Any], path: Path, new: Any) -> Any:
    """A copy with another value at that place; an empty path = all of it."""
    if not path:
        return new
    changed = deepcopy(dict(body))
    value_at(changed, path[:-1])[path[-1]] = new
    return changed


def without(body: Mapping[str, Any], path: Path) -> Any:
    """A copy that lacks what lies at that place."""
    changed = deepcopy(dict(body))
    del value_at(changed, path[:-1])[path[-1]]
    return changed


def opened(body: Mapping[str, Any], path: Path) -> tuple[bytes, bytes]:
    """The JSON before and after the value at that place."""
    before, _, after = written(replaced(body, path, _MARK)).partition(written(_MARK))
    return before, after


def written(value: Any) -> bytes:
    """The value as JSON in UTF-8; lone surrogates as escapes."""
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()

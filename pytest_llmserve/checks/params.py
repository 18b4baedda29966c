"""Fields of a request as they may be kept and shown: how it samples, without a word that was said."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

_WORDED = frozenset(
    {"reasoning_effort", "service_tier", "tool_choice", "truncation", "verbosity", "guided_decoding_backend"}
)
"""Fields whose text is one of a few words of an API. Any other text may be a prompt, a name or a key."""

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}")
_DIGITS = 16
_NO_NUMBERS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
"""Floats that can be sent and that JSON has not, in the words in which they are sent."""
_HASHED = re.compile(rf"sha256:[0-9a-f]{{{_DIGITS}}}")


def is_plain(name: str, value: object) -> bool:
    """A number, boolean or None, or a word of an API: it tells nothing of what was said, nor of who."""
    if value is None or isinstance(value, (bool, int, float)):
        return True
    # As it stands in a run that was kept and is read again.
    if isinstance(value, str) and (_HASHED.fullmatch(value) or value in _NO_NUMBERS.values()):
        return True
    return name in _WORDED and isinstance(value, str) and _WORD.fullmatch(value) is not None


def without_texts(params: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with a hash in place of each text, list and object: whether two are alike is still known.

    Args:
        params: `LoadPlan.params` as plain data.
    """
    return {name: value if is_plain(name, value) else _hash(value) for name, value in params.items()}


def as_json(params: Mapping[str, Any], keep_text: bool) -> dict[str, Any]:
    """The fields as a report has them: texts hashed unless they are kept, NaN and infinity as words."""
    return {name: _sound(value) for name, value in (params if keep_text else without_texts(params)).items()}


def _sound(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return _NO_NUMBERS[str(float(value))]
    if isinstance(value, dict):
        return {key: _sound(each) for key, each in value.items()}
    return [_sound(each) for each in value] if isinstance(value, (list, tuple)) else value


def named(keywords: Mapping[str, Any]) -> str:
    """Keywords of one side of a comparison in a line: "max_tokens=2, params of stop and temperature=0.2"."""
    told = []
    for name, value in keywords.items():
        if isinstance(value, Mapping):
            fields = (
                f"{field}={one}" if is_plain(field, one) else str(field) for field, one in value.items()
            )
            told.append(f"{name} of {' and '.join(fields) or 'nothing'}")
        else:
            told.append(f"{name}={value!r}")
    return ", ".join(told)


def _hash(value: object) -> str:
    """Of a 64-bit length: enough to tell apart what users write."""
    written = msgspec.json.encode(value, order="deterministic")
    return f"sha256:{hashlib.sha256(written).hexdigest()[:_DIGITS]}"

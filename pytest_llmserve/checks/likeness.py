"""Whether two runs may be compared: the same load, figures of the same meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

import msgspec

from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.units import duration_text

_MAY_DIFFER = frozenset(
    {
        *("requests", "duration_ns", "salt", "params", "trace"),  # told in other words, or their kind only
        *("seed", "workers", "scale", "max_concurrency"),
        *("prompts_from", "prompt_count"),  # what they are is compared, not what their file is called
        *("timeout_ns", "connect_timeout_ns", "first_byte_timeout_ns", "idle_timeout_ns"),
    }
)
"""Fields of a plan that do not make two loads unlike; any other field does, also one yet to come."""

_ABSENT = "none"
_SURROUNDINGS = ("machine", "cpu_model", "cpus", "python", "system", "pytest_llmserve")


def unlike(there: Measurement, here: Measurement) -> list[str]:
    """What forbids to compare two runs: "users 20 there, 40 here"; empty when nothing does."""
    found = list(_differences(_load(there.plan), _load(here.plan)))
    if None not in (there.prompts, here.prompts) and there.prompts != here.prompts:
        found.append("the prompts are others")
    meanings = there.definitions, here.definitions
    for name in meanings[0].keys() & meanings[1].keys():
        if meanings[0][name] != meanings[1][name]:
            found.append(f"{name} was defined otherwise there")
    return found


def elsewhere(there: Measurement, here: Measurement) -> list[str]:
    """What may explain a difference, but forbids no comparison: "cpus 4 there, 2 here"."""
    known = [name for name in _SURROUNDINGS if name in there.environment and name in here.environment]
    found = list(_differences(_only(there.environment, known), _only(here.environment, known)))
    servers = [dict(side.server) for side in (there, here)]
    if not all(servers):
        return found
    for server in servers:
        server["server"] = urlsplit(str(server.pop("url", ""))).hostname  # a port is new for each start
    names = ("model", "api", "server")
    return found + list(_differences(_only(servers[0], names), _only(servers[1], names)))


def _only(values: Mapping[str, Any], names: Any) -> dict[str, Any]:
    return {name: values.get(name) for name in names}


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    for name in [*there, *(name for name in here if name not in there)]:
        if there.get(name) != here.get(name):
            yield f"{name} {_told(name, there)} there, {_told(name, here)} here"


def _told(name: str, values: Mapping[str, Any]) -> str:
    value = values.get(name)
    return _ABSENT if value is None or value == [] else str(value)


def _load(plan: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a load, under the words of the `load` marker; of an older plan, what is new by default."""
    full = {**msgspec.to_builtins(LoadPlan()), **plan}
    told = {_word(name): _value(name, full[name]) for name in full if name not in _MAY_DIFFER}
    bounds = {"requests": full["requests"], "duration": full["duration_ns"]}
    told["ends by"] = " and ".join(name for name, bound in bounds.items() if bound is not None) or None
    told["nonce"] = full["salt"] is not None
    told["trace"] = PurePath(full["trace"]).name if full["trace"] else None
    return {**told, **full["params"]}


def _word(name: str) -> str:
    return name.removesuffix("_ns")


def _value(name: str, value: Any) -> Any:
    if name in ("stages", "rate_stages"):
        return [_stage(stage) for stage in value]
    if name.endswith("_ns") and isinstance(value, (list, tuple)):
        return " to ".join(map(duration_text, value))
    return duration_text(value) if name.endswith("_ns") and value is not None else value


def _stage(stage: Mapping[str, Any]) -> str:
    level = f"{stage['begin']:g}"
    if stage["begin"] != stage["end"]:
        level += f" to {stage['end']:g}"
    return f"{level} for {duration_text(stage['duration_ns'])}"

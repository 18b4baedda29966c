"""KServe's version 2 protocol: Triton, KServe's own runtimes, MLServer."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pytest_llmserve.dialects.known_paths import Place
from pytest_llmserve.dialects.probing import (
    Asking,
    Choice,
    Detecting,
    Probe,
    ProbeAnswer,
    listed_models,
    models_text,
)


def detect(asking: Asking, place: Place) -> Detecting:
    """The server's metadata at /v2, with a name and extensions or versions.

    https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
    """
    path = f"{place.base}/v2"
    told = (yield from asking.get(path)).json_object
    name = told.get("name")
    if not isinstance(name, str) or not {"extensions", "versions", "version"} & set(told):
        return None
    asking.conclude(path, f"is the metadata of {name}")
    models = yield from _models(asking, place)
    because = f"GET {path} is the metadata of {name}, which has {models_text(models)}"
    return Choice(api="kserve", path=place.base, models=models, because=because)


def _models(asking: Asking, place: Place) -> Generator[Probe, ProbeAnswer, tuple[str, ...]]:
    """Of the repository, as Triton and MLServer have it, else of /v2/models, as KServe's runtimes have it."""
    index = Probe("POST", f"{place.base}/v2/repository/index", b"{}")
    rows = (yield from asking.ask(index)).json
    if isinstance(rows, list):
        ready = [row for row in rows if isinstance(row, dict) and row.get("state", "READY") == "READY"]
        names = tuple(dict.fromkeys(name for name in map(_name, ready) if name is not None))
        asking.conclude(index, f"lists {models_text(names)}")
        return names
    path = f"{place.base}/v2/models"
    models = listed_models((yield from asking.get(path)).json)
    if models is not None:
        asking.conclude(path, f"lists {models_text(models)}")
    return models or ()


def _name(row: dict[str, Any]) -> str | None:
    name = row.get("name")
    return name if isinstance(name, str) else None

"""The server's samples, a list a figure: keys said once, and nothing of what nobody told."""

from __future__ import annotations

from typing import Any

import msgspec

from pytest_llmserve.domain.samples import GpuSample, ResourceSample, ResourceWindow

_DEFAULTS = {
    field.name: None if field.required else field.default for field in msgspec.structs.fields(ResourceSample)
}


def window_columns(window: ResourceWindow) -> dict[str, Any]:
    """The window as plain data: `samples` has a list for each field that any of them has.

    A GPU is told by the fields that its driver tells.
    """
    document: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(window, samples=()))
    document["samples"] = {name: cells for name in _DEFAULTS if (cells := _column(window, name)) is not None}
    return document


def _column(window: ResourceWindow, name: str) -> list[Any] | None:
    cells = [getattr(sample, name) for sample in window.samples]
    if all(cell == _DEFAULTS[name] for cell in cells):
        return None
    if name != "gpus":
        return cells
    return [[_told(gpu) for gpu in gpus] for gpus in cells]


def _told(gpu: GpuSample) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(gpu).items() if value is not None}


def window_of(document: dict[str, Any]) -> ResourceWindow:
    """The inverse of `window_columns`.

    Raises:
        ValueError: it is not such a document, or its lists are of different lengths.
    """
    samples = document.get("samples")
    if not isinstance(samples, dict) or not all(isinstance(cells, list) for cells in samples.values()):
        raise ValueError("the samples of the server are not a list a figure")
    if len({len(cells) for cells in samples.values()}) > 1:
        raise ValueError("the samples of the server are lists of different lengths")
    known = {name: cells for name, cells in samples.items() if name in _DEFAULTS}
    rows = [dict(zip(known, row, strict=True)) for row in zip(*known.values(), strict=True)]
    return msgspec.convert(document | {"samples": rows}, ResourceWindow, str_keys=True)

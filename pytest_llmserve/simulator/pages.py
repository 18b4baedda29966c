"""What the simulator tells of itself: the answers to GET."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytest_llmserve.simulator import counts, wire
from pytest_llmserve.simulator.faces import gradio

if TYPE_CHECKING:
    from pytest_llmserve.simulator.server import Simulator

JSON = "application/json"
CREATED_S = 1700000000
OLLAMA_VERSION = "0.5.1"
TGI_VERSION = "3.3.5"
"""Of the APIs that are spoken."""

Page = Callable[["Simulator"], tuple[str, bytes]]
"""Returns content type and body."""


def pages(faces: tuple[str, ...]) -> dict[str, Page]:
    """The pages of a simulator with these faces, by path."""
    found: dict[str, Page] = {"/": _root, "/health": _health, "/metrics": _metrics, "/openapi.json": _openapi}
    if any(name.startswith(("openai", "anthropic")) for name in faces):
        found["/v1/models"] = _models
    if any(name.startswith("ollama") for name in faces):
        found |= {"/api/tags": _tags, "/api/version": _version}
    if "tgi" in faces:
        found["/info"] = _info
    if "kserve" in faces:
        found |= {"/v2": _metadata, "/v2/models": _model_names, "/v2/health/ready": _health}
    if any(name.startswith("gradio") for name in faces):
        found |= {"/config": _gradio_config, f"{gradio.PREFIX}/info": _gradio_info}
    return found


def _root(server: Simulator) -> tuple[str, bytes]:
    what = "a simulated model server: it computes nothing, and fails as it is told to"
    value = {"simulator": what, "model": server.settings.model, "apis": list(server.settings.faces)}
    return JSON, wire.as_json(value)


def _health(_: Simulator) -> tuple[str, bytes]:
    return JSON, wire.as_json({"status": "ok"})


def _metrics(server: Simulator) -> tuple[str, bytes]:
    settings, slots = server.settings, server.slots
    body = counts.page(
        server.counts,
        model=settings.model,
        running=slots.running,
        waiting=slots.waiting,
        room_tokens=settings.slots * settings.context,
    )
    return counts.CONTENT_TYPE, body


def _models(server: Simulator) -> tuple[str, bytes]:
    model = {"id": server.settings.model, "object": "model", "created": CREATED_S, "owned_by": "simulator"}
    return JSON, wire.as_json({"object": "list", "data": [model]})


def _tags(server: Simulator) -> tuple[str, bytes]:
    name = server.settings.model + ":latest"
    details = {"format": "none", "family": "simulator", "parameter_size": "0", "quantization_level": "none"}
    model = {"name": name, "model": name, "modified_at": "2023-11-14T22:13:20Z", "size": 0}
    return JSON, wire.as_json({"models": [model | {"digest": "0" * 64, "details": details}]})


def _version(_: Simulator) -> tuple[str, bytes]:
    return JSON, wire.as_json({"version": OLLAMA_VERSION})


def _info(server: Simulator) -> tuple[str, bytes]:
    settings = server.settings
    told = {"model_id": settings.model, "version": TGI_VERSION, "max_concurrent_requests": settings.slots}
    return JSON, wire.as_json(told | {"max_total_tokens": settings.context})


def _metadata(_: Simulator) -> tuple[str, bytes]:
    return JSON, wire.as_json({"name": "simulator", "version": "1", "extensions": ["generate"]})


def _model_names(server: Simulator) -> tuple[str, bytes]:
    return JSON, wire.as_json({"models": [server.settings.model]})


def _gradio_config(_: Simulator) -> tuple[str, bytes]:
    return JSON, wire.as_json(gradio.config())


def _gradio_info(_: Simulator) -> tuple[str, bytes]:
    return JSON, wire.as_json(gradio.info())


def _openapi(server: Simulator) -> tuple[str, bytes]:
    answers: dict[str, Any] = {"200": {"description": "The answer."}, "4XX": {"description": "Refused."}}
    paths: dict[str, Any] = {}
    for path, face in server.faces.items():
        content = {JSON: {"schema": face.schema}}
        paths[path] = {
            "post": {
                "operationId": face.name + ("-stream" if path.endswith("_stream") else ""),
                "requestBody": {"required": True, "content": content},
                "responses": answers,
            }
        }
    info = {"title": "A simulated model server", "version": "1"}
    return JSON, wire.as_json({"openapi": "3.1.0", "info": info, "paths": paths})

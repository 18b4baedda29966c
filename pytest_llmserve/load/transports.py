"""The ways to carry requests, by name."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING

from pytest_llmserve.domain.errors import SetupError

if TYPE_CHECKING:
    from pytest_llmserve.load.transport import Transport

TRANSPORTS: dict[str, str] = {
    "sockets": "pytest_llmserve.load.transport:Transport",
    "httpx": "pytest_llmserve.load.httpx_transport:HttpxTransport",
}
"""Name for `--llm-transport` -> where its class lies. A new transport is one file and one row."""


def check_transport(name: str) -> None:
    """Raise SetupError when there is no such transport; the text lists the known ones."""
    if name not in TRANSPORTS:
        near = difflib.get_close_matches(name, TRANSPORTS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise SetupError(f"--llm-transport: no transport {name!r}; {hint}known: {', '.join(TRANSPORTS)}")


def transport_class(name: str) -> type[Transport]:
    """Import the transport of that name. All have the methods and attributes of `Transport`.

    Raises:
        SetupError: no such transport.
    """
    check_transport(name)
    module, _, cls = TRANSPORTS[name].partition(":")
    found: type[Transport] = getattr(import_module(module), cls)
    return found

"""How the server under test is spoken to, in a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def server_lines(tests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each server that was tested: how it is spoken to, and why so."""
    servers = [test["server"] for test in tests if (test.get("server") or {}).get("because")]
    return list(dict.fromkeys(server_line(server) for server in servers))


def server_line(server: Mapping[str, Any]) -> str:
    """One of them, from its part of a test's document."""
    model = f", model {server['model']}" if server.get("model") else ""
    return f"{server['url']}: {server['api']}{model}, because {server['because']}"

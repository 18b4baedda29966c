"""The clients that are measured: one row each, one program each."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import usage
from scenarios import Scenario

HERE = Path(__file__).parent
SPARE_S = 240.0


@dataclass(frozen=True)
class Client:
    """A load client.

    Attributes:
        python: interpreter of the environment that holds it; None = this one. Such a client is started by its
            own command line, and named to the benchmark with `--<name>-python` or `BENCH_<NAME>_PYTHON`.
    """

    name: str
    python: str | None = None

    @property
    def program(self) -> Path:
        return HERE / f"{self.name}_client.py"


OWN = ("engine", "aiohttp", "httpx")
OUTSIDE = ("guidellm", "aiperf", "locust")


def python_of(name: str, given: str | None, environ: Mapping[str, str]) -> str | None:
    """The interpreter of an outside client, or None when it was not named.

    Raises:
        ValueError: there is no such file.
    """
    python = given or environ.get(f"BENCH_{name.upper()}_PYTHON")
    if python and not Path(python).exists():
        raise ValueError(
            f"--{name}-python: there is no {python}; name the python of an environment that has {name}"
        )
    return python


def chosen(names: str | None, pythons: Mapping[str, str | None]) -> list[Client]:
    """The clients of "engine,aiohttp"; without names all whose environment is known.

    Raises:
        ValueError: an unknown name, or an outside client without its environment.
    """
    if names is None:
        return [Client(name) for name in OWN] + [Client(n, pythons[n]) for n in OUTSIDE if pythons[n]]
    found = []
    for name in (word.strip() for word in names.split(",")):
        if name not in OWN + OUTSIDE:
            raise ValueError(f"--clients names {name}; the clients are {', '.join(OWN + OUTSIDE)}")
        if name in OUTSIDE and not pythons[name]:
            raise ValueError(f"--clients names {name}, which needs --{name}-python /path/to/its/python")
        found.append(Client(name, pythons.get(name)))
    return found


def run(
    client: Client,
    scenario: Scenario,
    url: str,
    folder: Path,
    cpus: Collection[int],
    authority: Path | None = None,
    apart: Collection[int] = (),
) -> tuple[dict[str, Any], usage.Usage]:
    """Run one client program pinned on cores; give its findings and what it used.

    Args:
        apart: processes on these cores whose CPU is not others' (usage.py).

    Raises:
        RuntimeError: it failed, did not end in time, or wrote no findings.
    """
    out = folder / "client.json"
    command = [sys.executable, client.program, "--url", url, "--out", out, *scenario.client_options]
    if client.python:
        command += ["--python", client.python]
    env = {**os.environ, "SSL_CERT_FILE": str(authority)} if authority else None
    used = usage.run(command, cpus, scenario.seconds + SPARE_S, env, apart)
    try:
        return json.loads(out.read_text()), used
    except (FileNotFoundError, ValueError):
        raise RuntimeError(f"{client.program.name} ended well but wrote no findings") from None

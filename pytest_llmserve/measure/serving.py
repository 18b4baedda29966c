"""Servers of ours: which values their command takes, and how they are started."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path

from pytest_llmserve import simulator
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.measure.port import PLACE, pick_port
from pytest_llmserve.serve import embedded
from pytest_llmserve.serve.command import PORT, ServeValue, check_command, command_from, placeholders
from pytest_llmserve.serve.process import ServerProcess
from pytest_llmserve.serve.shared import shared_start

Values = Mapping[str, ServeValue]

OWN: dict[str, Callable[[int], list[str]]] = {"embedded": embedded.command, "simulator": simulator.command}
"""Servers of ours: their name for `--llm-endpoint` -> the command that serves at a port."""

_ANYWHERE = "http://127.0.0.1:{port}"
# Of our servers' programs: where they listen is not a test's to say, and switches take no value.
_NOT_VALUES = frozenset({"host", "port", "port_file", "list_faults", "quiet", "model", "name"})


@cache  # asked for each test
def value_names(endpoint: str | None, serve: str | None) -> tuple[str, ...] | None:
    """What a test may give the server, in order; None of a server that is not started here."""
    if serve is not None:
        return tuple(name for name in placeholders(serve) if name != PORT)
    if endpoint not in OWN:
        return None
    return tuple(
        name for name in vars(_parser(str(endpoint)).parse_args(["--port=1"])) if name not in _NOT_VALUES
    )


def _parser(own: str) -> argparse.ArgumentParser:
    if own == "embedded":
        return embedded.parser()
    from pytest_llmserve.simulator.cli import parser  # all of the simulator's settings come with it

    return parser()


def check_served(endpoint: str | None, serve: str) -> None:
    """Tell what is wrong with `--llm-serve`, and with an `--llm-endpoint` beside it.

    Raises:
        SetupError: what, and what to write instead.
    """
    if endpoint in OWN:
        raise SetupError(f"--llm-serve and --llm-endpoint={endpoint} name two servers: leave one of them out")
    check_command(serve, port_is_fixed=endpoint is not None and PLACE not in endpoint)
    if endpoint is not None:
        target_from_url(endpoint.replace(PLACE, "1"))


def command_for(endpoint: str | None, serve: str | None, port: int, values: Values) -> list[str]:
    """The command that serves at a port with these values.

    Raises:
        SetupError: it cannot be run.
        MissingExtra: the embedded server's packages are not installed.
    """
    if serve is not None:
        return command_from(serve, port, values)
    return [
        *OWN[str(endpoint)](port),
        *(word for name, value in values.items() for word in _option(name, value)),
    ]


def _option(name: str, value: ServeValue) -> list[str]:
    given = value if isinstance(value, tuple) else (value,)
    return [f"--{name.replace('_', '-')}={each}" for each in given]


def key_of(values: Values) -> str:
    """What makes two servers the same: the words they are started with, so that 1 and "1" are one value."""
    return "\n".join(f"{name}={value}" for name, value in values.items())


def start_server(
    endpoint: str | None, serve: str | None, values: Values, folder: Path, cwd: Path | None, port: int | None
) -> tuple[ServerProcess, str]:
    """Start a server of ours, or join the one that another process of this session has started.

    Args:
        endpoint: with `serve` a URL, perhaps with `{port}`; else a name of `OWN`.
        serve: the command, or None.
        values: for its placeholders.
        folder: of the session.
        cwd: the server's working directory.
        port: to take if it is free, where any would do.

    Returns:
        The server, and its URL.

    Raises:
        SetupError: the command cannot be run, or its port is taken.
        PortLingers: its port is held by connections alone.
    """
    template = _ANYWHERE if serve is None or endpoint is None else endpoint
    key = "\n".join([str(serve), str(endpoint), key_of(values)])
    make = partial(command_for, endpoint, serve, values=values)
    # Else what a Python server prints comes in blocks, some of it after a crash never.
    env = {} if "PYTHONUNBUFFERED" in os.environ else {"PYTHONUNBUFFERED": "1"}
    server, found = shared_start(key, folder, make, env=env, cwd=cwd, pick=partial(pick_port, template, port))
    return server, template.replace(PLACE, str(found))

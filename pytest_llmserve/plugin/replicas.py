"""The options that name several servers or models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.measure.port import PLACE
from pytest_llmserve.measure.serving import OWN
from pytest_llmserve.plugin.options import named_server, value

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""Of a header's name: RFC 9110, 5.6.2."""


def check_replicas(config: pytest.Config) -> None:
    """Raise SetupError where one of these options is wrong."""
    endpoints, serve = named_server(config)
    if serve is None:
        check_endpoints(endpoints)
    elif len(endpoints) > 1:
        raise SetupError(
            f"--llm-serve starts one server, and --llm-endpoint names {len(endpoints)}: give the one at which"
            " it listens, or start them yourself and leave --llm-serve out"
        )
    check_models(value(config, "--llm-model") or [])
    replica_header(config)


def replica_fields(config: pytest.Config) -> dict[str, Any]:
    """Those of a `ServerWish` that these options give."""
    endpoints, models = named_server(config)[0], value(config, "--llm-model") or []
    return {
        "endpoint": next(iter(endpoints), None),
        "others": tuple(endpoints[1:]),
        "model": next(iter(models), None),
        "models": tuple(models),
        "replica_header": replica_header(config),
    }


def check_endpoints(endpoints: Sequence[str]) -> None:
    """Each is a URL, or the name of a server of ours that is alone.

    Raises:
        SetupError: what is wrong with the first that is not.
    """
    own = next((endpoint for endpoint in endpoints if endpoint in OWN), None)
    if own is not None and len(endpoints) > 1:
        raise SetupError(
            f"--llm-endpoint={own} starts a server of its own and stands alone: leave the other endpoints out"
        )
    seen: set[str] = set()
    for endpoint in endpoints if own is None else ():
        if PLACE in endpoint:
            raise SetupError(
                f"--llm-endpoint={endpoint}: {PLACE} is the port of a server that --llm-serve starts: give"
                " --llm-serve='CMD --port {port}' beside it, or the port at which the server listens"
            )
        url = target_from_url(endpoint).url
        if url in seen:
            raise SetupError(f"--llm-endpoint names {url} twice: give each replica once")
        seen.add(url)


def check_models(models: Sequence[str]) -> None:
    """Raise SetupError where a model is named twice."""
    twice = next((model for place, model in enumerate(models) if model in models[:place]), None)
    if twice is not None:
        raise SetupError(f"--llm-model names {twice} twice: give each model once")


def replica_header(config: pytest.Config) -> str | None:
    """The header of answers that names who gave them, in lower case; None without --llm-replica-header.

    Raises:
        SetupError: HTTP has no such header.
    """
    name = value(config, "--llm-replica-header")
    if name and not _TOKEN.fullmatch(name):
        raise SetupError(
            f"--llm-replica-header {name!r}: give the name of a header alone, such as x-served-by"
        )
    return name.lower() if name else None

"""Options that say nothing, or do not fit together: told at the start, not passed over."""

from __future__ import annotations

import os

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.target import Target
from pytest_llmserve.plugin.options import LISTS, OPTIONS, given_here, has_server, value

REQUEST, ANSWER = "--llm-json-request", "--llm-json-answer"
_TEXTS = ("string", *LISTS)
_MAY_BE_EMPTY = frozenset({"--llm-endpoint", "--llm-serve", "--llm-header"})
"""An empty server is none, as of `"$URL"` in a script; an empty header has words of its own."""


def check_empty(config: pytest.Config) -> None:
    """Raise SetupError where the command line gives an option without a value."""
    faults = []
    for option in OPTIONS:
        given = config.getoption(option.key)
        texts = given if isinstance(given, list) else [given]
        if option.kind not in _TEXTS or option.flag in _MAY_BE_EMPTY or given is None:
            continue
        if not all(text.strip() for text in texts):
            faults.append(f"{option.flag} is empty: give {option.metavar}, or leave it out")
    if faults:
        raise SetupError("\n".join(faults))


def check_json_options(config: pytest.Config) -> None:
    """The template can be filled, and what belongs to some APIs is not given for another.

    Raises:
        SetupError: what is wrong, and what to do.
    """
    request, api = value(config, REQUEST), value(config, "--llm-api")
    if not request and not value(config, ANSWER):
        return
    from pytest_llmserve.dialects import DESCRIBED, dialect

    if api != "auto" and api not in DESCRIBED:
        dialect(api)  # one that does not exist is told in its own words
        _check_api(config, api)
        return
    if request and has_server(config):
        models = value(config, "--llm-model") or [None]
        target = Target(
            scheme="http", host="localhost", port=80, model=models[0], json_request=request, stream=False
        )
        dialect(api if api in DESCRIBED else "json").encode(target, "Hi", {})


def _check_api(config: pytest.Config, api: str) -> None:
    """What waits in the ini file for such an API is no fault beside one that the command line names."""
    here = given_here(config)
    named = [
        flag
        for flag in (REQUEST, ANSWER)
        if value(config, flag) and (flag in here or "--llm-api" not in here)
    ]
    if named:
        raise SetupError(
            f"{' and '.join(named)} {'are' if len(named) > 1 else 'is'} for the APIs json and gradio, and"
            f" --llm-api={api} names another: leave one of them out"
        )


def check_pid(config: pytest.Config) -> None:
    """Raise SetupError where --llm-server-pid names no process of this machine."""
    pid = value(config, "--llm-server-pid")
    if pid is None:
        return
    if pid < 1:  # to the system these are groups of processes
        raise SetupError(f"--llm-server-pid {pid}: give the number of a process, from 1 on")
    try:
        os.kill(pid, 0)  # sends nothing
    except PermissionError:
        return
    except (ProcessLookupError, OverflowError):
        raise SetupError(
            f"--llm-server-pid {pid}: there is no such process here: give the server's own, or leave it out:"
            " a server on this machine is found by its port"
        ) from None

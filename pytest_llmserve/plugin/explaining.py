"""--llm-explain: how the server is found out, without a test."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from pytest_llmserve.domain.errors import LlmServeError
from pytest_llmserve.measure.explain import explain
from pytest_llmserve.plugin.options import NO_ENDPOINT, has_server, named_server
from pytest_llmserve.plugin.settings import server_wish
from pytest_llmserve.plugin.state import state_of
from pytest_llmserve.reports.explain import section_lines


def explain_server(config: pytest.Config) -> int:
    """Print how the server is found out; 0, or 1 when it cannot be used.

    Raises:
        pytest.UsageError: no server is named, or an option is wrong.
    """
    if not has_server(config):
        raise pytest.UsageError(NO_ENDPOINT)

    def say(heading: str, texts: Sequence[str]) -> None:
        sys.stdout.write("\n".join([*section_lines(heading, texts), ""]))
        sys.stdout.flush()

    say("server", [next(filter(None, named_server(config)))])
    try:
        usable = explain(server_wish(config), state_of(config).folder, say)
    except LlmServeError as error:
        raise pytest.UsageError(str(error)) from None
    return int(pytest.ExitCode.OK if usable else pytest.ExitCode.TESTS_FAILED)

"""--llm-explain: how the server is found out, without a test."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_llmserve.domain.errors import LlmServeError
from pytest_llmserve.measure.explain import explain
from pytest_llmserve.plugin.given import default_values_of, lacking_values
from pytest_llmserve.plugin.options import NO_ENDPOINT, has_server, named_server
from pytest_llmserve.plugin.settings import server_wish
from pytest_llmserve.reports.explain import section_lines
from pytest_llmserve.reports.server_text import server_line

if TYPE_CHECKING:
    from pytest_llmserve.measure.opening import OpenServer
    from pytest_llmserve.serve.command import ServeValue


def tell_opened(config: pytest.Config, opened: OpenServer) -> None:
    """One line on how the server is spoken to, where pytest captures nothing: else the summary has it."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.getoption("capture", "no") != "no" or config.get_verbosity() < 0:
        return
    reporter.write_line(f"llmserve: {opened.endpoint.redact(server_line(opened.document))}")


def _values(config: pytest.Config) -> dict[str, ServeValue]:
    """What the command is started with, where no test gives it any.

    Raises:
        pytest.UsageError: the ini file lacks some.
    """
    serve = named_server(config)[1]
    values = default_values_of(config)
    if lacking := list(lacking_values(serve, values)):
        raise pytest.UsageError("\n".join(lacking))
    return values


def explain_server(config: pytest.Config, folder: Path) -> int:
    """Print how the server is found out; 0, or 1 when it cannot be used.

    Args:
        config: of the session.
        folder: for what is written while the server runs.

    Raises:
        pytest.UsageError: no server is named, or an option is wrong.
    """
    if not has_server(config):
        raise pytest.UsageError(NO_ENDPOINT)

    def say(heading: str, texts: Sequence[str]) -> None:
        sys.stdout.write("\n".join([*section_lines(heading, texts), ""]))
        sys.stdout.flush()

    wish = replace(server_wish(config), values=_values(config))
    endpoints, serve = named_server(config)
    say("server", [*([serve] if serve else []), *endpoints])
    try:
        usable = explain(wish, folder, say)
    except LlmServeError as error:
        raise pytest.UsageError(str(error)) from None
    return int(pytest.ExitCode.OK if usable else pytest.ExitCode.TESTS_FAILED)

"""Sees to it that each test has the server that it asks for."""

from __future__ import annotations

from typing import Any

import pytest


class Served:
    """A plugin of its own, one a session with a server.

    Args:
        fixtures: the names of those that need the server.
    """

    NAME, ARGUMENT = "llmserve-served", "llm_server"

    def __init__(self, fixtures: frozenset[str]) -> None:
        self._fixtures = fixtures

    def pytest_make_parametrize_id(self, config: pytest.Config, val: Any, argname: str) -> str | None:
        """Name the cases of a test by the values of their servers: test_x[workers=2]."""
        if argname != self.ARGUMENT:
            return None
        from pytest_llmserve.measure.serving import value_names
        from pytest_llmserve.plugin.given import served, text_of

        return text_of(val, value_names(*served(config)) or ())

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Whatever fixtures were kept from tests before: the server is the one for this test.

        Here a server that does not start fails the test. From a fixture of the session it would fail all
        tests that follow, those with other values too.
        """
        planned = item.config.getoption("setupplan", False)  # shown, and not set up
        if self._uses_server(item) and not planned:
            from pytest_llmserve.plugin.state import state_of

            state_of(item.config).open()

    def _uses_server(self, item: pytest.Item) -> bool:
        return not self._fixtures.isdisjoint(getattr(item, "fixturenames", ()))

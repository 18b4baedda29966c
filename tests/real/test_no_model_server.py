"""What serves, but no model: it is told so, not taken for anything."""

from __future__ import annotations

import sys

import pytest

from pytest_llmserve.dialects import DIALECTS
from pytest_llmserve.domain.errors import ServerUnusable
from tests.real.serving import served


def test_a_plain_web_server_is_none_of_them(tmp_path):
    """Python's own, which lists a folder: each API that was looked for is named, and what to give."""
    command = [
        sys.executable,
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        "--directory",
        str(tmp_path),
        "{port}",
    ]
    with pytest.raises(ServerUnusable) as refused, served(command, tmp_path / "server"):
        pass
    assert str(refused.value).startswith(f"none of: {', '.join(DIALECTS)} is spoken at http://127.0.0.1:")
    assert "name the API with --llm-api" in str(refused.value)

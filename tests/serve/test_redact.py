"""Keys stay out of messages."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.target import Target
from pytest_llmserve.serve.redact import redact

TARGET = Target(
    scheme="http",
    host="h",
    port=1,
    headers=(
        ("Authorization", "Bearer sk-12345678"),
        ("X-Api-Key", "abc-secret"),
        ("X-Auth", "abc"),
        ("X-Tenant", "tests"),
    ),
)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("bad header 'Bearer sk-12345678'", "bad header '***'"),
        ("Incorrect key: sk-12345678.", "Incorrect key: ***."),
        ("key abc-secret for tests", "key *** for tests"),
        ("abc is too short to be a secret", "abc is too short to be a secret"),
        ("a line that was cut at sk-1234...", "a line that was cut at ***..."),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_secret_values_are_hidden(text, clean):
    """Values of headers with secret names go, with and without their scheme, whole or cut."""
    assert redact(text, TARGET) == clean

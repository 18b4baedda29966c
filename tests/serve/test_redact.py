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
        ("X-Tenant", "all of us"),
        ("Accept", "text/plain"),
    ),
)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("bad header 'Bearer sk-12345678'", "bad header '***'"),
        ("Incorrect key: sk-12345678.", "Incorrect key: ***."),
        ("key abc-secret for all of us", "key *** for ***"),
        (
            "whatever its name, not each of its words: all, us",
            "whatever its name, not each of its words: all, us",
        ),
        ("but what says nothing of who asks: text/plain", "but what says nothing of who asks: text/plain"),
        ("abc is too short to be a secret", "abc is too short to be a secret"),
        ("a line that was cut at sk-1234...", "a line that was cut at ***..."),
        ("'Bearer sk-123...' instead of 'sk-12345\u2026'", "'***...' instead of '***\u2026'"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_secret_values_are_hidden(text, clean):
    """Values of headers with secret names go, with and without their scheme, whole or cut."""
    assert redact(text, TARGET) == clean


def test_secrets_of_further_headers_are_hidden():
    """Those that are secret by their name, or that the target has too."""
    further = (("X-Session", "other-one"), ("x-tenant", "them"), ("X-Trace", "shown"))
    assert redact("other-one, them, shown", TARGET, further) == "***, ***, shown"

"""Header options to headers."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.measure.opening import request_headers


def test_lines_become_headers():
    """Split at the first colon, blanks around it dropped."""
    assert request_headers(["X-Tenant: a:b", "X-Other:c "], None) == (("X-Tenant", "a:b"), ("X-Other", "c"))


def test_the_key_is_a_bearer_token():
    """From the variable named, blanks and the line end dropped."""
    found = request_headers([], "KEY", {"KEY": " sk-1\n"})
    assert found == (("Authorization", "Bearer sk-1"),)


@pytest.mark.parametrize("environment", [{}, {"KEY": ""}, {"KEY": "  "}])
def test_a_missing_key_names_its_variable(environment):
    """Not sent as an empty token."""
    with pytest.raises(SetupError) as caught:
        request_headers([], "KEY", environment)
    assert str(caught.value) == "--llm-api-key-env KEY: the environment variable is not set, or empty"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sk-secret", "--llm-header: write 'Name: value' on one line"),
        ("X-A: b\r\nX-Injected: c", "--llm-header 'X-A': write 'Name: value' on one line"),
        (": value", "--llm-header '': write 'Name: value' on one line"),
    ],
)
def test_a_line_that_is_no_header_is_refused(line, said):
    """Without repeating what may be a secret."""
    with pytest.raises(SetupError) as caught:
        request_headers([line], None)
    assert str(caught.value) == said

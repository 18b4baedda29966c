"""The table of dialects: known names, lazy imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_llmserve.dialects import DIALECTS, dialect
from pytest_llmserve.domain.errors import SetupError


@pytest.mark.parametrize("name", DIALECTS)
def test_each_row_leads_to_a_dialect_of_that_name(name: str) -> None:
    assert dialect(name).name == name


@pytest.mark.parametrize(("name", "hint"), [("openai_chat", "did you mean openai-chat? "), ("smtp", "")])
def test_an_unknown_name_is_answered_with_the_known_ones(name: str, hint: str) -> None:
    with pytest.raises(SetupError) as caught:
        dialect(name)
    assert str(caught.value) == f"--llm-api: no API {name!r}; {hint}known: auto, {', '.join(DIALECTS)}"


def test_the_table_alone_imports_no_dialect() -> None:
    code = (
        "import sys, pytest_llmserve.dialects as d; d.dialect('json');"
        "print([m for m in sys.modules if m.startswith('pytest_llmserve.dialects.openai')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "[]"

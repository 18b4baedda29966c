"""The text of --llm-explain."""

from __future__ import annotations

from pytest_llmserve.reports.explain import section_lines


def test_a_section_is_wrapped_and_no_word_is_lost():
    """Every line fits, one without a blank in it too; what goes on is indented more."""
    command = "curl http://127.0.0.1:8000/v1/chat/completions --data-binary " + '{"a":"' + "b" * 100 + '"}'
    lines = section_lines("first request", [command, "answered in 4 chunks"])
    assert lines[0] == "first request"
    assert lines[1].startswith("  curl http://127.0.0.1:8000/v1/chat/completions --data-binary ")
    assert lines[-1] == "  answered in 4 chunks"
    assert max(map(len, lines)) <= 80
    assert all(line.startswith("    ") for line in lines[2:-1])
    assert "".join(line.strip() for line in lines[1:-1]) == command


def test_a_section_without_texts_is_its_heading():
    assert section_lines("asked", []) == ["asked"]

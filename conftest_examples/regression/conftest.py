"""The prompts: what is compared must be asked the same."""

import pytest

QUESTIONS = [
    "What is the capital of France?",
    "Name three rivers.",
    "Why is the sky blue?",
    "Write a line about the sea.",
]


@pytest.fixture(scope="session")
def questions():
    return QUESTIONS

"""What the tests of this folder share: the prompts, and how long an answer may be."""

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

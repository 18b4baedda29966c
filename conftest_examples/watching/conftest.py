"""The prompts, and a way to leave out what nobody tells of this server."""

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


@pytest.fixture
def peak(llm_resources):
    """The highest reading of a figure so far; skips with the reason where it was not read."""

    def of(figure):
        found = llm_resources.peak(figure)
        if found is None:
            pytest.skip(f"{figure}: {llm_resources.window().why(figure) or 'nobody tells it of this server'}")
        return found

    return of

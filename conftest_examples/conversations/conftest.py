"""What people say to the model, one line of questions.jsonl each, and a talk of three turns."""

from pathlib import Path

import pytest

from pytest_llmserve.prompts import Conversation, from_jsonl

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def questions():
    return from_jsonl(
        HERE / "questions.jsonl", "{question}\nA: {answer_a}\nB: {answer_b}\nAnswer with a letter."
    )


@pytest.fixture(scope="session")
def talks():
    return [
        Conversation(
            [f"Tell me about {river}.", "Where does it begin?", "And which towns lie on it?"],
            system="You are a guide for travellers. Answer in one sentence.",
        )
        for river in ("the Danube", "the Loire", "the Tagus")
    ]

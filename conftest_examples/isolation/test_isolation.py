"""Two jobs of one model do not get into each other's way.

cd conftest_examples/isolation && pytest
cd conftest_examples/isolation && pytest --llm-serve "python app.py --shared-prompt --port {port}"   # fails
"""

import pytest

from pytest_llmserve import Task

SENTIMENT = Task(
    "sentiment",
    [
        "The room was clean and the staff friendly.",
        "It broke on the first day.",
        "I would buy it again.",
        "Waste of money.",
        "My best holiday ever.",
        "I hate waiting in line.",
        "The soup tasted awful.",
        "She smiled and thanked us.",
        "Great sound, great price.",
        "The train was late again.",
    ],
    # The form, not the truth: a small model errs in a third of the cases, and that is another test's matter.
    check={"positive", "negative"},
    params={"task": "sentiment", "temperature": 0},
)
CHAT = Task(
    "chat",
    [
        "Tell me about dogs.",
        "What do you do on a rainy day?",
        "How are you today?",
        "Tell me a story about the sea.",
        "What is your favourite food?",
        "Where would you like to travel?",
    ],
    check=lambda text: len(text.split()) > 2,
    params={"task": "chat", "temperature": 0},
)


@pytest.mark.isolation
@pytest.mark.error_rate(max=0.02)
def test_the_jobs_do_not_mix(llm_tasks):
    # This app does what its jobs are and repeats no marks: no canaries, and more questions asked alone.
    llm_tasks(SENTIMENT, CHAT, users=8, requests=240, alone=40, canaries=False)

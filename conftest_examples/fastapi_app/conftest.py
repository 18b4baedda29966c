"""What the tests of this folder share."""

import pytest


@pytest.fixture(scope="session")
def questions():
    return ["What is the capital of France?", "Name three rivers.", "Why is the sky blue?"]

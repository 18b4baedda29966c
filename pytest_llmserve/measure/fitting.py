"""Whether the options fit what the server was found to be."""

from __future__ import annotations

from pytest_llmserve.dialects import DESCRIBED
from pytest_llmserve.domain.errors import ServerUnusable
from pytest_llmserve.serve.endpoint import Endpoint


def check_answer_path(endpoint: Endpoint, json_answer: str | None) -> None:
    """Raise ServerUnusable where a path to the answer is given, and the API that was found has its own."""
    if json_answer is not None and endpoint.api not in DESCRIBED:
        raise ServerUnusable(
            f"{endpoint.url} is spoken to as {endpoint.api}, because {endpoint.because};"
            f" --llm-json-answer is for the APIs {' and '.join(DESCRIBED)}: leave it out, or give"
            " --llm-api=json"
        )

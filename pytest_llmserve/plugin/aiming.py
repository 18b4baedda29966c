"""Where a load goes."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_llmserve.dialects.asked_texts import texts_in
from pytest_llmserve.domain.entry import to_plain
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.target import Target
from pytest_llmserve.load.prompt_sets import PromptSet
from pytest_llmserve.load.trace import read_trace
from pytest_llmserve.serve.endpoint import Endpoint


def aimed(endpoint: Endpoint, plan: LoadPlan, asked: PromptSet) -> Target:
    """The target of a load; the endpoint then knows what it says, should the server's log repeat it."""
    endpoint.said.load(lambda: _said(plan, asked))
    return endpoint.target


def _said(plan: LoadPlan, asked: PromptSet) -> Iterator[str]:
    yield from texts_in(dict(plan.params))
    for manner in asked.manners.values():
        yield from texts_in(dict(manner.params))
    for entry in asked.prompts:
        yield from texts_in(to_plain(entry))
    if plan.trace is not None:
        for row in read_trace(plan.trace, plan.speed):
            yield from texts_in(row.prompt)

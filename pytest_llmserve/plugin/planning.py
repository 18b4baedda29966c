"""From markers, options and the keywords of a call to what a run sends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_llmserve.checks import no_early_end
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.keywords import build
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.load.prompt_sets import PromptSet, as_prompt_set
from pytest_llmserve.load.spec import LoadSpec, overridden
from pytest_llmserve.plugin.markers import Wishes
from pytest_llmserve.plugin.options import value
from pytest_llmserve.plugin.promptfile import default_prompts


def planned(
    config: pytest.Config, wishes: Wishes, keywords: Mapping[str, Any], call: str = "llm_load"
) -> LoadPlan:
    """The plan of one run: the marker's keywords, those of the `call` over them.

    Raises:
        SetupError: a keyword is wrong, or nothing that is asked for could end the run.
    """
    spec = build(LoadSpec, call, (), overridden(wishes.load or {}, keywords))
    if spec.until is not None and not any(check.stops_early for check in wishes.checks):
        raise SetupError(f"{call}: {no_early_end()}")
    errors = wishes.check("error_rate")
    return spec.plan(
        scale=value(config, "--llm-scale"),
        workers=value(config, "--llm-load-workers"),
        retries=errors.retries if errors is not None else 0,
        transport=value(config, "--llm-transport"),
        folder=config.rootpath,
    )


def entries_of(prompts: object, config: pytest.Config) -> PromptSet:
    """The prompts of a call; those of --llm-prompts where it names none.

    Raises:
        SetupError: they are none.
    """
    try:
        return as_prompt_set(default_prompts(config) if prompts is None else prompts)
    except ValueError as error:
        raise SetupError(str(error)) from None

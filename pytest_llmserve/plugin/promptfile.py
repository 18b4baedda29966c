"""--llm-prompts: read once, when the session starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.load.prompt_list import PromptList
from pytest_llmserve.plugin.options import value

FLAG = "--llm-prompts"

_READ = pytest.StashKey[PromptList]()


def default_prompts(config: pytest.Config) -> PromptList | None:
    """The prompts of the file, None without the option; a relative path from where pytest was started.

    Raises:
        SetupError: the file cannot be read, or holds no prompts.
    """
    named = value(config, FLAG)
    if not named:
        return None
    if _READ not in config.stash:
        from pytest_llmserve.load.source_endings import from_file, named_file

        try:
            name, field = named_file(named)
            path = config.invocation_params.dir / Path(name).expanduser()
            config.stash[_READ] = from_file(path, field)
        except (SetupError, RuntimeError) as error:
            raise SetupError(f"{FLAG}: {error}") from None
    return config.stash[_READ]

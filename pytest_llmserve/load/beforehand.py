"""What can be wrong with the user's prompts and parameters, found before a worker starts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial

from pytest_llmserve.dialects import dialect
from pytest_llmserve.dialects.encoding import asked
from pytest_llmserve.domain.entry import Entry, all_said, conversations_in, to_plain
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.task import Manner
from pytest_llmserve.load.http import request_bytes
from pytest_llmserve.load.requests import request_of
from pytest_llmserve.load.trace import TraceRow


def prompts_json(prompts: Sequence[Entry]) -> bytes:
    """All prompts as a JSON list. Raises SetupError: there is none, or one is no JSON value."""
    if not prompts:
        raise SetupError("no prompts: give at least one")
    written = []
    for place, prompt in enumerate(prompts):
        try:
            written.append(json.dumps(to_plain(prompt)))
        except (TypeError, ValueError, RecursionError) as error:
            raise SetupError(
                f"prompts[{place}] cannot be written as JSON: {error}; give texts, numbers, lists and dicts"
            ) from None
    return f"[{','.join(written)}]".encode()


def try_encoding(
    target: Target,
    plan: LoadPlan,
    prompts: Sequence[Entry],
    rows: Sequence[TraceRow],
    tasks: Sequence[str] = (),
    manners: Mapping[str, Manner] | None = None,
) -> None:
    """Let the user's faults show here, not in a worker. Raises SetupError."""
    if plan.is_open and any(conversations_in(prompts)):
        raise SetupError(
            f"conversations are for users, who wait for an answer before they go on: give users= or stages=,"
            f" not {_kind(plan)}="
        )
    spoken = dialect(target.api)
    encode = partial(asked, spoken)
    request_bytes(target, encode(target, all_said(prompts[0]), plan.params))
    for place, prompt in enumerate(prompts):
        manner = manners.get(tasks[place]) if manners else None
        said = all_said(prompt)
        if manner is None:
            encode(target, said, plan.params)
        else:
            request_of(target, spoken, said, plan.params, manner)
    limited = next((fields for row in rows if (fields := row.params) is not None), None)
    if limited is not None:
        encode(target, all_said(prompts[0]), {**plan.params, **limited})


def _kind(plan: LoadPlan) -> str:
    return "trace" if plan.trace is not None else "rate" if plan.rate is not None else "rate_stages"

"""`llm_load.sweep`: its arguments, and its place in the test."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_llmserve.checks.lengths import LengthSweep
from pytest_llmserve.domain.errors import ServerUnusable, SetupError
from pytest_llmserve.measure.sweep import Lengths, checked, swept
from pytest_llmserve.plugin.planning import planned
from pytest_llmserve.plugin.warned import AS_ERRORS, warned

if TYPE_CHECKING:
    from pytest_llmserve.plugin.testrun import OnProgress, TestRun

SWEEPS = "sweeps"
ONLY_SWEPT = "the test ran llm_load.sweep alone, whose requests no marker judges: call llm_load() too"
KEYWORDS = (
    "max_tokens",
    "params",
    "stream",
    "nonce",
    "seed",
    "think_time",
    "timeout",
    "connect_timeout",
    "first_byte_timeout",
    "idle_timeout",
)
"""Of the `load` marker, those that a sweep takes; the others say when a load is sent and when it ends."""


def sweep(
    test: TestRun,
    lengths: object,
    requests: int,
    users: int,
    unit: str,
    prompt: str | None,
    keywords: Mapping[str, Any],
    stop: threading.Event | None = None,
    on_progress: OnProgress | None = None,
) -> LengthSweep:
    """Run a sweep within a test, and note it for the report.

    Raises:
        SetupError: an argument is wrong.
        LlmServeError: it came to nothing, or no request was answered.
    """
    strange = [name for name in keywords if name not in KEYWORDS]
    if strange:
        raise SetupError(f"llm_load.sweep: no keyword {strange[0]!r}, known: {', '.join(KEYWORDS)}")
    given = tuple(lengths) if isinstance(lengths, Iterable) and not isinstance(lengths, str) else (lengths,)
    wish = checked(Lengths(given, requests, unit, "" if prompt is None else prompt))
    of_marker = {name: value for name, value in (test.wishes.load or {}).items() if name in KEYWORDS}
    own = {**of_marker, **keywords, "users": users, "requests": requests * len(given)}
    plan = planned(test.state.config, replace(test.wishes, load=None), own)
    assert test.watch is not None
    endpoint = test.state.open().endpoint
    endpoint.said.load(lambda: [wish.front])
    target = endpoint.target
    with test.shown(plan, on_progress) as progress:
        found = swept(target, wish, plan, test.state.run_folder(), test.watch, stop=stop, progress=progress)
    test.noted.setdefault(SWEEPS, []).append(
        {"plan": found.run.plan.describe() if found.run is not None else "", **found.as_json()}
    )
    _mind_failures(test, found)
    return found


def _mind_failures(test: TestRun, found: LengthSweep) -> None:
    """No cliff and no limit of a server that does not answer would be none in a test's `assert`.

    Raises:
        ServerUnusable: no request was answered.
        SetupError: the user's filters make an error of the warning that failures left nothing to judge.
    """
    failed = [row for row in found.rows if row.failed]
    if failed and all(row.failed == row.n for row in found.rows):
        raise ServerUnusable(f"llm_load.sweep: no request was answered: {failed[0].error or failed[0].told}")
    if failed and found.no_cliff is not None:
        text = f"llm_load.sweep: a cliff was not looked for, as requests failed: {found.no_cliff}"
        if not warned(test.item, SWEEPS, text):
            raise SetupError(f"{text}; {AS_ERRORS}")

"""What hypothesis is told when it is imported: the profile `llmserve`, and how to draw our types.

Called through the entry point, so in every project that has this package and imports hypothesis: quick, and
nothing is imported that is not needed at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PROFILE = "llmserve"

DRAWN_FROM: dict[str, tuple[str, dict[str, Any]]] = {
    "HostilePrompt": ("hostile_prompts", {}),
    "SamplingParams": ("sampling_params", {}),
    "WrongSamplingParams": ("sampling_params", {"valid": False}),
    "MalformedBody": ("malformed_bodies", {}),
}
"""Type -> the strategy that draws it, and its arguments."""


def setup() -> None:
    """Register the profile and the types. Called by hypothesis, once, at the end of its import."""
    # Within: hypothesis imports this module, which must not import hypothesis to be imported.
    from hypothesis import strategies as st

    from pytest_llmserve.strategies import kinds

    _register_profile()
    for name in DRAWN_FROM:
        st.register_type_strategy(getattr(kinds, name), _drawing(name))


def _register_profile() -> None:
    """Each example is a request that takes seconds, and the same run must give the same verdict.

    - No deadline: a model's answer takes longer than any function.
    - 20 examples: some hundred would take minutes.
    - Derandomized: the same inputs in each run, so that a pipeline does not go red by the luck of the draw
      and a failure is found again without a database; the blob replays it alone.
    - Shrinking stays: "fails from 4097 characters on" is what a report is for, and long inputs are drawn as
      (unit, count), which takes some dozens of requests. Hypothesis ends it after 5 minutes or 500 steps.
    - One failure is reported: after the first one a server may be gone, and that is no fault of other inputs.
    - No explaining: that sends many more requests after the shortest failing one is found.
    """
    from hypothesis import HealthCheck, Phase, settings

    settings.register_profile(
        PROFILE,
        max_examples=20,
        stateful_step_count=10,
        deadline=None,
        derandomize=True,
        print_blob=True,
        report_multiple_bugs=False,
        phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )


def _drawing(name: str) -> Callable[[Any], Any]:
    strategy, arguments = DRAWN_FROM[name]

    def draw(_: Any) -> Any:
        from pytest_llmserve import strategies

        return getattr(strategies, strategy)(**arguments)

    return draw

"""The form in which users write stages: `[(2, "5m"), ((2, 20), "1m")]`."""

from __future__ import annotations

from pytest_llmserve.domain.keywords import not_negative, whole
from pytest_llmserve.domain.plan import Stage
from pytest_llmserve.domain.units import duration_ns

_FORM = 'write [(2, "5m"), ((2, 20), "1m")]'


def user_stages(value: object) -> tuple[Stage, ...]:
    """Stages of users. Raises ValueError."""
    return _stages(value, whole_number=True)


def rate_stages(value: object) -> tuple[Stage, ...]:
    """Stages of requests per second. Raises ValueError."""
    return _stages(value, whole_number=False)


def _stages(value: object, whole_number: bool) -> tuple[Stage, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"{value!r} is not a list of stages: {_FORM}")
    stages = []
    for number, entry in enumerate(value, 1):
        try:
            stages.append(_stage(entry, whole_number))
        except ValueError as error:
            raise ValueError(f"stage {number}: {error}") from None
    if all(stage.begin == stage.end == 0 for stage in stages):
        raise ValueError("no stage is over 0")
    return tuple(stages)


def _stage(entry: object, whole_number: bool) -> Stage:
    if not isinstance(entry, (list, tuple)) or len(entry) != 2:
        raise ValueError(f"{entry!r} is not (level, length): {_FORM}")
    level, length = entry
    ends = level if isinstance(level, (list, tuple)) else (level, level)
    if len(ends) != 2:
        raise ValueError(f"{level!r} is neither a number nor a pair of numbers: {_FORM}")
    begin, end = (float(whole(at)) if whole_number else not_negative(at) for at in ends)
    duration = duration_ns(length)
    if duration == 0:
        raise ValueError("has no length")
    return Stage(begin, end, duration)

"""A step in latencies over the length of the input, beyond what a smooth law of growth explains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from numpy import ndarray

LEAST_LENGTHS, LEAST_VALUES = 4, 5
"""Fewer lengths are explained by a smooth law always; of fewer values a median's error is not known."""
LEAST_JUMP = 0.25
"""Of what the law has: a smaller step is of no account, whatever its probability."""
_LEAST_ERROR = 0.01  # of a median: no clock and no law is better
_STEEPER = 2.0
_RESAMPLES, _MEDIANS, _SEED = 200, 200, 20260


class Step(msgspec.Struct, frozen=True):
    """Latency jumps from one length to the next.

    Attributes:
        at: index of the length before the jump.
        below, above: medians on either side of it.
        expected: median above, as the law without a step has it that fits the lengths up to there.
        p: how often chance alone would make a step that explains as much.
    """

    at: int
    below: float
    above: float
    expected: float
    p: float


def step_in(lengths: Sequence[float], values: Sequence[Sequence[float]], alpha: float = 0.01) -> Step | None:
    """The step that explains most, where it is beyond chance and of account; else None.

    The law is a + b * sqrt(length) + c * length + d * length^2, none of them negative: a request's own time,
    growth that slows down, work that grows with the length, and attention's, which grows with its square. It
    is fitted to the medians, each weighted by its error. A step between two lengths is judged by how much
    better the law fits with it (likelihood ratio, the greatest over all places) than in medians that are
    drawn around the law without it, with their own errors (parametric bootstrap, Student's t; Davison and
    Hinkley 1997, 4.4). It has to be a quarter of the law's own value, and twice as steep as the growth
    beside it.

    Args:
        lengths: ascending, all different.
        values: of each length; of any unit.
        alpha: chance of a step where there is none.
    """
    if len(lengths) < LEAST_LENGTHS or min(map(len, values)) < LEAST_VALUES:
        return None
    import numpy as np

    draw = np.random.default_rng(_SEED)
    groups = [np.asarray(group, dtype=float) for group in values]
    medians = np.array([np.median(group) for group in groups])
    errors = _errors(groups, medians, draw)
    laws = _Laws(np.asarray(lengths, dtype=float), errors)
    smooth, gains = laws.gains(medians)
    at = int(np.argmax(gains))
    expected = laws.expected(medians, at)
    if not _of_account(lengths, medians, at, expected):
        return None
    noise = draw.standard_t(min(map(len, groups)) - 1, (_RESAMPLES, len(groups))) * errors
    beyond, allowed = 0, alpha * (1 + _RESAMPLES) - 1
    for each in noise:
        beyond += max(laws.gains(smooth + each)[1]) >= gains[at]
        if beyond > allowed:
            return None
    p = (1 + beyond) / (1 + _RESAMPLES)
    return Step(at, float(medians[at]), float(medians[at + 1]), expected, p)


class _Laws:
    """Fits of the law, with a step at each place and without."""

    def __init__(self, lengths: ndarray[Any, Any], errors: ndarray[Any, Any]) -> None:
        import numpy as np

        scaled = lengths / lengths[-1]
        self._smooth = np.column_stack([np.ones_like(scaled), scaled**0.5, scaled, scaled**2])
        self._weights = 1 / errors
        self._steps = [np.arange(len(lengths)) > at for at in range(len(lengths) - 1)]

    def gains(self, medians: ndarray[Any, Any]) -> tuple[ndarray[Any, Any], list[float]]:
        """(the law without a step at each length, by how much each step makes the misfit less)."""
        import numpy as np

        fit, misfit = self._fit(self._smooth, medians)
        stepped = [np.column_stack([self._smooth, step]) for step in self._steps]
        return fit, [misfit - self._fit(columns, medians)[1] for columns in stepped]

    def expected(self, medians: ndarray[Any, Any], at: int) -> float:
        """The law with a step at this place, less the step, at the next length."""
        import numpy as np
        from scipy.optimize import nnls

        columns = np.column_stack([self._smooth, self._steps[at]])
        found = nnls(columns * self._weights[:, None], medians * self._weights)[0]
        return float(self._smooth[at + 1] @ found[:-1])

    def _fit(self, columns: ndarray[Any, Any], medians: ndarray[Any, Any]) -> tuple[ndarray[Any, Any], float]:
        from scipy.optimize import nnls

        found, norm = nnls(columns * self._weights[:, None], medians * self._weights)
        return columns @ found, float(norm) ** 2


def _errors(groups: Sequence[ndarray[Any, Any]], medians: ndarray[Any, Any], draw: Any) -> ndarray[Any, Any]:
    """Error of each median: its own and that of all, relative to them, half and half.

    Half the middle 68 % of medians drawn anew: a few slow requests widen a standard deviation, not that. Of
    ten values alone it may come out far too small.
    """
    import numpy as np

    drawn = [np.median(draw.choice(group, (_MEDIANS, len(group))), axis=1) for group in groups]
    own = np.array([np.diff(np.percentile(each, (16, 84)))[0] / 2 for each in drawn])
    shared = medians * np.median(own / medians)
    errors: ndarray[Any, Any] = np.maximum(np.sqrt((own**2 + shared**2) / 2), _LEAST_ERROR * medians)
    return errors


def _of_account(lengths: Sequence[float], medians: ndarray[Any, Any], at: int, expected: float) -> bool:
    slopes = [
        float(medians[i + 1] - medians[i]) / (lengths[i + 1] - lengths[i]) for i in range(len(lengths) - 1)
    ]
    beside = max([0.0, *slopes[max(0, at - 1) : at], *slopes[at + 1 : at + 2]])
    jump = float(medians[at + 1]) - expected
    return jump > LEAST_JUMP * max(expected, float(medians[at])) and slopes[at] > _STEEPER * beside

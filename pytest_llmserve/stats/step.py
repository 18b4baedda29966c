"""A step in latencies over the length of the input, beyond what a smooth law of growth explains."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from numpy import ndarray

LEAST_LENGTHS, LEAST_VALUES = 4, 5
"""Fewer lengths are explained by a smooth law always; fewer values do not show how they scatter."""
LEAST_JUMP = 0.25
"""Of what the law has: a smaller step is of no account, whatever its probability."""
TIMES = (1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0)
"""Jumps that are tried to tell which would have been seen."""
POWER = 0.8
_STEEPER = 2.0
_DRAWS, _TRIALS, _SEED = 200, 50, 20260
_NEGATIVE, _SAME = -1e-9, 1 - 1e-9
_FITS, _WIDER, _LEAST_WIDER = 2, 4, 0.4


class Step(msgspec.Struct, frozen=True):
    """Latency jumps from one length to the next.

    Attributes:
        at: index of the length before the jump.
        below, above: medians on either side of it.
        expected: what is usual above, as the law without a step has it that fits the lengths up to there.
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
    is fitted to the middle of each length's values: the mean of the logarithms of their middle half, which a
    few slow requests do not move, and which does not leap between the two speeds of a server that has two,
    as a median does. A step is judged by how much better the law fits with it, the greatest over all places,
    than around the law without it, where what the values are as multiples of the law with it has changed
    lengths by chance (permutation of residuals; against the law without it a great step would hide behind
    itself). The fit has gone after the values, so what is left of them is widened by the root of 1 + 4/n, or
    of 1.4 if that is more: with it simulated servers of one speed and of two are accused about as often
    as `alpha` says. It has to be a quarter of the law's own value, and twice as steep as the growth beside
    it.

    Args:
        lengths: ascending, all different.
        values: of each length; of any unit, infinite for what never came.
        alpha: chance of a step where there is none.
    """
    if len(lengths) < LEAST_LENGTHS or min(map(len, values)) < LEAST_VALUES:
        return None
    sample = _Sample(lengths, values)
    gains = sample.laws.gains(sample.middles[None])[0]
    at = int(gains.argmax())
    expected = sample.laws.expected(sample.middles[None], at)
    if not sample.of_account(sample.middles[None], at, expected)[0]:
        return None
    chance = sample.laws.gains(sample.drawn(_DRAWS, at)).max(axis=1)
    p = (1 + int((chance >= gains[at] * _SAME).sum())) / (1 + _DRAWS)
    if p > alpha:
        return None
    return Step(at, sample.median(at), sample.median(at + 1), float(expected[0]), p)


def least_seen(
    lengths: Sequence[float], values: Sequence[Sequence[float]], alpha: float = 0.01
) -> list[float]:
    """Behind each length but the last, by how many times latency had to jump to be found in 4 of 5 cases.

    Each of `TIMES` is planted in the values, where they show no step of their own, and in values drawn from
    them. Infinite where not even the greatest would be found.

    Args:
        lengths: as of `step_in`.
        values: in which it finds nothing.
        alpha: its own.
    """
    sample = _Sample(lengths, values)
    found = []
    for at in range(len(lengths) - 1):
        place = bisect_left(TIMES, True, key=lambda times, at=at: sample.sees(at, times, alpha))  # type: ignore[misc]
        found.append(TIMES[place] if place < len(TIMES) else math.inf)
    return found


class _Sample:
    """Values of some lengths, their middles and the law that fits those."""

    def __init__(self, lengths: Any, values: Sequence[Any]) -> None:
        import numpy as np

        self._lengths, self._values = np.asarray(lengths, dtype=float), values
        finite = [value for group in values for value in group if math.isfinite(value)]
        most = max(finite, default=1.0)
        logs = [np.log(np.clip(np.asarray(group, dtype=float), 1e-9 * most, most)) for group in values]
        self._logs, self._draw = logs, np.random.default_rng(_SEED)
        self.middles = np.exp([_middle(group) for group in logs])
        self.laws, self._smooth = _fitted(self._lengths, self.middles)

    def median(self, place: int) -> float:
        """Of one length."""
        import numpy as np

        return float(np.median(self._values[place]))

    def drawn(self, draws: int, at: int | None = None) -> ndarray[Any, Any]:
        """Middles by chance around the law without a step: (draws, lengths).

        Args:
            draws: how often the values change lengths.
            at: what they are is told against the law with a step there; None = without one.
        """
        import numpy as np

        law = self._smooth if at is None else self.laws.stepped(self.middles, at)
        rest = [
            (group - np.log(usual)) * math.sqrt(1 + max(_WIDER / len(group), _LEAST_WIDER))
            for group, usual in zip(self._logs, law, strict=True)
        ]
        pool = self._draw.permuted(np.tile(np.concatenate(rest), (draws, 1)), axis=1)
        ends = np.cumsum([len(group) for group in rest])[:-1]
        changed = np.stack([_middle(part) for part in np.split(pool, ends, axis=1)], axis=1)
        found: ndarray[Any, Any] = np.exp(changed) * self._smooth
        return found

    def sees(self, at: int, times: float, alpha: float) -> bool:
        """Whether a jump behind a length would be found in `POWER` of all cases."""
        import numpy as np

        planted = np.where(np.arange(len(self._lengths)) > at, times, 1.0)
        jumped = [group + more for group, more in zip(self._logs, np.log(planted), strict=True)]
        other = _Sample(self._lengths, [np.exp(group) for group in jumped])
        chance = np.quantile(other.laws.gains(other.drawn(_DRAWS, at)).max(axis=1), 1 - alpha)
        trials = self.drawn(_TRIALS) * planted
        gains = other.laws.gains(trials)
        found = (gains.argmax(axis=1) == at) & (gains[:, at] > chance)
        found &= self.of_account(trials, at, other.laws.expected(trials, at))
        return bool(found.mean() >= POWER)

    def of_account(
        self, middles: ndarray[Any, Any], at: int, expected: ndarray[Any, Any]
    ) -> ndarray[Any, Any]:
        """Whether a step is large and steep enough: one truth for each row of (draws, lengths)."""
        import numpy as np

        slopes = np.diff(middles, axis=1) / np.diff(self._lengths)
        beside = np.column_stack(
            [np.zeros(len(middles)), slopes[:, max(0, at - 1) : at], slopes[:, at + 1 :][:, :1]]
        )
        large = middles[:, at + 1] - expected > LEAST_JUMP * np.maximum(expected, middles[:, at])
        found: ndarray[Any, Any] = large & (slopes[:, at] > _STEEPER * beside.max(axis=1))
        return found


def _middle(logs: ndarray[Any, Any]) -> ndarray[Any, Any]:
    """Mean of the middle half of the last axis."""
    import numpy as np

    count = logs.shape[-1]
    mean: ndarray[Any, Any] = np.sort(logs, axis=-1)[..., count // 4 : count - count // 4].mean(axis=-1)
    return mean


def _fitted(lengths: ndarray[Any, Any], middles: ndarray[Any, Any]) -> tuple[_Laws, ndarray[Any, Any]]:
    """(fits whose errors are in proportion to the law, the law at each length)."""
    smooth = middles
    for _ in range(_FITS):
        smooth = _Laws(lengths, smooth).smooth(middles)
    return _Laws(lengths, smooth), smooth


class _Laws:
    """Fits of the law to many rows of middles at once, with a step at each place and without."""

    def __init__(self, lengths: ndarray[Any, Any], scale: ndarray[Any, Any]) -> None:
        import numpy as np

        part = lengths / lengths[-1]
        self._columns = np.column_stack([np.ones_like(part), part**0.5, part, part**2])
        self._scale = scale
        self._plain = _NonNegative(self._columns / scale[:, None])
        steps = [np.column_stack([self._columns, part > each]) for each in part[:-1]]
        self._stepped = [_NonNegative(columns / scale[:, None]) for columns in steps]

    def smooth(self, middles: ndarray[Any, Any]) -> ndarray[Any, Any]:
        """The law without a step at each length, of one row."""
        found: ndarray[Any, Any] = self._columns @ self._plain.fit((middles / self._scale)[None])[1][0]
        return found

    def stepped(self, middles: ndarray[Any, Any], at: int) -> ndarray[Any, Any]:
        """The law with a step at this place, of one row."""
        import numpy as np

        found = self._stepped[at].fit((middles / self._scale)[None])[1][0]
        law: ndarray[Any, Any] = self._columns @ found[:-1] + found[-1] * (np.arange(len(middles)) > at)
        return law

    def gains(self, middles: ndarray[Any, Any]) -> ndarray[Any, Any]:
        """By how much each step makes the misfit less: (draws, places)."""
        import numpy as np

        rows = middles / self._scale
        plain = self._plain.fit(rows)[0]
        return np.column_stack([plain - stepped.fit(rows)[0] for stepped in self._stepped])

    def expected(self, middles: ndarray[Any, Any], at: int) -> ndarray[Any, Any]:
        """The law with a step at this place, less the step, at the next length: one for each row."""
        found: ndarray[Any, Any] = (
            self._stepped[at].fit(middles / self._scale)[1][:, :-1] @ self._columns[at + 1]
        )
        return found


class _NonNegative:
    """Least squares without negative coefficients, of the same columns and many rows of data.

    The best of all sets of columns whose coefficients come out positive: there are few columns, and one
    product of matrices fits thousands of rows.
    """

    def __init__(self, columns: ndarray[Any, Any]) -> None:
        import numpy as np

        count = columns.shape[1]
        sets = np.array(
            [each for each in itertools.product((0.0, 1.0), repeat=count) if sum(each) <= len(columns)]
        )
        squares = sets[:, :, None] * (columns.T @ columns) * sets[:, None, :]
        empty = np.eye(count) * (1 - sets)[:, :, None]
        self._solved = np.linalg.pinv(squares + empty, hermitian=True) @ (sets[:, :, None] * columns.T)
        self._fitted = columns @ self._solved

    def fit(self, rows: ndarray[Any, Any]) -> tuple[ndarray[Any, Any], ndarray[Any, Any]]:
        """(sum of squares that is left of each row, coefficients of each)."""
        import numpy as np

        found = self._solved @ rows.T
        left = ((rows.T - self._fitted @ rows.T) ** 2).sum(axis=1)
        left[(found < _NEGATIVE).any(axis=1)] = np.inf
        best, places = left.argmin(axis=0), np.arange(len(rows))
        return left[best, places], found[best, :, places]

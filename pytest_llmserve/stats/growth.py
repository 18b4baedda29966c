"""Does a level that is read again and again go on growing, and how fast.

A line through all readings is the answer for a level that grows evenly. Three other shapes grow too,
and are no lasting growth: a level that fills and stays, one that fills ever more slowly, and one that
rises and is given back. Each is fitted beside the line, and taken where it fits clearly better:

- stretches with lines of their own (`pieces`): the last one is judged,
- a filling level (`filling`): the line beside it is judged,
- drops (`pieces`): a rise of no more than was ever given back may be given back again,
- floors: of a level with many teeth the least of each of a few stretches is judged, where this is steadier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

from pytest_llmserve.stats.filling import Filling, filling_of
from pytest_llmserve.stats.pieces import (
    LEAST,
    PRICE,
    cuts_of,
    falls,
    gave_back,
    pieces_left,
    shifts_of,
)
from pytest_llmserve.stats.trend import Slope, residuals, serial_correlation, slope_of, worth

if TYPE_CHECKING:
    from pytest_llmserve.stats.trend import Array

LEAST_READINGS = 12
"""Below, a step cannot be told from a slope."""
MOST_BINS = 60
DROP_BINS = 120
FLOORS = (24, 16, 12, 8, 6)
"""Numbers of stretches of which the floors are tried."""
LEAST_SHARE = 0.25
"""Share of the readings' length that the last stretch must have to be judged."""
LEAST_BINS = 5
LEAST_RISE = 0.1
"""Share of all that a level rose, below which it has hardly risen."""
PAUSE_BINS = 4
"""Rises that are no farther apart are one."""
MOST_GROWN = 2.0
"""A pause is expected to grow by no more than this over the one before: buffers double."""
SURE_FILLING = 10.0
"""Gain over a line, as PRICE, from which on a filling level is taken."""
FILLING_HEAD = 6.0
"""A filling level is taken for stretches that fit better by less than this and PRICE for each cut."""
SURER = 1.25
"""A rise must be so many times what was ever given back to be more than a tooth."""
STEADIER = 1.3
"""Floors are taken where their interval, so many times as wide, is still narrower than the level's."""
LOOKS = {"line": 1, "floors": 2, "last stretch": 5, "filling": 5}
"""Basis -> factor for a p-value that accuses: the basis was chosen on the same readings."""


@dataclass(frozen=True)
class Growth:
    """What was found.

    Attributes:
        slope: lasting growth for each unit of x; None where too little was seen of it.
        basis: "line", "last stretch", "filling" or "floors".
        since: share of the length after which it came to what is judged: where the last stretch begins,
            or 95 % is filled; 0 = a line through all of it.
        rise: of the judged line, from its beginning to its end.
        given_back: the most by which the level fell below an earlier one, noise left out.
        toothed: the rise is no more than may be given back again.
        stepping: it rose again and again, and has not rested for longer than it did between two rises.
        looks: factor for a p-value that accuses.
    """

    slope: Slope | None
    basis: str
    since: float
    rise: float
    given_back: float
    toothed: bool
    looks: int
    stepping: bool = False

    def p_within(self, limit: float) -> float:
        """Small = lasting growth is shown to be at most the limit."""
        return 1.0 if self.slope is None or self.stepping else self.slope.p_at_most(limit)

    def p_beyond(self, limit: float) -> float:
        """Small = lasting growth is shown to be over the limit."""
        if self.slope is None or self.toothed:
            return 1.0
        return min(1.0, self.looks * self.slope.p_at_least(limit))


@dataclass(frozen=True)
class _Shape:
    """What the level did as a whole: where its last stretch begins, drops, and how alike neighbours are."""

    last: int
    edge: float
    stepping: bool
    drop: float
    drops: int
    alike: float
    filling: Filling | None
    fine: float


def growth_of(x: Sequence[float], y: Sequence[float], fine: float) -> Growth:
    """Judge a series of readings.

    Args:
        x: time or work, never falling.
        y: the level.
        fine: smallest step of the level that means anything.

    Raises:
        ValueError: fewer than 12 readings, or x does not rise.
    """
    import numpy as np

    if len(x) < LEAST_READINGS or x[-1] <= x[0]:
        raise ValueError(f"{len(x)} readings from {x[:1]} to {x[-1:]}: 12 with a rising x are needed")
    length = float(x[-1] - x[0])
    at, level = (np.asarray(x, float) - x[0]) / length, np.asarray(y, float)
    shape = _shape(at, level, fine)
    whole = _of_level(at, level, shape)
    if shape.filling is not None:
        return _for_each_x(whole, length)
    kept = at >= shape.edge
    floors = [_of_floors(at[kept], level[kept], m, shape, whole.since) for m in FLOORS if kept.sum() >= 4 * m]
    return _for_each_x(min([whole, *floors], key=_width), length)


def _for_each_x(growth: Growth, length: float) -> Growth:
    """What was found over a length of 1, for one unit of x."""
    if growth.slope is None:
        return growth
    slope = Slope(growth.slope.per_x / length, growth.slope.error / length, growth.slope.freedom)
    return replace(growth, slope=slope)


def _width(growth: Growth) -> float:
    if growth.slope is None:
        return float("inf")
    low, high = growth.slope.interval(0.9)
    return (high - low) * (STEADIER if "floors" in growth.basis else 1)


def _shape(at: Array, level: Array, fine: float) -> _Shape:
    import numpy as np

    x, y = binned(at, level, MOST_BINS)
    nothing = fine * fine * len(x)
    cuts = cuts_of(x, y, nothing)
    rest = pieces_left(x, y, cuts)
    spread = max(float(np.sqrt(rest @ rest / max(1, len(x) - 3 * len(cuts) - 2))), fine)
    rising = [cut for cut in cuts if not falls(y, cut, spread)]
    finer, means = binned(at, level, DROP_BINS)
    shifts = shifts_of(finer, means, nothing)
    falling = [-size for _, size in shifts if size < 0]
    drop = max(falling, default=0.0)
    last = rising[-1] if rising else 0
    early = [float(finer[cut]) for cut, size in shifts if size > 0 and finer[cut] < x[LEAST]]
    return _Shape(
        last=last,
        edge=_edge(x, last) if last else float(at[0]),
        stepping=_stepping(early[:1] + _rises(x, y, cuts), float(at[-1]), float(at[-1] - at[0]) / len(x)),
        drop=max(drop, gave_back(y - rest)) if cuts else drop,
        drops=max(len(falling), len(cuts) - len(rising)),
        alike=serial_correlation(rest, nothing),
        filling=_filling(x, y, rest, len(cuts) if last else 0, nothing),
        fine=fine,
    )


def _edge(x: Array, cut: int) -> float:
    """Where a cut lies: between the readings on both sides of it."""
    return float(x[cut - 1] + x[cut]) / 2


def _rises(x: Array, y: Array, cuts: list[int]) -> list[float]:
    """Where cuts lie that lead to a higher stretch; a cut within a pause does not."""
    means = [float(y[i:j].mean()) for i, j in pairwise([0, *cuts, len(y)])]
    least = LEAST_RISE * (max(means) - min(means))
    higher = [after - before >= least for before, after in pairwise(means)]
    return [_edge(x, cut) for cut, rose in zip(cuts, higher, strict=True) if rose]


def _stepping(rises: list[float], end: float, bin_width: float) -> bool:
    """True when another rise may be due: the last rest is no longer than a pause between rises.

    Where pauses grow, as of a buffer that doubles, the next is expected to grow as much once more.
    """
    # A rise that takes a while, or falls into the middle of a bin, is cut at both its ends.
    begun = [at for before, at in pairwise([-inf, *rises]) if at - before > PAUSE_BINS * bin_width]
    pauses = [later - earlier for earlier, later in pairwise(begun)]
    if not pauses:
        return False
    grown = pauses[-1] / pauses[-2] if len(pauses) > 1 else 1.0
    due = max(max(pauses), pauses[-1] * min(grown, MOST_GROWN))
    return end - rises[-1] <= due + bin_width


def _filling(x: Array, y: Array, rest: Array, cuts: int, nothing: float) -> Filling | None:
    """The filling level, where it is the better account of the readings."""
    import numpy as np

    found = filling_of(x, y)
    if found is None:
        return None
    if cuts:
        lost = worth(rest, nothing) * np.log((found.squares + nothing) / (rest @ rest + nothing))
        return found if lost <= FILLING_HEAD + PRICE * cuts else None
    straight = residuals(x, y)
    gain = found.worth * np.log((straight @ straight + nothing) / (found.squares + nothing))
    return found if gain >= SURE_FILLING else None


def _of_level(at: Array, level: Array, shape: _Shape) -> Growth:
    import numpy as np

    x, y = binned(at, level, MOST_BINS)
    if shape.filling is not None:
        filled = min(3 * shape.filling.tau, 1.0)
        return _growth("filling", _resolved(shape.filling.beside, x, shape.fine), filled, x, shape.drop)
    x, y = x[shape.last :], y[shape.last :]
    basis = "last stretch" if shape.last else "line"
    since = float((x[0] - at[0]) / (at[-1] - at[0])) if shape.last else 0.0
    if len(x) < LEAST_BINS or x[-1] <= x[0]:
        return Growth(None, basis, since, 0.0, shape.drop, toothed=False, looks=LOOKS[basis])
    slope = _resolved(slope_of(x, y, shape.alike if shape.last else 0.0), x, shape.fine)
    if np.ptp(y) < shape.fine:
        slope = Slope(0.0, 0.0, slope.freedom)
    return replace(_growth(basis, slope, since, x, shape.drop), stepping=shape.stepping)


def _of_floors(at: Array, level: Array, count: int, shape: _Shape, since: float) -> Growth:
    import numpy as np

    x, y = floors(at, level, count)
    if x[-1] <= x[0]:
        return Growth(None, "floors", since, 0.0, shape.drop, toothed=False, looks=LOOKS["floors"])
    slope = slope_of(x, y, shape.alike if shape.last else 0.0)
    middle = x - x.mean()
    # A floor is met by the nearest reading only: half a step off, evenly spread.
    blur = float(np.median(np.abs(np.diff(level))) / np.sqrt(12 * (middle @ middle)))
    slope = _resolved(Slope(slope.per_x, max(slope.error, blur), slope.freedom), x, shape.fine)
    # One or two drops leave no floor on either side of them to compare.
    fallen = gave_back(y) if shape.drops >= 3 else max(shape.drop, gave_back(y))
    basis = "last stretch, floors" if shape.last else "floors"
    return replace(_growth(basis, slope, since, x, fallen), stepping=shape.stepping)


def _resolved(slope: Slope, x: Array, fine: float) -> Slope:
    """A slope as far as the smallest step of the level tells it: a smaller rise is none.

    Rounding leaves about 1e-13 of a level that is exactly flat, with an error as small.
    """
    span = float(x[-1] - x[0])
    per_x = slope.per_x if abs(slope.per_x) * span >= fine else 0.0
    return Slope(per_x, max(slope.error, fine / span), slope.freedom)


def _growth(basis: str, slope: Slope, since: float, x: Array, fallen: float) -> Growth:
    rise = slope.per_x * float(x[-1] - x[0])
    looks = LOOKS[basis.partition(",")[0]]
    enough = slope if since <= 1 - LEAST_SHARE or basis == "filling" else None
    return Growth(enough, basis, since, rise, fallen, rise <= SURER * fallen, looks)


def binned(x: Array, y: Array, most: int) -> tuple[Array, Array]:
    """Means of at most so many stretches of as many readings each; the first few may be left out."""
    size = -(-len(y) // most)
    count = len(y) // size
    first = len(y) - count * size
    shape = (count, size)
    return x[first:].reshape(shape).mean(1), y[first:].reshape(shape).mean(1)


def floors(x: Array, y: Array, count: int) -> tuple[Array, Array]:
    """The least reading of each of `count` stretches, and where it was."""
    import numpy as np

    size = len(y) // count
    first = len(y) - count * size
    columns, rows = x[first:].reshape(count, size), y[first:].reshape(count, size)
    lowest = rows.argmin(1)
    return columns[np.arange(count), lowest], rows[np.arange(count), lowest]

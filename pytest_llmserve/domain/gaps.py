"""Gaps between chunks: millions of them in four bytes each, exact to the nanosecond."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from pytest_llmserve.domain.stamps import RARE, TokenStamps
from pytest_llmserve.domain.units import NS_PER_MS

MANY = 50_000
"""Beyond so many values numpy is worth its import."""

_BLOCK = 1 << 18


class Gaps(Sequence[float]):
    """Gaps in milliseconds, read like a tuple of floats.

    Args:
        cells: each gap in nanoseconds, or `RARE` where it is among `rare`.
        places: where in `cells` those lie, smallest first.
        rare: what does not fit into a cell, in milliseconds: too long, negative or infinite.
    """

    __slots__ = ("_cells", "_places", "_rare")

    def __init__(self, cells: array[int], places: array[int], rare: array[float]) -> None:
        self._cells = cells
        self._places = places
        self._rare = rare

    def __len__(self) -> int:
        return len(self._cells)

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[float, ...]: ...
    def __getitem__(self, index: int | slice) -> float | tuple[float, ...]:
        if isinstance(index, slice):
            return tuple(self[at] for at in range(*index.indices(len(self))))
        cell = self._cells[index]
        if cell != RARE:
            return cell / NS_PER_MS
        return self._rare[bisect_left(self._places, index % len(self))]

    def __iter__(self) -> Iterator[float]:
        rare = iter(self._rare)
        return (next(rare) if cell == RARE else cell / NS_PER_MS for cell in self._cells)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Gaps):
            return NotImplemented
        return self._cells == other._cells and self._rare == other._rare

    __hash__ = None  # type: ignore[assignment]

    def total_ms(self) -> float:
        """The sum of all gaps."""
        if len(self) > MANY:
            import numpy as np

            cells_ns = int(np.frombuffer(self._cells, np.uint32).sum(dtype=np.uint64))
        else:
            cells_ns = sum(self._cells)
        return (cells_ns - RARE * len(self._rare)) / NS_PER_MS + math.fsum(self._rare)

    def ordered(self) -> Gaps:
        """The same gaps, smallest first."""
        cells = _sorted(self._cells)  # the marks of rare ones are last now
        rare = array("d", sorted(self._rare))
        negative = bisect_left(rare, 0.0)
        if negative:
            cells = array("I", [RARE]) * negative + cells[: len(cells) - negative]
        long = range(len(cells) - len(rare) + negative, len(cells))
        return Gaps(cells, array("q", [*range(negative), *long]), rare)

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[Any]:
        """Gaps [start, stop) in their order, as numpy arrays of float64, some 200,000 in each."""
        import numpy as np

        cells = np.frombuffer(self._cells, np.uint32)
        stop = len(self) if stop is None else stop
        for begin in range(start, stop, _BLOCK):
            end = min(stop, begin + _BLOCK)
            block = cells[begin:end] / NS_PER_MS
            for which in range(bisect_left(self._places, begin), bisect_left(self._places, end)):
                block[self._places[which] - begin] = self._rare[which]
            yield block


def gather(stamps: Iterable[TokenStamps | None]) -> Gaps:
    """The gaps of many answers in their order; None, for a failed request, is one endless gap."""
    cells, places, rare = array("I"), array("q"), array("d")
    for each in stamps:
        if each is not None and not each.wide:
            cells.frombytes(each.cells)
            continue
        for gap in (math.inf,) if each is None else each.gaps_ns:
            if 0 <= gap < RARE:
                cells.append(int(gap))
                continue
            places.append(len(cells))
            rare.append(gap / NS_PER_MS)
            cells.append(RARE)
    return Gaps(cells, places, rare)


def _sorted(cells: array[int]) -> array[int]:
    if len(cells) <= MANY:
        return array("I", sorted(cells))
    import numpy as np

    copied = cells[:]
    np.frombuffer(copied, np.uint32).sort()
    return copied

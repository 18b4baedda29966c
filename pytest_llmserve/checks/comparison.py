"""Two runs by turns, and how far apart they are."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_llmserve.checks.measured import measurement_of
from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.domain.metrics import QUANTILES
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.units import ms_text

if TYPE_CHECKING:
    from pytest_llmserve.stats.shift import Shift

_FIGURES = ("e2e", "ttft", "tpot")
_SHOWN = ("e2e_p50", "e2e_p95", "ttft_p50", "ttft_p95")


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison:
    """Two sides that were asked by turns.

    Attributes:
        a, b: all rounds of the side under test, and of the reference, as one result each. Stamps are
            moved so that the rounds follow each other without a gap.
        names: what messages call them.
        servers: "url", "api" and "model" of each.
        rounds: how many rounds both sides have had.
        planned: how many there were to be.
        ended: why there were no more, or None.
    """

    a: LoadResult
    b: LoadResult
    names: tuple[str, str]
    servers: tuple[Mapping[str, Any], Mapping[str, Any]]
    rounds: int
    planned: int
    ended: str | None = None
    _known: dict[str, Shift] = field(default_factory=dict, compare=False)

    def shift(self, metric: str) -> Shift:
        """How much slower `a` is than `b`: `.ratio`, `.low` and `.high` of its interval; 0.14 = 14 % slower.

        Args:
            metric: "e2e", "ttft" or "tpot", and a quantile: "e2e_p95".

        Raises:
            ValueError: no such metric, or one of the sides has no value of it.
        """
        if metric not in self._known:
            self._known[metric] = self._shift(metric)
        return self._known[metric]

    def _shift(self, metric: str) -> Shift:
        from pytest_llmserve.stats.shift import quantile_shift

        figure, _, statistic = metric.rpartition("_")
        if figure not in _FIGURES or statistic not in QUANTILES:
            names = ", ".join(f"{figure}_p50" for figure in _FIGURES)
            raise ValueError(f"no metric {metric!r}: one of {names}, also with {', '.join(QUANTILES)}")
        series = [_values(self._measured[side], f"{figure}_ms") for side in (1, 0)]
        for name, values in zip(reversed(self.names), series, strict=True):
            if not values:
                raise ValueError(f"{metric}: {name} has no {figure} to compare")
        return quantile_shift(series[0], series[1], QUANTILES[statistic])

    @cached_property
    def shifts(self) -> dict[str, Shift]:
        """The shifts of e2e and TTFT, median and p95, as far as they are known."""
        known = {}
        for metric in _SHOWN:
            figure = f"{metric.partition('_')[0]}_ms"
            if all(_values(side, figure) for side in self._measured):
                known[metric] = self.shift(metric)
        return known

    @cached_property
    def _measured(self) -> tuple[Measurement, Measurement]:
        return measurement_of(self.a, name=self.names[0]), measurement_of(self.b, name=self.names[1])

    @property
    def reference(self) -> Measurement | str:
        """What `no_regression` holds `a` against, or a clause that says why it cannot.

        Its plan is that of `a`: how the sides differ is what the comparison is about.
        """
        b, name = self.b, self.names[1]
        if b.generator.server_gone is not None:
            return f"the reference {name} was gone: {b.generator.server_gone}"
        if not b.ok:
            return f"the reference {name} answered none of its {len(b.tried)} requests"
        under_test, reference = self._measured
        return msgspec.structs.replace(reference, plan=under_test.plan)

    def __repr__(self) -> str:
        lines = [f"Comparison of {self.names[0]} (a) with {self.names[1]} (b), {self.rounds} rounds"]
        for metric, shift in self.shifts.items():
            lines.append(
                f"  {metric}: a {ms_text(shift.after)}, b {ms_text(shift.before)}, {shift_text(shift)}"
            )
        return "\n".join(lines)


def shift_text(shift: Shift) -> str:
    """The shift in words: "+14.0 % (95% interval 6.0 to 23.0 %)"."""
    if math.isnan(shift.ratio):
        return "not known"
    return f"{100 * shift.ratio:+.1f} % (95% interval {100 * shift.low:.1f} to {100 * shift.high:.1f} %)"


def _values(measurement: Measurement, series: str) -> array[float]:
    """The series without requests for which the figure is not defined."""
    return array("d", (value for value in measurement.series[series] if not math.isnan(value)))

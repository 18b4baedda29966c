"""Two runs by turns, and how far apart they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_llmserve.checks.measured import measurement_of
from pytest_llmserve.domain.liveness import absence
from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.domain.result import LoadResult

if TYPE_CHECKING:
    from pytest_llmserve.stats.shift import Shift

SHOWN = ("e2e_p50", "e2e_p95", "ttft_p50", "ttft_p95", "throughput")


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
    _known: dict[str, Shift | str] = field(default_factory=dict, compare=False)

    def shift(self, metric: str) -> Shift:
        """How much more `a` has of a figure than `b`: `.ratio`, `.low`, `.high`; 0.14 = 14 % more.

        Args:
            metric: as in the `no_regression` marker: "e2e_p95", "ttft_p50", "throughput".

        Raises:
            ValueError: no such metric, or it is not known of a side.
        """
        found = self._shift(metric)
        if isinstance(found, str):
            raise ValueError(f"{metric}: {found} (there = b, here = a)")
        return found

    @cached_property
    def shifts(self) -> dict[str, Shift]:
        """The shifts of e2e and TTFT, median and p95, and of the throughput, as far as they are known."""
        found = {metric: self._shift(metric) for metric in SHOWN}
        return {metric: shift for metric, shift in found.items() if not isinstance(shift, str)}

    def _shift(self, metric: str) -> Shift | str:
        from pytest_llmserve.checks.difference import LATENCIES, THROUGHPUTS, figure_shift

        known = (*LATENCIES, *THROUGHPUTS)
        if metric not in known:
            raise ValueError(f"no metric {metric!r}: one of {', '.join(known)}")
        if metric not in self._known:
            a, b = self._measured
            self._known[metric] = figure_shift(b, a, metric)
        return self._known[metric]

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
            return f"the reference {name} {absence(b.generator.server_gone)}: {b.generator.server_gone}"
        if not b.ok:
            return f"the reference {name} answered none of its {len(b.tried)} requests"
        under_test, reference = self._measured
        return msgspec.structs.replace(reference, plan=under_test.plan)

    def __repr__(self) -> str:
        lines = [f"Comparison of a = {self.names[0]} with b = {self.names[1]}, {self.rounds} rounds"]
        for metric, shift in self.shifts.items():
            unit = " requests/s" if metric == "throughput" else " ms"
            sides = f"a {shift.after:.4g}{unit}, b {shift.before:.4g}{unit}"
            lines.append(f"  {metric}: {sides}, {shift_text(shift)}")
        return "\n".join(lines)


def shift_text(shift: Shift) -> str:
    """The shift in words: "+14.0 % (95% interval +6.0 to +23.0 %)"."""
    if math.isnan(shift.ratio):
        return "not known"
    low, high = 100 * shift.low, 100 * shift.high
    return f"{100 * shift.ratio:+.1f} % ({100 * shift.confidence:.0f}% interval {low:+.1f} to {high:+.1f} %)"

"""The time axis of a run's plots."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.units import NS_PER_S


@dataclass(frozen=True)
class Axis:
    """Monotonic instants as seconds.

    Attributes:
        zero_ns: where it counts from.
        start_ns, end_ns: of the run, from the first instant of its plan to its last event.
    """

    zero_ns: int
    start_ns: int
    end_ns: int

    @classmethod
    def of(cls, run: LoadResult, zero_ns: int) -> Axis:
        """The test's; a comparison's rounds have one of their own, which begins with them."""
        records = run.everything
        start_ns = min((r.scheduled_ns for r in records), default=run.start_ns)
        if run.rounds is None:
            start_ns = min(start_ns, run.start_ns)
        end_ns = max((ended_ns(r) for r in records), default=start_ns)
        end_ns = max(end_ns, run.steady_ns[1])
        return cls(start_ns if run.rounds is not None else zero_ns, start_ns, end_ns)

    def seconds(self, at_ns: int) -> float:
        """An instant on it."""
        return round((at_ns - self.zero_ns) / NS_PER_S, 6)

    @property
    def start_s(self) -> float:
        """When the run began."""
        return self.seconds(self.start_ns)

    @property
    def end_s(self) -> float:
        """When it ended."""
        return self.seconds(self.end_ns)


def begun_ns(record: RequestRecord) -> int:
    """When a request began for its user: by the schedule in open loop and where it was never sent."""
    return record.scheduled_ns if record.from_schedule or record.sent_ns is None else record.sent_ns


def ended_ns(record: RequestRecord) -> int:
    """When it ended, or the last that is known of it."""
    stamps = (record.end_ns, record.sent_ns, record.scheduled_ns)
    return next(stamp for stamp in stamps if stamp is not None)

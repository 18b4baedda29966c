"""What was read from the server's side, and what was not and why."""

from __future__ import annotations

from statistics import median

import msgspec

from pytest_llmserve.domain.units import BYTES_PER_MB


class ResourceSample(msgspec.Struct, frozen=True, kw_only=True):
    """The server's process tree at one instant; None where the system does not tell.

    Attributes:
        at_ns: monotonic clock, when the reading was finished.
        late_ns: how much later than planned the reading began.
        uss_bytes: unique set size of all processes together.
        cpu_percent: 100 = one core, since the sample before.
        gpu_bytes: GPU memory; of what, the window says.
    """

    at_ns: int
    late_ns: int = 0
    processes: int
    rss_bytes: int
    uss_bytes: int | None = None
    swap_bytes: int | None = None
    cpu_percent: float | None = None
    threads: int | None = None
    open_files: int | None = None
    gpu_bytes: int | None = None

    @property
    def memory_bytes(self) -> int | None:
        """USS + swap: what the tree alone holds, also when the system has swapped it out."""
        if self.uss_bytes is None:
            return None
        return self.uss_bytes + (self.swap_bytes or 0)


FIGURES: dict[str, tuple[str, float]] = {
    "rss_mb": ("rss_bytes", BYTES_PER_MB),
    "uss_mb": ("uss_bytes", BYTES_PER_MB),
    "swap_mb": ("swap_bytes", BYTES_PER_MB),
    "memory_mb": ("memory_bytes", BYTES_PER_MB),
    "gpu_mb": ("gpu_bytes", BYTES_PER_MB),
    "cpu_percent": ("cpu_percent", 1),
    "threads": ("threads", 1),
    "open_files": ("open_files", 1),
    "processes": ("processes", 1),
}
"""Name of a figure -> field of a sample, and what to divide it by."""


class ResourceWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The samples of a stretch of time.

    Attributes:
        missing: why there are no (or no more) samples, or None.
        gpu: what `gpu_bytes` is, "GPU memory of the server's processes"; None = it was not read.
        gpu_missing: why it was not, where it was asked for; or None.
    """

    samples: tuple[ResourceSample, ...] = ()
    missing: str | None = None
    gpu: str | None = None
    gpu_missing: str | None = None

    def values(self, figure: str) -> list[float]:
        """The readings of one figure, such as "rss_mb".

        Raises:
            KeyError: no such figure; the text lists them.
        """
        if figure not in FIGURES:
            raise KeyError(f"no figure {figure!r}: one of {', '.join(FIGURES)}")
        field, divisor = FIGURES[figure]
        readings = (getattr(sample, field) for sample in self.samples)
        return [reading / divisor for reading in readings if reading is not None]

    def peak(self, figure: str) -> float | None:
        """The highest reading, or None when there is none."""
        return max(self.values(figure), default=None)

    def between(self, start_ns: int, stop_ns: int) -> ResourceWindow:
        """The part within [start_ns, stop_ns]."""
        kept = tuple(s for s in self.samples if start_ns <= s.at_ns <= stop_ns)
        return msgspec.structs.replace(self, samples=kept)

    def summary(self) -> dict[str, float | str | int | None]:
        """Median and peak of each figure that was read, for reports."""
        if not self.samples:
            return {"n": 0, "missing": self.missing}
        out: dict[str, float | str | int | None] = {"n": len(self.samples), "missing": self.missing}
        for figure in FIGURES:
            values = self.values(figure)
            if values:
                out[figure + "_median"] = round(median(values), 3)
                out[figure + "_peak"] = round(max(values), 3)
        late = [sample.late_ns for sample in self.samples]
        out["late_ms_max"] = round(max(late) / 1e6, 3)
        return out


class MemoryChange(msgspec.Struct, frozen=True, kw_only=True):
    """Memory before a run, and after it when it had settled. In bytes.

    Attributes:
        measure: "USS + swap", "RSS", or what GPU memory: what was read.
        before: readings before the load.
        after: readings after the load, at the end of settling.
        missing: why a reading is missing, or None.
        gpu: the same of GPU memory, where it was asked for.
    """

    measure: str
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    settled_after_ns: int = 0
    missing: str | None = None
    gpu: MemoryChange | None = None

    @property
    def retained_bytes(self) -> float | None:
        """Median after minus median before, or None without both."""
        if not self.before or not self.after:
            return None
        return median(self.after) - median(self.before)

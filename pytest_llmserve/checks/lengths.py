"""Latency against the length of the input: rows, the cliff among them, and the length that is refused."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from pytest_llmserve.domain.metrics import Distribution, distribution
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.units import ms_text
from pytest_llmserve.stats.step import TIMES

CHARS_A_TOKEN = 4
"""An estimate for English, where a server does not count."""
LATENCIES = {"e2e_ms": "e2e latency", "ttft_ms": "TTFT"}
_NEARLY, _LONGER = 1.05, 1.2
_FAILING = 0.25
"""Share of a length's requests: with more, some of the middle half never came."""
_COLUMNS = ("chars", "tokens", "n", "failed", "TTFT p50", "p90", "e2e p50", "p90", "p99")


class LengthRow(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of one length.

    Attributes:
        length_chars: of their prompts, mark and all.
        input_tokens: of one of them, as the server counted; None = it does not.
        n, failed: requests, and how many of them failed.
        ttft_ms, e2e_ms: distributions; a failed request counts as infinitely slow.
        error: the first that was wrong with one of them, or None.
        outcome: how most of the failed ones ended, a word of `domain.outcome`, or None.
    """

    length_chars: int
    input_tokens: int | None
    n: int
    failed: int
    ttft_ms: Distribution
    e2e_ms: Distribution
    error: str | None = None
    outcome: str | None = None

    @property
    def fails(self) -> bool:
        """So many failed that the latency of the others tells nothing."""
        return self.failed > 0 and self.failed >= _FAILING * self.n

    @property
    def told(self) -> str:
        """How many failed and how: "6 of 6 of 3200 characters failed (timed_out)"."""
        return f"{self.failed} of {self.n} of {self.length_chars} characters failed ({self.outcome})"


class Cliff(msgspec.Struct, frozen=True, kw_only=True):
    """Between two lengths latency jumps more than its growth explains, or requests begin to fail.

    Attributes:
        metric: "e2e_ms" or "ttft_ms".
        below_chars, above_chars: the lengths.
        below_ms, above_ms: medians there; of failed requests infinite.
        expected_ms: what is usual above, as the growth up to there has it; NaN where requests fail.
        p: how often chance alone would make such a step.
        outcome: how most of the requests from `above_chars` on failed; None = they are answered, but late.
        failed, n: of the requests from `above_chars` on; 0 where they are answered.
    """

    metric: str
    below_chars: int
    above_chars: int
    below_ms: float
    above_ms: float
    expected_ms: float
    p: float
    outcome: str | None = None
    failed: int = 0
    n: int = 0

    def __str__(self) -> str:
        if self.outcome is not None:
            return (
                f"from {self.above_chars} characters on {self.failed} of {self.n} requests failed"
                f" ({self.outcome}), up to {self.below_chars} they are answered (p = {self.p:.2g})"
            )
        return (
            f"median {LATENCIES[self.metric]} jumps from {ms_text(self.below_ms)} at {self.below_chars}"
            f" characters to {ms_text(self.above_ms)} at {self.above_chars}, where its growth explains"
            f" {ms_text(self.expected_ms)} (p = {self.p:.2g})"
        )


class LengthLimit(msgspec.Struct, frozen=True, kw_only=True):
    """The length from which on the server refuses inputs.

    Attributes:
        accepted_chars: the longest below it that was answered in full; None = none was.
        refused_chars: the shortest seen to be refused.
        status: of the refusal.
        error: its text.
        between: what came of a length between the two that was neither answered nor refused, or None.
    """

    accepted_chars: int | None
    refused_chars: int
    status: int | None
    error: str
    between: str | None = None

    def __str__(self) -> str:
        chars = self.accepted_chars
        upto = "never answered" if chars is None else f"answered up to {chars} characters"
        between = "" if self.between is None else f"; between them requests fail: {self.between}"
        return f"{upto}, refused from {self.refused_chars} on: {self.error}{between}"


class LeastJump(msgspec.Struct, frozen=True, kw_only=True):
    """How large a jump had to be to be found.

    Attributes:
        above_chars: the first length behind it.
        times: what was measured there, so many times, is found in 4 of 5 cases; None = ten times is not.
    """

    above_chars: int
    times: float | None


class LengthSweep(msgspec.Struct, frozen=True, kw_only=True):
    """What `llm_load.sweep` found.

    Attributes:
        rows: one a length, ascending.
        cliff: the greatest, or None: there is none, or `no_cliff` says why none could be seen.
        limit: where the server refuses inputs for their length; None = nowhere up to the longest.
        no_cliff: why a cliff could not be looked for; None = it was.
        least_jumps: of end-to-end latency, behind each length, where a cliff was looked for and none found.
        cut_chars: from this length on the server counts no more input tokens: it cuts inputs; or None.
        run: the load, all lengths together.
    """

    rows: tuple[LengthRow, ...]
    cliff: Cliff | None = None
    limit: LengthLimit | None = None
    no_cliff: str | None = None
    least_jumps: tuple[LeastJump, ...] = ()
    cut_chars: int | None = None
    run: LoadResult | None = None

    def table(self) -> str:
        """The rows as text, with what is to be said of them below."""
        cells = [_COLUMNS, *(_cells(row) for row in self.rows)]
        widths = [max(len(row[place]) for row in cells) for place in range(len(_COLUMNS))]
        lines = (
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells
        )
        return "\n".join([*lines, *self.said()])

    def said(self) -> list[str]:
        """Sentences on the rows."""
        found = [f"cliff: {self.cliff}"] if self.cliff is not None else []
        if self.cliff is None:
            why = self.no_cliff or f"no jump beyond chance and even growth{self._would_see()}"
            found.append(f"no cliff: {why}")
        if self.limit is not None:
            found.append(f"limit: {self.limit}")
        if self.cut_chars is not None:
            found.append(
                f"inputs are cut: of more than {self.cut_chars} characters no more tokens are counted"
            )
        if any(row.input_tokens is None and row.failed < row.n for row in self.rows):
            found.append(f"input tokens not told by the server: estimated at {CHARS_A_TOKEN} characters each")
        return found

    def _would_see(self) -> str:
        """The smallest jump that would have been found; that at the last length apart where it is larger."""
        if not self.least_jumps:
            return ""
        *inner, last = [math.inf if jump.times is None else jump.times for jump in self.least_jumps]
        upto, end = max([1.0, *inner]), self.least_jumps[-1].above_chars
        parts = [(max(upto, last), "at any length")]
        if last > upto:
            parts = [(upto, f"below {end} characters"), (last, f"at {end}")]
        return "; " + ", ".join(f"{_times(times)} {where}" for times, where in parts)

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "rows": [_row_json(row) for row in self.rows],
            "cliff": None if self.cliff is None else _finite(msgspec.to_builtins(self.cliff)),
            "no_cliff": self.no_cliff,
            "least_jumps": msgspec.to_builtins(self.least_jumps),
            "limit": None if self.limit is None else msgspec.to_builtins(self.limit),
            "cut_chars": self.cut_chars,
            "said": self.said(),
        }

    def __repr__(self) -> str:
        return f"LengthSweep({len(self.rows)} lengths; {'; '.join(self.said())})"


def row_of(
    length: int, records: Sequence[RequestRecord], input_tokens: int | None = None, error: str | None = None
) -> LengthRow:
    """The row of one length.

    Args:
        length: in characters.
        records: its requests, none where it was refused before.
        input_tokens: as the server counted.
        error: of the one request that was refused before the load, so that there are no records.
    """
    failed = sum(not record.ok for record in records)
    refused = error is not None and not records
    first = next((record.error for record in records if not record.ok), error)
    ends = Counter(str(record.outcome) for record in records if not record.ok)
    return LengthRow(
        length_chars=length,
        input_tokens=input_tokens,
        n=len(records) or int(refused),
        failed=failed or int(refused),
        ttft_ms=distribution((r.ttft_ms for r in records if r.ok), failed or int(refused)),
        e2e_ms=distribution((r.e2e_ms for r in records if r.ok), failed or int(refused)),
        error=first,
        outcome=ends.most_common(1)[0][0] if ends else None,
    )


def cut_at(counts: Iterable[tuple[int, int | None]]) -> int | None:
    """The length from which on a longer input has no more tokens, or None.

    Args:
        counts: (length in characters, input tokens as the server counted), ascending.
    """
    known = [(length, tokens) for length, tokens in counts if tokens is not None]
    if len(known) < 2:
        return None
    most = known[-1][1]
    first = next(length for length, tokens in known if tokens * _NEARLY >= most)
    # A count that never grows tells nothing of the inputs.
    return first if known[0][0] < first and known[-1][0] > _LONGER * first else None


def _cells(row: LengthRow) -> tuple[str, ...]:
    tokens = row.input_tokens
    told = f"~{round(row.length_chars / CHARS_A_TOKEN)}" if tokens is None else str(tokens)
    told = "-" if row.failed == row.n else told
    figures = (row.ttft_ms.p50, row.ttft_ms.p90, row.e2e_ms.p50, row.e2e_ms.p90, row.e2e_ms.p99)
    return (str(row.length_chars), told, str(row.n), str(row.failed), *map(_ms, figures))


def _times(times: float) -> str:
    if math.isinf(times):
        return f"not even one to {TIMES[-1]:g} times as much would surely have been seen"
    return f"one to {times:g} times as much would have been seen"


def _finite(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON has no other numbers."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in fields.items()}


def _ms(value: float) -> str:
    return ms_text(value).removesuffix(" ms") if math.isfinite(value) else "-"


def _row_json(row: LengthRow) -> dict[str, Any]:
    figures = {name: getattr(row, name).summary() for name in ("ttft_ms", "e2e_ms")}
    plain = {
        name: getattr(row, name)
        for name in ("length_chars", "input_tokens", "n", "failed", "error", "outcome")
    }
    return plain | figures

"""Latency against the length of the input: rows, the cliff among them, and the length that is refused."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from pytest_llmserve.domain.metrics import Distribution, distribution
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.units import ms_text
from pytest_llmserve.stats.step import LEAST_LENGTHS, LEAST_VALUES, Step, step_in

CHARS_A_TOKEN = 4
"""An estimate for English, where a server does not count."""
LATENCIES = {"e2e_ms": "e2e latency", "ttft_ms": "TTFT"}
_NEARLY, _LONGER = 1.05, 1.2
_COLUMNS = ("chars", "tokens", "n", "failed", "TTFT p50", "p90", "e2e p50", "p90", "p99")


class LengthRow(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of one length.

    Attributes:
        length_chars: of their prompts, mark and all.
        input_tokens: of one of them, as the server counted; None = it does not.
        n, failed: requests, and how many of them failed.
        ttft_ms, e2e_ms: distributions; a failed request counts as infinitely slow.
        error: the first that was wrong with one of them, or None.
    """

    length_chars: int
    input_tokens: int | None
    n: int
    failed: int
    ttft_ms: Distribution
    e2e_ms: Distribution
    error: str | None = None


class Cliff(msgspec.Struct, frozen=True, kw_only=True):
    """Between two lengths latency jumps more than its growth explains.

    Attributes:
        metric: "e2e_ms" or "ttft_ms".
        below_chars, above_chars: the lengths.
        below_ms, above_ms: medians there.
        expected_ms: median above, as the growth up to there has it.
        p: how often chance alone would make such a step.
    """

    metric: str
    below_chars: int
    above_chars: int
    below_ms: float
    above_ms: float
    expected_ms: float
    p: float

    def __str__(self) -> str:
        return (
            f"median {LATENCIES[self.metric]} jumps from {ms_text(self.below_ms)} at {self.below_chars}"
            f" characters to {ms_text(self.above_ms)} at {self.above_chars}, where its growth explains"
            f" {ms_text(self.expected_ms)} (p = {self.p:.2g})"
        )


class LengthLimit(msgspec.Struct, frozen=True, kw_only=True):
    """The length from which on the server refuses inputs.

    Attributes:
        accepted_chars, refused_chars: the longest seen to be answered, the shortest seen to be refused.
        status: of the refusal.
        error: its text.
    """

    accepted_chars: int
    refused_chars: int
    status: int | None
    error: str

    def __str__(self) -> str:
        return (
            f"answered up to {self.accepted_chars} characters, refused from {self.refused_chars} on:"
            f" {self.error}"
        )


class LengthSweep(msgspec.Struct, frozen=True, kw_only=True):
    """What `llm_load.sweep` found.

    Attributes:
        rows: one a length, ascending.
        cliff: the greatest, or None: there is none, or `no_cliff` says why none could be seen.
        limit: where the server refuses inputs for their length; None = nowhere up to the longest.
        no_cliff: why a cliff could not be looked for; None = it was.
        cut_chars: from this length on the server counts no more input tokens: it cuts inputs; or None.
        run: the load, all lengths together.
    """

    rows: tuple[LengthRow, ...]
    cliff: Cliff | None = None
    limit: LengthLimit | None = None
    no_cliff: str | None = None
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
            why = self.no_cliff or "no jump beyond chance and even growth"
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

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "rows": [_row_json(row) for row in self.rows],
            "cliff": None if self.cliff is None else msgspec.to_builtins(self.cliff),
            "no_cliff": self.no_cliff,
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
    return LengthRow(
        length_chars=length,
        input_tokens=input_tokens,
        n=len(records) or int(refused),
        failed=failed or int(refused),
        ttft_ms=distribution((r.ttft_ms for r in records if r.ok), failed or int(refused)),
        e2e_ms=distribution((r.e2e_ms for r in records if r.ok), failed or int(refused)),
        error=first,
    )


def cliff_of(rows: Sequence[LengthRow]) -> tuple[Cliff | None, str | None]:
    """(the cliff of end-to-end latency, else of TTFT; why none could be looked for).

    Lengths at which too few requests were answered are left out.
    """
    seen = [row for row in rows if len(row.e2e_ms.values_ms) >= LEAST_VALUES]
    if len(seen) < LEAST_LENGTHS:
        return None, (
            f"{len(seen)} of {len(rows)} lengths have {LEAST_VALUES} answers or more,"
            f" and it takes {LEAST_LENGTHS} of them to tell a jump from growth: give more lengths or requests"
        )
    lengths = [row.length_chars for row in seen]
    for metric in LATENCIES:
        values = [getattr(row, metric).values_ms for row in seen]
        if min(map(len, values)) >= LEAST_VALUES:
            step = step_in(lengths, values)
            if step is not None:
                return _cliff(metric, lengths, step), None
    return None, None


def _cliff(metric: str, lengths: Sequence[int], step: Step) -> Cliff:
    return Cliff(
        metric=metric,
        below_chars=lengths[step.at],
        above_chars=lengths[step.at + 1],
        below_ms=step.below,
        above_ms=step.above,
        expected_ms=step.expected,
        p=step.p,
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


def _ms(value: float) -> str:
    return ms_text(value).removesuffix(" ms") if math.isfinite(value) else "-"


def _row_json(row: LengthRow) -> dict[str, Any]:
    figures = {name: getattr(row, name).summary() for name in ("ttft_ms", "e2e_ms")}
    plain = {name: getattr(row, name) for name in ("length_chars", "input_tokens", "n", "failed", "error")}
    return plain | figures

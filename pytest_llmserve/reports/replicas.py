"""A run by who served it: rows for the JSON report and for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_llmserve.domain.replicas import MOST_NAMES, OTHERS
from pytest_llmserve.domain.result import LoadResult

NOT_TOLD = "not told"
"""The row of requests without an answer that names who gave it."""

HEADS = ("served by", "n", "failed", "share", "TTFT p50", "p95", "e2e p50", "p95")


def replica_documents(run: LoadResult, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each that served; empty where one alone did.

    Args:
        run: of any load.
        metrics: names of its latencies.
    """
    if len([name for name in run.replicas if name is not None]) < 2:
        return []
    sent = len(run.tried)
    rows = []
    for name, part in _parts(run):
        rows.append(
            {
                "name": name,
                "share": round(len(part.tried) / sent, 6) if sent else None,
                "counts": part.counts,
                "metrics": {metric: getattr(part, metric).summary() for metric in metrics},
            }
        )
    return rows


def _parts(run: LoadResult) -> list[tuple[str, LoadResult]]:
    """Each name with its requests; of more than are told, the others together."""
    told = [name for name in run.replicas if name not in {None, OTHERS}][:MOST_NAMES]
    parts = [(str(name), run.by_replica(name)) for name in told]
    rest = [name for name in run.replicas if name is not None and name not in told]
    parts += [(OTHERS, run.by_replica(*rest))] if rest else []
    parts += [(NOT_TOLD, run.by_replica(None))] if None in run.replicas else []
    return parts


def unnamed(run: LoadResult, header: str | None) -> str | None:
    """What to say where no answer names who gave it, though a header was to tell; None else."""
    if header is None or not run.everything or any(run.replicas):
        return None
    return f"who served is not available, because no answer had the header {header} (--llm-replica-header)"


def replica_cells(
    rows: Sequence[Mapping[str, Any]], figure: Callable[[float | None, str], str]
) -> list[list[str]]:
    """The rows of the terminal's table, as `HEADS` has them; `figure` writes a number of a column."""
    return [
        [
            row["name"],
            *(figure(row["counts"][count], "n") for count in ("sent", "failed")),
            "-" if row["share"] is None else f"{100 * row['share']:.0f} %",
            *(
                figure(row["metrics"][metric][q], q)
                for metric in ("ttft_ms", "e2e_ms")
                for q in ("p50", "p95")
            ),
        ]
        for row in rows
    ]

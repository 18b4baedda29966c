"""A comparison of kept runs as Markdown, for a merge request or a job's summary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_llmserve.reports.markdown import MOST_BYTES
from pytest_llmserve.reports.markdown_text import Part, code, page, prose, table
from pytest_llmserve.reports.pairs_words import (
    HEADS,
    cells,
    headline,
    note,
    run_title,
    sides,
    title,
    verdict_lines,
    warnings,
)
from pytest_llmserve.reports.whole import write_text


def write(document: Mapping[str, Any], path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    write_text(markdown(document), path)


def markdown(document: Mapping[str, Any], most_bytes: int = MOST_BYTES) -> str:
    """The page, of at most `most_bytes` of UTF-8: what was judged first, then run by run."""
    parts = [
        Part("", [_sign(document) + prose(headline(document))]),
        Part("", [f"- {prose(line)}" for line in verdict_lines(document)], "verdict"),
    ]
    for run in document["runs"]:
        told = [*sides(run), *(f"⚠️ {line}" for line in warnings(run)), note(run)]
        parts.append(Part(f"### {code(run_title(run))}\n", [f"- {_line(line)}" for line in told]))
        rows = [_row(row) for row in run["differences"]]
        heads = (HEADS[0], HEADS[3], *HEADS[1:3])
        parts.append(table(heads, rows, 2, "figure"))
    parts.append(Part("", [f"- not compared: {prose(line)}" for line in document["left_out"]], "run"))
    return page(f"## {prose(title(document))}", parts, most_bytes)


def _sign(document: Mapping[str, Any]) -> str:
    words = {each["verdict"] for each in document["verdicts"]}
    signs = {"fail": "❌ ", "undecided": "⚠️ ", "pass": "✅ "}
    return next((sign for word, sign in signs.items() if word in words), "")


def _line(line: str) -> str:
    sign, _, rest = line.partition("⚠️ ")
    return f"⚠️ {prose(rest)}" if rest and not sign else prose(line)


def _row(row: Mapping[str, Any]) -> list[str]:
    name, before, after, said = cells(row)
    word = "" if not row["seen"] else "**worse:** " if row["worse"] else "**better:** "
    return [prose(name), word + prose(said), before, after]

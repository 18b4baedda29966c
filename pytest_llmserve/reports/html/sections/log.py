"""What the server's log told through the test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_llmserve.reports.html.markup import Child, Markup, tag
from pytest_llmserve.reports.html.tables import folded, part, table
from pytest_llmserve.reports.html.words import count, number, whole


def log(found: Mapping[str, Any] | None) -> Markup | None:
    """Its lines that tell of errors by kind and in order; how much was read; why it was not."""
    if not found:
        return None
    by_pattern: list[list[Child]] = [[name, whole(n)] for name, n in (found.get("by_pattern") or {}).items()]
    kinds = table("By kind", ("kind", "lines"), by_pattern) if by_pattern else None
    return part(4, "Server log", tag("p", _said(found)), kinds, _lines(found))


def _said(found: Mapping[str, Any]) -> str:
    if found.get("missing") and not found.get("read"):
        return str(found["missing"])
    said = f"{count(found['errors'], 'line')} that tell of an error, of {found['read']:,} read"
    told = [
        f"{found['allowed']:,} that the test allows" if found.get("allowed") else "",
        f"{found['cut']:,} of which only the beginning was read" if found.get("cut") else "",
        found.get("missing") or "",
    ]
    files = ", ".join(found.get("files") or ())
    return "; ".join([said, *filter(None, told), *([files] if files else [])])


def _lines(found: Mapping[str, Any]) -> Markup | None:
    kept = any("text" in line for line in found.get("lines") or ())
    rows: list[list[Child]] = [
        [
            number(line["at_s"]),
            line["pattern"],
            tag("code", line["text"]) if line.get("text") is not None else f"{line['chars']:,} characters",
        ]
        for line in found.get("lines") or ()
    ]
    last = "line" if kept else "length"
    told = (
        table("The first of each kind", ("at, s", "kind", last), rows, words=("kind", last)) if rows else None
    )
    hint = None if kept or not rows else tag("p", "Their texts are kept with --llm-keep-text.", class_="note")
    return folded("Lines", told, hint, open_=bool(rows) and len(rows) <= 5)

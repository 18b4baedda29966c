"""Hostile inputs and clients that left: what the server made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_llmserve.reports.html.markup import Child, Markup, join, tag
from pytest_llmserve.reports.html.tables import folded, items, part, table
from pytest_llmserve.reports.html.words import count, number, shown, whole


def survival(found: Mapping[str, Any] | None) -> Markup | None:
    """The cases put to the server, and the first that it did not survive; None where none was put."""
    if found is None:
        return None
    rows: list[list[Child]] = [
        [
            fault["what"],
            "; ".join(fault["faults"]),
            shown(fault["status"]) if fault.get("status") is not None else fault.get("outcome"),
            number(fault.get("took_ms")),
            whole(fault.get("bytes")),
            tag("code", fault["sha256"][:12]) if fault.get("sha256") else None,
        ]
        for fault in found.get("faults") or ()
    ]
    heads = ("what", "faults", "status", "took, ms", "bytes", "sha256")
    words = ("faults", "sha256")
    told = table("The first that were not survived", heads, rows, words=words) if rows else None
    return part(
        4, "Hostile inputs", tag("p", f"{survival_text(found)}."), told, _sent(found.get("faults") or ())
    )


def survival_text(found: Mapping[str, Any]) -> str:
    """How many cases were put to the server, and what became of it."""
    said = f"{count(found['cases'], 'case')}, {found['survived']:,} survived"
    if found.get("restarts"):
        said += f", {count(found['restarts'], 'restart')} of the server ({number(found['restart_s'])} s)"
    return said


def _sent(faults: Sequence[Mapping[str, Any]]) -> Markup | None:
    texts = [tag("pre", str(fault["sent"])) for fault in faults if fault.get("sent") is not None]
    return folded("What was sent", texts)


def disconnects(found: Sequence[Mapping[str, Any]]) -> Markup | None:
    """Each time that clients left, and whether the server is as before."""
    return part(4, "Clients that left", [_disconnect(each) for each in found])


def _disconnect(found: Mapping[str, Any]) -> Markup:
    columns = ("clients", "left", "answered", "silent", "no_connection")
    rows: list[list[Child]] = [
        [row["where"], *(whole(row.get(key)) for key in columns), row.get("error")]
        for row in found.get("leavers") or ()
    ]
    heads = ("where", "clients", "left", "answered", "silent", "no connection", "error")
    told = table("Where they left", heads, rows, words=("error",)) if rows else None
    unseen = [f"Not seen: {clause}" for clause in found.get("not_seen") or ()]
    lines = [*(found.get("faults") or ()), *unseen]
    return join(tag("p", found["what"]), items(lines), told, _rest(found))


def _rest(found: Mapping[str, Any]) -> Markup | None:
    """The server at rest, before and after."""
    sides = [found.get(side) or {} for side in ("before", "after")]
    together = [side.get("together") or {} for side in sides]
    rows = [
        ["short questions at once, ms", *[number(each.get("ms")) for each in together]],
        *[[name, *[whole(side.get(key)) for side in sides]] for key, name in _AT_REST.items()],
    ]
    known: list[list[Child]] = [[*row] for row in rows if any(cell != "-" for cell in row[1:])]
    return table("The server at rest", ("", "before", "after"), known) if known else None


_AT_REST = {"running": "requests in work", "waiting": "requests waiting", "open_files": "open files"}

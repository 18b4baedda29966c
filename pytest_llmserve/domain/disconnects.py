"""Whether a server is again what it was before clients left it: what was seen of both. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

import msgspec

BEFORE_FIRST_TOKEN, MID_STREAM, MID_UPLOAD = "before_first_token", "mid_stream", "mid_upload"
PLACES = {
    BEFORE_FIRST_TOKEN: "before the first token",
    MID_STREAM: "in mid-stream",
    MID_UPLOAD: "in mid-upload",
}
"""Where a client may leave -> in words."""

FIN, RST = "FIN", "RST"
"""How its connection ends: closed as usual, or reset as when a client's process or machine is gone."""

LEFT, ANSWERED, SILENT, NO_CONNECTION = "left", "answered", "silent", "no_connection"
"""What came of a client: it left as planned; its answer ended before; it got none; nor a connection."""


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """One client that was to leave.

    Attributes:
        number: from 1, in the order in which they began.
        where, by: words of this module.
        came: what came of it, likewise.
        error: what was wrong, in a line; None where nothing was.
    """

    number: int
    where: str
    by: str
    came: str
    error: str | None = None


class Leavers(msgspec.Struct, frozen=True, kw_only=True):
    """All clients that were to leave at one place, counted.

    Attributes:
        left, answered, silent, no_connection: how many of them did, see `Visit.came`.
        error: the first that was wrong with one of them, or None.
    """

    where: str
    clients: int
    left: int = 0
    answered: int = 0
    silent: int = 0
    no_connection: int = 0
    error: str | None = None


class Together(msgspec.Struct, frozen=True, kw_only=True):
    """Short questions asked at the same time, in several rounds.

    Attributes:
        users: as many at once.
        asked: in all rounds together.
        slowest_ms: of each round that was answered, until its last answer.
        held_up: of each of these rounds, the share of its time in which this process was kept from running.
        errors: of the questions that were not answered, a line each.
        texts: the answers.
    """

    users: int
    asked: int = 0
    slowest_ms: tuple[float, ...] = ()
    held_up: tuple[float, ...] = ()
    errors: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def usual_ms(self) -> float | None:
        """Median over the rounds."""
        return median(self.slowest_ms) if self.slowest_ms else None

    def __str__(self) -> str:
        return "a short question alone" if self.users == 1 else f"{self.users} short questions at once"


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """A server that is asked a few short questions, and what it has open when they are answered.

    Attributes:
        together: one question alone, then more at once.
        running, waiting: requests, as the server's metrics say; None = not told.
        open_files: of its processes; None = not told.
        unseen: why a figure is not told, a clause each.
        gone: how its process ended, or None.
    """

    together: tuple[Together, ...] = ()
    running: float | None = None
    waiting: float | None = None
    open_files: int | None = None
    unseen: tuple[str, ...] = ()
    gone: str | None = None


class Disconnects(msgspec.Struct, frozen=True, kw_only=True):
    """What clients that left did to a server: ``assert llm_endpoint.recovers_from_disconnects(n=30)``.

    True where it is again as it was before.

    Attributes:
        what: all of it in a sentence.
        faults: one clause each, shown where an assertion fails; empty = recovered.
        leavers: the clients, a row for each place where they left.
        recovered_ms: from the last one's leaving until the beginning of the look in which all was as before;
            None = in none it was.
        before, after: the server before the first client and after the last; None = it was not looked at.
        not_seen: clauses on what could not be looked at.
    """

    what: str
    faults: tuple[str, ...] = ()
    leavers: tuple[Leavers, ...] = ()
    recovered_ms: float | None = None
    before: Look
    after: Look | None = None
    not_seen: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not self.faults

    def __repr__(self) -> str:
        # pytest cuts the middle out of a longer one; the summary and the report have `what`.
        if self.faults:
            return f"Disconnects(NOT recovered: {'; '.join(self.faults)})"
        return f"Disconnects(recovered after {who_left(self.leavers)})"

    def as_json(self) -> dict[str, Any]:
        """For the report: sentences, counts and figures, no answers."""
        return {
            "what": self.what,
            "recovered": bool(self),
            "faults": list(self.faults),
            "not_seen": list(self.not_seen),
            "recovered_ms": None if self.recovered_ms is None else round(self.recovered_ms, 3),
            "clients": sum(row.clients for row in self.leavers),
            "left": sum(row.left for row in self.leavers),
            "leavers": [msgspec.to_builtins(row) for row in self.leavers],
            "before": _look_json(self.before),
            "after": None if self.after is None else _look_json(self.after),
        }


def _look_json(look: Look) -> dict[str, Any]:
    asked = [
        {"users": row.users, "ms": row.usual_ms and round(row.usual_ms, 3), "failed": len(row.errors)}
        for row in look.together
    ]
    names = ("running", "waiting", "open_files")
    return {"together": asked} | {name: getattr(look, name) for name in names}


def rows_of(visits: Sequence[Visit]) -> tuple[Leavers, ...]:
    """The clients counted, a row for each place."""
    rows = []
    for where in PLACES:
        mine = [visit for visit in visits if visit.where == where]
        if not mine:
            continue
        count = {came: sum(visit.came == came for visit in mine) for came in (LEFT, ANSWERED, SILENT)}
        row = Leavers(
            where=where,
            clients=len(mine),
            no_connection=sum(visit.came == NO_CONNECTION for visit in mine),
            error=next((visit.error for visit in mine if visit.error), None),
            **count,
        )
        rows.append(row)
    return tuple(rows)


def who_left(rows: Sequence[Leavers]) -> str:
    """How many clients left, and where, in words."""
    left = sum(row.left for row in rows)
    places = ", ".join(f"{row.left} {PLACES[row.where]}" for row in rows if row.left)
    who = f"{left} client{'' if left == 1 else 's'} that left"
    return (
        f"{who} {places[places.index(' ') + 1 :]}" if ", " not in places and places else f"{who} ({places})"
    )

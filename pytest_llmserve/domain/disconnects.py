"""Whether a server is again what it was before clients left it: what was seen, and the decision. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

import msgspec

from pytest_llmserve.domain.units import NS_PER_MS, NS_PER_S, duration_text, ms_text

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

RATIO, GRACE_MS = 1.5, 50.0
"""A question may take so much longer than before: half as long again, and this for the noise of a machine."""
_FILES, _FILES_SHARE = 3, 4
_SHOWN_CHARS = 60
_AGO_S = 9.5


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
        errors: of the questions that were not answered, a line each.
        texts: the answers.
    """

    users: int
    asked: int = 0
    slowest_ms: tuple[float, ...] = ()
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
        return f"Disconnects(recovered after {_who(self.leavers)})"

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


def levels(users: int) -> list[int]:
    """How many questions at once to ask: 1, 2, 4 and so on up to `users`."""
    found = [1]
    while found[-1] < users:
        found.append(min(users, 2 * found[-1]))
    return found


def files_allowed(clients: int) -> int:
    """So many more open files than before are none that clients left behind: logs, connections of others."""
    return max(_FILES, clients // _FILES_SHARE)


def wrong(before: Look, after: Look, clients: int) -> tuple[str, ...]:
    """How a server differs from what it was; empty = it does not.

    Args:
        before: all questions were answered.
        after: perhaps not asked all that was asked before, where something was wrong earlier.
        clients: that left in between.
    """
    if after.gone is not None:
        return (f"the server's process ended: {after.gone}",)
    known = {text for asked in before.together for text in asked.texts}
    found: list[str] = []
    for was, now in zip(before.together, after.together, strict=False):
        found += _worse(was, now, known)
    for name, of in (("running", "running"), ("waiting", "waiting in its queue")):
        then, here = getattr(before, name), getattr(after, name)
        if then is not None and here is not None and here > then:
            found.append(f"{_requests(here)} {of} though nobody asks, {then:g} before")
    if before.open_files is not None and after.open_files is not None:
        more = after.open_files - before.open_files
        if more > files_allowed(clients):
            found.append(f"{more} more open files than before ({after.open_files} after {before.open_files})")
    return tuple(found)


def _worse(was: Together, now: Together, known: set[str]) -> list[str]:
    if now.errors:
        return [f"{now}: {len(now.errors)} of {now.asked} not answered ({now.errors[0]})"]
    found = []
    usual_ms, before_ms = now.usual_ms, was.usual_ms
    if usual_ms is not None and before_ms is not None and usual_ms > RATIO * before_ms + GRACE_MS:
        takes = "takes" if now.users == 1 else "take"
        found.append(f"{now} {takes} {ms_text(usual_ms)}, {ms_text(before_ms)} before")
    # Asked together, a right server may word it otherwise: sums run in another order.
    if now.users == 1 and len(set(was.texts)) == 1 and now.texts and not known & set(now.texts):
        found.append(
            f"it answers otherwise than before: {_shown(now.texts[0])} instead of {_shown(was.texts[0])}"
        )
    return found


def disconnects_of(
    before: Look,
    after: Look | None,
    visits: Sequence[Visit],
    within_ns: int,
    after_ns: int,
    left_out: Sequence[str] = (),
) -> Disconnects:
    """What is to be said of a server after clients have left it.

    Args:
        before: the server before the first one came.
        after: the last look at it; None = there was none, as it was not well before.
        visits: the clients.
        within_ns: how long it had to be as before.
        after_ns: from the last one's leaving until the beginning of the last look.
        left_out: clauses on what was not tried.
    """
    rows = rows_of(visits)
    not_seen = (*left_out, *before.unseen, *_never(rows))
    if after is None:
        ill = tuple(f"{asked}: {asked.errors[0]}" for asked in before.together if asked.errors)
        what = f"nothing was tried, as the server was not well before: {'; '.join(ill)}"
        return Disconnects(what=what, faults=ill or (what,), before=before, not_seen=not_seen)
    left = sum(row.left for row in rows)
    faults = wrong(before, after, len(visits))
    who = _who(rows)
    if not faults and not left:
        faults = (f"no client could leave as planned: {'; '.join(_never(rows))}",)
        what = faults[0]
    elif faults:
        what = f"not as before within {duration_text(within_ns)} of the last of {who}: {'; '.join(faults)}"
        what += _refused(visits)
    else:
        what = f"as before {_time(after_ns)} after the last of {who}: {_figures(before, after)}"
        what += _meanwhile(visits)
    what += f"; not seen: {'; '.join(not_seen)}" if not_seen else ""
    recovered_ms = None if faults else after_ns / NS_PER_MS
    return Disconnects(
        what=what,
        faults=faults,
        leavers=rows,
        recovered_ms=recovered_ms,
        before=before,
        after=after,
        not_seen=not_seen,
    )


def _who(rows: Sequence[Leavers]) -> str:
    left = sum(row.left for row in rows)
    places = ", ".join(f"{row.left} {PLACES[row.where]}" for row in rows if row.left)
    who = f"{left} client{'' if left == 1 else 's'} that left"
    return (
        f"{who} {places[places.index(' ') + 1 :]}" if ", " not in places and places else f"{who} ({places})"
    )


def _never(rows: Sequence[Leavers]) -> list[str]:
    """Places where no client left, and why."""
    found = []
    for row in rows:
        if row.left:
            continue
        where = f"no client left {PLACES[row.where]}"
        if row.answered:
            why = (
                row.error
                or "each answer was over before: give a greater max_tokens, or a prompt that asks for more"
            )
        else:
            why = row.error or "none was answered"
        found.append(f"{where}: {why}")
    return found


def _refused(visits: Sequence[Visit]) -> str:
    """From which client on there were no connections any more, where they ended so."""
    there = [visit for visit in visits if visit.came != NO_CONNECTION]
    first = next((visit for visit in visits if visit.came == NO_CONNECTION), None)
    if first is None or any(visit.number > first.number for visit in there):
        return ""
    last = there[-1] if there else None
    after = "" if last is None else f", the one before had left {PLACES[last.where]} by {last.by}"
    return (
        f"; client {first.number} of {len(visits)} and all after it got no connection ({first.error}){after}"
    )


def _meanwhile(visits: Sequence[Visit]) -> str:
    """Clients that were not served while others left; the server has come back from it."""
    said = []
    for came, got in ((NO_CONNECTION, "got no connection"), (SILENT, "got no answer")):
        mine = [visit for visit in visits if visit.came == came]
        if mine:
            said.append(f"{len(mine)} client{'' if len(mine) == 1 else 's'} {got} ({mine[0].error})")
    return f"; meanwhile {' and '.join(said)}" if said else ""


def _figures(before: Look, after: Look) -> str:
    said = []
    for was, now in zip(before.together, after.together, strict=False):
        if was is before.together[0] or was is before.together[-1]:
            said.append(f"{now} {ms_text(now.usual_ms or 0)}, before {ms_text(was.usual_ms or 0)}")
    for name, words in (("running", "running"), ("waiting", "waiting"), ("open_files", "open files")):
        now_there = getattr(after, name)
        if now_there is not None:
            said.append(f"{words} {now_there:g}, before {getattr(before, name):g}")
    return "; ".join(said)


def _time(ns: int) -> str:
    return f"{ns / NS_PER_S:.1f} s" if ns >= _AGO_S * NS_PER_S else f"{ns / NS_PER_S:.2f} s"


def _requests(count: float) -> str:
    return f"{count:g} request{' is' if count == 1 else 's are'}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "...")

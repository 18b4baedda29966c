"""Whether a server is again what it was before clients left it: the decision, and its sentences. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from pytest_llmserve.domain.disconnects import (
    NO_CONNECTION,
    PLACES,
    SILENT,
    Disconnects,
    Leavers,
    Look,
    Together,
    Visit,
    rows_of,
    who_left,
)
from pytest_llmserve.domain.units import NS_PER_MS, NS_PER_S, duration_text, ms_text

RATIO, GRACE_MS = 1.5, 50.0
"""A question may take so much longer than before: half as long again, and this for the noise of a machine."""
_FILES = 3
_TOLD = {"running": "requests running", "waiting": "requests waiting", "open_files": "open files"}
"""Figure of a look -> how the clause begins that says why there is none."""
_SHOWN_CHARS = 60
_AGO_S = 9.5


def levels(users: int) -> list[int]:
    """How many questions at once to ask: 1, 2, 4 and so on up to `users`."""
    found = [1]
    while found[-1] < users:
        found.append(min(users, 2 * found[-1]))
    return found


def files_allowed(before: Look) -> int:
    """So many more open files than before are left by no client: logs and others come and go.

    As many as there were clients at once, and some: it must not grow with all that have left.
    """
    return _FILES + max((asked.users for asked in before.together), default=1)


def wrong(before: Look, after: Look) -> tuple[str, ...]:
    """How a server differs from what it was; empty = it does not.

    Args:
        before: all questions were answered.
        after: perhaps not asked all that was asked before, where something was wrong earlier.
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
        if more > files_allowed(before):
            found.append(f"{more} more open files than before ({after.open_files} after {before.open_files})")
    return tuple(found or _lost(before, after))  # a server that does not answer tells nothing either


def _lost(before: Look, after: Look) -> list[str]:
    """What was told before and is not any more is no evidence that it is as it was."""
    found = []
    for name, words in _TOLD.items():
        why = next((clause for clause in after.unseen if clause.startswith(words)), None)
        if why is not None and getattr(before, name) is not None and getattr(after, name) is None:
            found.append(f"what was seen before is not seen any more: {why}")
    return found


def _worse(was: Together, now: Together, known: set[str]) -> list[str]:
    if now.errors:
        return [f"{now}: {len(now.errors)} of {now.asked} not answered ({now.errors[0]})"]
    found = []
    if _too_slow(was, now) and not _held_up(was, now):
        takes = "takes" if now.users == 1 else "take"
        best, before = ms_text(min(now.slowest_ms)), ms_text(was.usual_ms or 0.0)
        found.append(f"{now} {takes} {best} at best, {before} before")
    # Asked together, a right server may word it otherwise: sums run in another order.
    if now.users == 1 and len(set(was.texts)) == 1 and now.texts and not known & set(now.texts):
        found.append(
            f"it answers otherwise than before: {_shown(now.texts[0])} instead of {_shown(was.texts[0])}"
        )
    return found


def too_busy(before: Look, after: Look) -> tuple[str, ...]:
    """Clauses on questions that took too long while this process was kept from running."""
    found = []
    for was, now in zip(before.together, after.together, strict=False):
        if not now.errors and _too_slow(was, now) and _held_up(was, now):
            took, usual = ms_text(min(now.slowest_ms)), ms_text(was.usual_ms or 0.0)
            share = f"for {100 * max(now.held_up):.0f}% of the time our own process was kept from running"
            found.append(
                f"how fast it is: this machine was too busy to tell ({now}: {took} at best, {usual} before;"
                f" {share})"
            )
    return tuple(found)


def _too_slow(was: Together, now: Together) -> bool:
    """Even the fastest round is over what is let pass."""
    if was.usual_ms is None or not now.slowest_ms:
        return False
    return min(now.slowest_ms) > RATIO * was.usual_ms + GRACE_MS


def _held_up(was: Together, now: Together) -> bool:
    """Without the time that was taken from this process, then and now, a round was fast enough.

    A server on the same machine is held up as well; one elsewhere is not, but its answers are read late.
    """
    mine_ms, usual_ms = _less(now), _less(was)
    return bool(mine_ms and usual_ms) and min(mine_ms) <= RATIO * median(usual_ms) + GRACE_MS


def _less(asked: Together) -> list[float]:
    """Times of the rounds, less the share in which this process was kept from running; where it is known."""
    return [ms * (1 - share) for ms, share in zip(asked.slowest_ms, asked.held_up, strict=False)]


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
    busy = () if after is None else too_busy(before, after)
    not_seen = (*left_out, *before.unseen, *_never(rows), *busy)
    if after is None:
        ill = tuple(f"{asked}: {asked.errors[0]}" for asked in before.together if asked.errors)
        what = f"nothing was tried, as the server was not well before: {'; '.join(ill)}"
        return Disconnects(what=what, faults=ill or (what,), before=before, not_seen=not_seen)
    left = sum(row.left for row in rows)
    faults = wrong(before, after)
    who = who_left(rows)
    if not faults and not left:
        faults = (f"no client could leave as planned: {'; '.join(_never(rows))}",)
        what = faults[0]
    elif faults:
        what = f"not as before within {duration_text(within_ns)} of the last of {who}: {'; '.join(faults)}"
        what += _refused(visits) or _meanwhile(visits)
    else:
        what = f"as before {_time(after_ns)} after the last of {who}: {_figures(before, after)}"
        what += _meanwhile(visits)
    what += f"; not seen: {'; '.join(not_seen)}" if not_seen else ""
    recovered_ms = None if faults or busy else after_ns / NS_PER_MS
    return Disconnects(
        what=what,
        faults=faults,
        leavers=rows,
        recovered_ms=recovered_ms,
        before=before,
        after=after,
        not_seen=not_seen,
    )


def interrupted_of(clients: int, visits: Sequence[Visit]) -> Disconnects:
    """What is to be said where somebody has ended it before the server was looked at again.

    Args:
        clients: that were to leave.
        visits: of those that have come.
    """
    what = f"interrupted after {len(visits)} of {clients} clients: nobody has seen whether it recovers"
    return Disconnects(what=what, faults=(what,), leavers=rows_of(visits), before=Look())


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

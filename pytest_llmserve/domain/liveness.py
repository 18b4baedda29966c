"""What became of a server during a test: from what was seen of it to one sentence. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from pytest_llmserve.domain.units import duration_text

_KILLED = "killed by SIGKILL"
_WANT_OF_MEMORY = re.compile(
    r"MemoryError|std::bad_alloc|[Cc]annot allocate memory|[Oo]ut of memory|OutOfMemoryError"
)


SILENT = "not a byte"
"""Stands in what is said of a server that takes requests and answers none."""


def absence(gone: str) -> str:
    """What it did: it was gone only where it took no connection.

    Args:
        gone: `GeneratorHealth.server_gone`.
    """
    return "stopped answering" if SILENT in gone else "was gone"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of a server from the beginning of a test to its end.

    Attributes:
        exit: how its first process ended, "exited with code 1" or "pid 12 is gone"; None = it runs.
        asked: it was stopped, killed or restarted because the test wanted it.
        listened, listens: the process at its port at the beginning and at the end; None = none, or not known.
        ended: the process that listened at the beginning has ended.
        oom_kills: processes of its control group that the kernel ended for want of memory; None = not known.
        log: its last lines.
        lives: its process is known, and runs.
        refuses: it took no connection at the end.
        silent_ns: for so long it had answered no prompt; None = it had, or was not asked.
        answers_get: a plain GET was answered all the same.
        answers: one more prompt was answered within `within_s`; None = it was not asked.
        workers_ended, workers_replaced: worker processes that were there when a load began and have ended,
            and in place of how many of them another one came.
        requests_failed, requests_resent: what they may have had with them.
        crashes: lines of its log that tell of a crash, or of a process that was killed.
        recycled: its log says that workers end on purpose, after so many requests.
    """

    exit: str | None = None
    asked: bool = False
    listened: int | None = None
    listens: int | None = None
    ended: bool = False
    oom_kills: float | None = None
    log: str = ""
    lives: bool = True
    refuses: bool = False
    silent_ns: int | None = None
    answers_get: bool = False
    answers: bool | None = None
    within_s: float = 0.0
    workers_ended: int = 0
    workers_replaced: int = 0
    requests_failed: int = 0
    requests_resent: int = 0
    crashes: int = 0
    recycled: bool = False


class Fate(msgspec.Struct, frozen=True):
    """What became of a server.

    Attributes:
        sentence: for people.
        fatal: it was not the same server to the end, or none any more, so that no promise was kept.
        mild: it was all right in the end, so that nobody need be warned.
    """

    sentence: str
    fatal: bool
    mild: bool = False


def fate_of(seen: Seen) -> Fate | None:
    """What became of the server, or None when nothing did."""
    if seen.asked:
        return None
    restarted = seen.listens is not None and seen.listened is not None and seen.listens != seen.listened
    if restarted and (seen.ended or seen.exit is not None):
        how = f" ({seen.exit})" if seen.exit is not None and "is gone" not in seen.exit else ""
        return Fate(
            f"the server was restarted during the test: pid {seen.listened} ended{how},"
            f" pid {seen.listens} listens at its port now{_cause(seen)}",
            True,
        )
    if seen.exit is not None:
        return Fate(f"the server's process ended during the test: {seen.exit}{_cause(seen)}", True)
    if seen.ended and seen.listens is None:
        gone = f"pid {seen.listened} is gone, and nothing listens at its port"
        return Fate(f"the server's process ended during the test: {gone}{_cause(seen)}", True)
    if seen.refuses:
        who = "the server's process lives but" if seen.lives else "the server"
        return Fate(f"{who} has stopped accepting connections", True)
    told = [fate for fate in (_silence(seen), _workers(seen)) if fate is not None]
    return next((fate for fate in told if fate.fatal), told[0] if told else None)


def named(name: str, said: str) -> str:
    """What is said of one of several servers; `name` is "" where it is the only one."""
    return f"{name}: {said}" if name else said


def fate_of_all(fates: Sequence[tuple[str, Fate]]) -> Fate | None:
    """What became of several servers; where it is fatal to some, of these.

    Args:
        fates: (name, what became of it), of those that something became of.
    """
    told = [each for each in fates if each[1].fatal] or fates
    if not told:
        return None
    sentence = "; ".join(named(name, fate.sentence) for name, fate in told)
    return Fate(sentence, any(fate.fatal for _, fate in told), all(fate.mild for _, fate in told))


def _silence(seen: Seen) -> Fate | None:
    if seen.silent_ns is None:
        return None
    who = "the server's process lives and" if seen.lives else "the server"
    silent = duration_text(round(seen.silent_ns, -8))
    does = "answers a plain GET" if seen.answers_get else "accepts connections"
    said = f"{who} {does} but had not answered a prompt for {silent}"
    if seen.answers is None:
        return Fate(said, False)
    if seen.answers:
        return Fate(f"{said}; it answered one more at the end of the test", False, mild=True)
    return Fate(f"{said}, and did not answer one more within {seen.within_s:.0f} s", True)


def _workers(seen: Seen) -> Fate | None:
    """Fatal where something was lost with them: some servers end theirs on purpose."""
    ended, replaced = seen.workers_ended, seen.workers_replaced
    if not ended:
        return None
    said = f"{ended} of the server's worker processes ended during the test"
    if replaced:
        number = "" if replaced == ended else f"{replaced} "
        said += f" and {number}{'was' if replaced == 1 else 'were'} replaced"
    # A worker that ends on purpose closes its kept connections: a request on one of these is sent again.
    resent = 0 if seen.recycled else seen.requests_resent
    lost = [
        f"{count} {what}{'' if count == 1 else 's'} {did}"
        for count, what, did in (
            (seen.crashes, "line", "of its log told of a crash"),
            (seen.requests_failed, "request", "failed"),
            (resent, "request", "had to be sent again"),
        )
        if count
    ]
    return Fate(f"{said}: {', '.join(lost)}" if lost else said, bool(lost))


def _cause(seen: Seen) -> str:
    """Want of memory, where the kernel or the server itself says so."""
    by_kernel = seen.exit is None or seen.exit.startswith(_KILLED) or "is gone" in seen.exit
    if seen.oom_kills and by_kernel:
        number = round(seen.oom_kills)
        return f", out of memory: its control group counted {number} oom kill{'' if number == 1 else 's'}"
    said = _WANT_OF_MEMORY.search(seen.log)
    return f", out of memory: its log says {said[0]!r}" if said is not None else ""

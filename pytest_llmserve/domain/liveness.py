"""What became of a server during a test: from what was seen of it to one sentence. Pure."""

from __future__ import annotations

import re

import msgspec

from pytest_llmserve.domain.units import duration_text

_KILLED = "killed by SIGKILL"
_WANT_OF_MEMORY = re.compile(
    r"MemoryError|std::bad_alloc|[Cc]annot allocate memory|[Oo]ut of memory|OutOfMemoryError"
)


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


class Fate(msgspec.Struct, frozen=True):
    """What became of a server.

    Attributes:
        sentence: for people.
        fatal: it was not the same server to the end, or none any more, so that no promise was kept.
    """

    sentence: str
    fatal: bool


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
    if seen.silent_ns is not None:
        who = "the server's process lives and" if seen.lives else "the server"
        silent = duration_text(round(seen.silent_ns, -8))
        does = "answers a plain GET" if seen.answers_get else "accepts connections"
        return Fate(f"{who} {does} but had not answered a prompt for {silent}", False)
    return None


def _cause(seen: Seen) -> str:
    """Want of memory, where the kernel or the server itself says so."""
    by_kernel = seen.exit is None or seen.exit.startswith(_KILLED) or "is gone" in seen.exit
    if seen.oom_kills and by_kernel:
        number = round(seen.oom_kills)
        return f", out of memory: its control group counted {number} oom kill{'' if number == 1 else 's'}"
    said = _WANT_OF_MEMORY.search(seen.log)
    return f", out of memory: its log says {said[0]!r}" if said is not None else ""

"""What is planted, which check must find it, and which others may: a row a fault."""

from __future__ import annotations

from dataclasses import dataclass

SLOW = frozenset({"latency", "goodput"})
DISCONNECTS = "recovers_from_disconnects"
ILL = frozenset({"survives", DISCONNECTS})
"""Fail on an ill server of themselves: their own questions beside an input, or before clients leave, fail."""
FAILING = frozenset({"error_rate", *SLOW, *ILL})
ANSWERED_5XX = FAILING | {"no_log_errors"}
"""An access log tells of such answers too."""
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Row:
    """A server, and what is to be said of it.

    Attributes:
        faults: options for `--fault`; none = a healthy server.
        found_by: the check that must fail; None = none may.
        also: checks that may fail, as the fault does break what they promise.
        needs: tests of the suite that the quick form runs, by the names after "test_".
    """

    faults: tuple[str, ...]
    found_by: str | None
    also: frozenset[str] = NOTHING
    needs: tuple[str, ...] = ("load",)

    @property
    def name(self) -> str:
        return " + ".join(self.faults) or "healthy"

    @property
    def kinds(self) -> set[str]:
        """Names of the faults, without their keys."""
        return {fault.partition(":")[0] for fault in self.faults}


def _row(fault: str, found_by: str | None, also: frozenset[str] = NOTHING, *needs: str) -> Row:
    return Row((fault,), found_by, also - {found_by}, needs or ("load",))


HEALTHY = Row((), None)

ROWS = (
    _row("slow_tail:every=5,ms=450", "latency", SLOW),
    Row(("empty_role_chunk", "slow_tail:every=5,ms=450"), "latency", SLOW, ("ttft",)),
    _row("slow_decay:ms=1", "no_degradation", FAILING),
    _row("startup_errors:seconds=60,share=0.3", "error_rate", ANSWERED_5XX),
    _row("error_bursts:every=50,length=15", "error_rate", ANSWERED_5XX | {"no_degradation"}),
    _row("stall:every=5,ms=450", "latency", SLOW),
    _row("truncated_stream:every=5", "error_rate", FAILING),
    _row("error_in_stream:every=5", "error_rate", FAILING),
    _row("missing_end_mark:every=5", "error_rate", FAILING),
    _row("wrong_length:every=5", "error_rate", FAILING),
    _row("reset:every=5", "error_rate", FAILING),
    _row("deadlock:at=12", "error_rate", NOTHING, "crowd"),
    _row("out_of_memory_log:every=50", "no_log_errors"),
    _row("swapped_answers:share=0.1", "isolation", NOTHING, "isolation"),
    _row("canary_bleed:share=0.1", "isolation", NOTHING, "isolation"),
    _row("canary_bleed:share=0.5,aborted=true", "isolation", NOTHING, "isolation"),
    _row("system_prompt_bleed:share=0.6", "isolation", NOTHING, "isolation"),
    _row("slot_lost_on_disconnect", DISCONNECTS, FAILING | {"isolation"}, "disconnects"),
    _row("hang_on_empty", "survives", NOTHING, "empty"),
    _row("error_500_on_nul", "survives", NOTHING, "signs"),
    _row("crash_on_oversize", "survives", NOTHING, "long"),
    _row("float_parameter_crash", "survives", NOTHING, "params"),
    _row("leak", "no_leak", NOTHING, "memory"),
    _row("leak_prompts", "no_leak", NOTHING, "memory"),
    _row("leak_child", "no_leak", NOTHING, "memory"),
)
"""Of faults: each is found, and no check but those of its row fails."""

LEGAL = (
    _row("crlf_stream", None),
    _row("many_tokens_per_chunk", None),
    _row("empty_role_chunk", None),
    _row("missing_usage", None),
    _row("missing_end_mark:every=1,finish_reason=true", None),
    _row("startup_errors:seconds=2,share=0.5", None, NOTHING, "startup"),
    _row("bounded_cache:entries=50,kb=400", None, NOTHING, "memory"),
)
"""What a server may do, or what a test lets pass: no check fails."""

TOGETHER = (
    Row(tuple(fault for row in LEGAL if row.needs == ("load",) for fault in row.faults), None),
    *(row for row in LEGAL if row.needs != ("load",)),
)
"""The same in few servers."""

"""What a worker is told, and what it tells: plain data over its pipes."""

from __future__ import annotations

import json

import msgspec

from pytest_llmserve.domain.addresses import Address
from pytest_llmserve.domain.entry import Entry, from_plain
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.task import Manner

DRAIN = b"d"
"""Written to a worker's stdin while it runs: begin nothing more."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's part of a run. Sent through its stdin, never by a command line or a file.

    Attributes:
        prompts_json: a list of what `entry.to_plain` makes; JSON, because msgpack has no form for a lone
            surrogate.
        tasks: task name of each prompt, or empty.
        manners: of the tasks whose requests differ from the others, by name.
        trace_json: of a trace: this worker's rows, as `trace.rows_to_json` writes them.
        trace_end_ns: where the whole trace ends, from the start of the run.
        index: this worker's number, 0 <= index < plan.workers.
        shard: path prefix of the files the worker writes.
        address: of the target's server.
        others: of the other servers, where there are several, in the order of `replicas.servers_of`.
    """

    target: Target
    plan: LoadPlan
    prompts_json: bytes
    tasks: list[str]
    address: Address
    index: int
    shard: str
    manners: dict[str, Manner] = {}
    trace_json: bytes = b"[]"
    trace_end_ns: int = 0
    others: list[Address] = []

    def prompts(self) -> list[Entry]:
        """The prompts, read anew at each call."""
        return [from_plain(each) for each in json.loads(self.prompts_json)]


class WorkerSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says of itself when it is done.

    Attributes:
        start_ns, drain_ns, end_ns: monotonic; `drain_ns` is when no further request was begun.
        stamped_reads, unstamped_reads: reads with and without a kernel stamp.
        send_lag_ns, receive_lag_ns: samples, not sorted.
        pinned: it had a CPU of its own.
        gc_pauses, gc_longest_ns: garbage collections that ran while it measured.
        resent: see `GeneratorHealth`.
        protocols: HTTP versions of the answers.
        server_gone, gone_ns: since when and why the server is gone for it, see `gone.Presence`; or None, 0.
        stalls_ns: see `GeneratorHealth`.
    """

    index: int
    start_ns: int
    drain_ns: int
    end_ns: int
    cpu_ns: int
    chunks: int
    stamped_reads: int
    unstamped_reads: int
    send_lag_ns: list[int]
    receive_lag_ns: list[int]
    reopened: int
    unfinished: int
    crowded: int = 0
    merged: int = 0
    resent: int = 0
    ended: str
    pinned: bool = False
    gc_pauses: int = 0
    gc_longest_ns: int = 0
    protocols: list[str] = []
    server_gone: str | None = None
    gone_ns: int = 0
    stalls_ns: list[tuple[int, int]] = []


class Strain(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker does while it runs, for who judges a load that goes on.

    Attributes:
        elapsed_ns, cpu_ns, crowded: since the start of the run.
        send_lag_ns: samples since the last time, an array of int64.
    """

    elapsed_ns: int
    cpu_ns: int
    crowded: int
    send_lag_ns: bytes


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """What ended in one worker since its last beat, and what is under way in it.

    Attributes:
        sent: requests begun since the start of the run.
        active: requests under way now.
        oldest_ns: for how long the server has had the one that it has had longest; None without one.
        by_outcome, tokens: of measured requests; tokens of answered ones.
        warm_up, warm_up_ok, warm_up_tokens: the same of warm-up.
        e2e_ms, ttft_ms: arrays of float32 in the order of recording, inf for a failed request.
        strain: only of a plan `until`.
    """

    sent: int = 0
    active: int = 0
    oldest_ns: int | None = None
    by_outcome: dict[str, int] = msgspec.field(default_factory=dict)
    tokens: int = 0
    warm_up: int = 0
    warm_up_ok: int = 0
    warm_up_tokens: int = 0
    e2e_ms: bytes = b""
    ttft_ms: bytes = b""
    strain: Strain | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One line a worker writes to its stdout.

    Attributes:
        kind: "ready", "progress", "done" or "fault".
        fault: what of the user's keeps the worker from going on.
    """

    kind: str
    beat: Beat | None = None
    summary: WorkerSummary | None = None
    fault: str | None = None

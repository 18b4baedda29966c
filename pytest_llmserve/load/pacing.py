"""When a user of a closed loop sends next. No clock, no sleep: elapsed time comes in, a decision goes out.

The time line of a run, counted from its start:

    0 ............ warm_up ........................ warm_up + duration
    users start, spread over ramp_up                  no request begins after this
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.load.stages import Span, next_within

_FIRST_PAUSE_NS = 100_000_000
_LONGEST_PAUSE_NS = 1_000_000_000
# Pipes, shards, epoll, and the libraries' own.
_OTHER_DESCRIPTORS = 32


class Turn(msgspec.Struct, frozen=True):
    """A user's next request: not before `at_ns` (elapsed), counted as warm-up or not."""

    at_ns: int
    warm_up: bool


def workers_of(plan: LoadPlan) -> int:
    """How many workers a plan keeps busy: each plays a user, or has a connection, at the least."""
    return max(1, min(plan.workers, plan.max_concurrency if plan.is_open else plan.most_users))


def requests_of(worker: int, workers: int, total: int | None, users: int) -> int | None:
    """This worker's share of `total` requests, as large as its share of the users; the shares add up to it.

    Otherwise a worker of few users would still be busy when the others are done. What is
    left over after rounding down goes to the largest remainders, the first worker first.
    """
    if total is None:
        return None
    parts = [divmod(total * len(users_of(each, workers, users)), users) for each in range(workers)]
    left_over = total - sum(whole for whole, _ in parts)
    by_remainder = sorted(range(workers), key=lambda each: -parts[each][1])
    return parts[worker][0] + (by_remainder.index(worker) < left_over)


def users_of(worker: int, workers: int, users: int) -> range:
    """The numbers of the users this worker plays."""
    return range(worker, users, workers)


def start_ns(plan: LoadPlan, user: int) -> int:
    """When a user begins: users are spread evenly over the ramp-up."""
    return plan.ramp_up_ns * user // plan.users


def next_turn(
    plan: LoadPlan,
    elapsed_ns: int,
    pause_ns: int,
    begun: int,
    share: int | None,
    spans: Sequence[Span] | None = None,
) -> Turn | None:
    """Decide a user's next request, or None when it has sent its last.

    Args:
        plan: the plan.
        elapsed_ns: now, from the start of the run.
        pause_ns: the user's pause before it sends again.
        begun: measured requests this worker has begun so far, over all its users.
        share: measured requests this worker may begin, or None.
        spans: when the user plays in a plan with stages; None = all the time.
    """
    at = elapsed_ns + pause_ns
    if spans is not None:
        within = next_within(spans, at)
        if within is None:
            return None
        at = within
    if at < plan.warm_up_ns:
        return Turn(at, warm_up=True)
    if share is not None and begun >= share:
        return None
    measured_ns = plan.measured_ns
    if measured_ns is not None and at >= plan.warm_up_ns + measured_ns:
        return None
    return Turn(at, warm_up=False)


def think_ns(plan: LoadPlan, rng: random.Random) -> int:
    """A user's pause between an answer and its next request."""
    least, most = plan.think_time_ns
    return least if least == most else rng.randint(least, most)


def backoff_ns(failures: int) -> int:
    """Pause after the n-th connection failure in a row: 0.1 s doubling to 1 s.

    Without it, users of a dead server would send thousands of failures a second.
    """
    return 0 if failures == 0 else min(_FIRST_PAUSE_NS << (failures - 1), _LONGEST_PAUSE_NS)


def connections_to_open(coming: int, spare: int, busy: int, most: int) -> int:
    """How many connections an open loop opens ahead of need.

    Args:
        coming: arrivals due within the time a connection may take to open.
        spare: open connections without a request.
        busy: requests under way.
        most: connections allowed.
    """
    return max(0, min(coming - spare, most - busy - spare))


def connections_of(worker: int, workers: int, most: int, descriptors: int) -> int:
    """A worker's share of `most` connections, as far as its descriptors reach; at least one."""
    return max(1, min(len(range(worker, most, workers)), descriptors - _OTHER_DESCRIPTORS))

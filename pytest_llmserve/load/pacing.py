"""When a user of a closed loop sends next. No clock, no sleep: elapsed time comes in, a decision goes out.

The time line of a run, counted from its start:

    0 ............ warm_up ........................ warm_up + duration
    users start, spread over ramp_up                  no request begins after this
"""

from __future__ import annotations

import random

import msgspec

from pytest_llmserve.domain.plan import LoadPlan

_FIRST_PAUSE_NS = 100_000_000
_LONGEST_PAUSE_NS = 1_000_000_000


class Turn(msgspec.Struct, frozen=True):
    """A user's next request: not before `at_ns` (elapsed), counted as warm-up or not."""

    at_ns: int
    warm_up: bool


def requests_of(worker: int, workers: int, total: int | None) -> int | None:
    """This worker's share of `total` requests; the shares add up to it."""
    return None if total is None else len(range(worker, total, workers))


def users_of(worker: int, workers: int, users: int) -> range:
    """The numbers of the users this worker plays."""
    return range(worker, users, workers)


def start_ns(plan: LoadPlan, user: int) -> int:
    """When a user begins: users are spread evenly over the ramp-up."""
    return plan.ramp_up_ns * user // plan.users


def next_turn(plan: LoadPlan, elapsed_ns: int, pause_ns: int, begun: int, share: int | None) -> Turn | None:
    """Decide a user's next request, or None when it has sent its last.

    Args:
        plan: the plan.
        elapsed_ns: now, from the start of the run.
        pause_ns: the user's pause before it sends again.
        begun: measured requests this worker has begun so far, over all its users.
        share: measured requests this worker may begin, or None.
    """
    at = elapsed_ns + pause_ns
    if at < plan.warm_up_ns:
        return Turn(at, warm_up=True)
    if share is not None and begun >= share:
        return None
    if plan.duration_ns is not None and at >= plan.warm_up_ns + plan.duration_ns:
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

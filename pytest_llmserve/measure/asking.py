"""Whether a server still answers, where it had not when it was asked last."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pytest_llmserve.domain.addresses import addresses_of, connect_error
from pytest_llmserve.domain.errors import ServerUnusable
from pytest_llmserve.domain.outcome import HTTP_4XX, REFUSED, RESET, TIMED_OUT
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.measure.recovery import PROBE, manners
from pytest_llmserve.serve.endpoint import Endpoint
from pytest_llmserve.serve.heard import Heard

LEAST_SILENCE_NS = 2 * NS_PER_S
"""A server that has not answered for less may still do so."""
_UNANSWERED = frozenset({TIMED_OUT, REFUSED, RESET})
_GET_S = 1.5
_LEAST_S, _MOST_S = 5.0, 30.0
"""One more prompt has so long."""


class Now(msgspec.Struct, frozen=True, kw_only=True):
    """What a server does when it is asked once more.

    Attributes:
        refuses: it takes no connection.
        answers_get: it answers a plain GET.
        answers: it answers a prompt; None = it was not asked.
        within_s: the time it had for that.
    """

    refuses: bool = False
    answers_get: bool = False
    answers: bool | None = None
    within_s: float = 0.0


def asked_now(endpoint: Endpoint, limit_s: float) -> Now:
    """Ask for a connection, a plain GET and a short prompt."""
    try:
        refuses = not takes_connections(endpoint.target)
    except ServerUnusable:  # its name is not known any more, which says nothing of the server
        refuses = False
    if refuses:
        return Now(refuses=True)
    answers_get = endpoint.is_alive(_GET_S)
    for params in manners(endpoint.api):
        reply = endpoint.generate(PROBE, timeout=limit_s, **params)
        if reply.outcome != HTTP_4XX:  # else it may not take these fields
            break
    return Now(answers_get=answers_get, answers=reply.outcome not in _UNANSWERED, within_s=limit_s)


def takes_connections(target: Target) -> bool:
    """A connection can be opened, at one of the target's addresses."""
    return any(connect_error(address) is None for address in addresses_of(target))


def patience_s(runs: Sequence[LoadResult], slowest_s: float) -> float:
    """How long one more prompt may take: a slow server gets twice what it took for any before."""
    slowest_ms = max((r.e2e_ms or 0.0 for run in runs for r in run.ok), default=0.0)
    return min(_MOST_S, max(_LEAST_S, 2 * slowest_s, 2 * slowest_ms / 1000))


def silence_ns(runs: Sequence[LoadResult], heard: Heard, since_ns: int) -> int | None:
    """For how long nothing had been answered when the last question ended; None where that was answered.

    Args:
        runs: of the test.
        heard: of the questions that the test asked by itself.
        since_ns: when the test began, or the server anew.
    """
    runs = [run for run in runs if run.rounds is None]  # a comparison may have asked other servers
    ended = [r for run in runs[-1:] for r in run.everything if r.end_ns is not None]
    answered = [r.end_ns or 0 for r in ended if r.outcome not in _UNANSWERED]
    unanswered = [r.end_ns or 0 for r in ended if r.outcome in _UNANSWERED]
    heard_ns = max([since_ns, heard.heard_ns, *answered])
    spans = [(runs[-1].start_ns, max(unanswered))] if unanswered else []
    spans += [heard.silence] if heard.silence is not None else []
    open_spans = [(max(begin, heard_ns), end) for begin, end in spans if end > heard_ns]
    if not open_spans:
        return None
    silent_ns = max(end for _, end in open_spans) - min(begin for begin, _ in open_spans)
    return silent_ns if silent_ns >= LEAST_SILENCE_NS else None

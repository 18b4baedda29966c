"""Asks a server before its end, and after its return until it answers as it did."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pytest_llmserve.dialects import dialect
from pytest_llmserve.dialects.fields import FIELDS
from pytest_llmserve.domain.addresses import addresses_of, connect_error
from pytest_llmserve.domain.errors import ServerUnusable
from pytest_llmserve.domain.outcome import HTTP_4XX
from pytest_llmserve.domain.recovery import ITS_END, ITS_START, Before, Recovery, recovery_of
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.serve.endpoint import Endpoint
from pytest_llmserve.serve.reply import Reply

PROBE = "Say hi."
ASK_LIMIT_S = 30.0
_PAUSE_S = 0.05
_WRONG_ANSWERS = 3

Ended = Callable[[], str | None]


def before_of(endpoint: Endpoint) -> Before:
    """What the server answers to one short question, asked twice, at temperature 0 where it takes that."""
    for params in manners(endpoint.api):
        first = endpoint.generate(PROBE, timeout=ASK_LIMIT_S, **params)
        if first.outcome == HTTP_4XX and params:  # it may not take these fields
            continue
        if not first.ok:
            return Before(params=params, unknown=f"it did not answer before ({first.error})")
        second = endpoint.generate(PROBE, timeout=ASK_LIMIT_S, **params)
        if second.ok and second.text == first.text:
            return Before(params=params, text=endpoint.redact(first.text))
        return Before(params=params, unknown="it did not answer the same question twice alike before")
    return Before(unknown="it refused the question before")


def wait_recovered(
    endpoint: Endpoint,
    before: Before,
    end_ns: int,
    within_ns: int,
    ended: Ended = lambda: None,
    start_ns: int | None = None,
) -> Recovery:
    """Ask until the server answers as before, at most `within_ns` from its end on, or from its start on.

    Args:
        endpoint: connections to the old server are closed already.
        before: what it answered before.
        end_ns: when it ended, or was told to, monotonic.
        within_ns: how long to wait, from then on.
        ended: how the new server ended, or None.
        start_ns: when we started it again, where it had ended before; monotonic.
    """
    deadline_ns = (end_ns if start_ns is None else start_ns) + within_ns
    since = ITS_END if start_ns is None else ITS_START
    down_ns, last = _wait_connected(endpoint.target, end_ns, deadline_ns, ended)
    if down_ns is None:
        return recovery_of(before, within_ns, None, None, None, last, since)
    wrong: tuple[int, Reply] | None = None
    tries = 0
    while (left_s := (deadline_ns - time.monotonic_ns()) / NS_PER_S) > 0 and tries < _WRONG_ANSWERS:
        reply = endpoint.generate(PROBE, timeout=max(_PAUSE_S, left_s), **before.params)
        now_ns = time.monotonic_ns() - end_ns
        if reply.ok and before.text in {None, endpoint.redact(reply.text)}:
            return recovery_of(before, within_ns, down_ns, now_ns, endpoint.redact(reply.text), "")
        if reply.ok:
            tries, wrong = tries + 1, wrong or (now_ns, reply)
        last = reply.error or str(reply.outcome)
        gone = ended()
        if gone is not None:
            last = f"it ended again: {gone}"
            break
        time.sleep(_PAUSE_S)
    answered_ns, said = (None, None) if wrong is None else (wrong[0], endpoint.redact(wrong[1].text))
    return recovery_of(before, within_ns, down_ns, answered_ns, said, last, since)


def _wait_connected(target: Target, end_ns: int, deadline_ns: int, ended: Ended) -> tuple[int | None, str]:
    """(from the end until a connection was taken, or None; the last fault seen)."""
    last = "there was no time to try"
    while time.monotonic_ns() < deadline_ns:
        try:
            faults = [connect_error(address) for address in addresses_of(target)]
        except ServerUnusable as error:
            faults = [str(error)]
        if None in faults:
            return time.monotonic_ns() - end_ns, ""
        last = next((fault for fault in faults if fault), "it has no address")
        gone = ended()
        if gone is not None:
            return None, f"it ended again: {gone}"
        time.sleep(_PAUSE_S)
    return None, last


def manners(api: str) -> list[dict[str, Any]]:
    """What to ask with, from the best on; the last is what every server takes."""
    if not dialect(api).limit_names:
        return [{}]
    fields, short = FIELDS.get(api), {"max_tokens": 16}
    steady = [] if fields is None or not fields.steady else [{**fields.steady, **short}]
    return [*steady, short, {}]

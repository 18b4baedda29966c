"""The request log: a line a request, with what was asked and what was answered. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from pytest_llmserve.dialects.encoding import prompt_text
from pytest_llmserve.domain.exchange import Prompt
from pytest_llmserve.domain.marks import first_of, nonce
from pytest_llmserve.domain.record import NOT_KEPT, RequestRecord
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.units import NS_PER_S

_LEAST_DIGITS, _MOST_DIGITS = 4, 8
# What JSON leaves as it is, and some readers take for the end of a line; a lone surrogate has no UTF-8.
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def log_lines(
    run: LoadResult,
    asked: Callable[[int], Prompt],
    sent: Callable[[int], Prompt],
    redact: Callable[[str], str],
    *,
    name: str,
    nodeid: str,
    wall_ns: int,
) -> Iterator[str]:
    """The lines of one run, in the order of sending, the warm-up first.

    Args:
        run: whose texts are still there.
        asked: the prompt of a request as the user gave it.
        sent: the same with its mark.
        redact: takes secrets out of a text.
        name: of the run, such as "1".
        nodeid: of the test.
        wall_ns: what to add to a monotonic stamp for the time since 1970.
    """
    digits = id_digits(max((first_of(r.id) for r in run.everything), default=0))
    for record in run.everything:
        answer = None if record.text_at == NOT_KEPT else record.text
        parts = [
            f"[REQ-{request_name(run.plan.salt, record.id, digits)}] TASK={record.task or '-'}",
            f"INPUT={quoted(redact(prompt_text(sent(record.id))))}",
            f"-> OUTPUT={'null' if answer is None else quoted(redact(answer))}",
            *_facts(record, redact, wall_ns),
            f"INPUT_SHA={_fingerprint(prompt_text(asked(record.id)))}",
            f"OUTPUT_SHA={'-' if answer is None else _fingerprint(answer)}",
            f"ID={record.id} RUN={name} TEST={quoted(nodeid)}",
        ]
        yield " ".join(parts)


def id_digits(highest_id: int) -> int:
    """How many digits of a mark tell all requests of a run apart: 4 up to 65,536 of them.

    Marks differ by multiples of an odd number, so the last n hex digits of 16**n of them in a row differ.
    """
    digits = _LEAST_DIGITS
    while highest_id >= 16**digits and digits < _MOST_DIGITS:
        digits += 1
    return digits


def request_name(salt: str | None, request_id: int, digits: int) -> str:
    """The last digits of the request's mark; without marks, its id in hex. A conversation has one."""
    if salt is None:
        return f"{first_of(request_id):0{digits}x}"
    return nonce(salt, request_id)[-digits:]


def quoted(text: str) -> str:
    """A JSON string that stays on one line, whatever takes it apart."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _facts(record: RequestRecord, redact: Callable[[str], str], wall_ns: int) -> Iterator[str]:
    begun_ns = record.scheduled_ns if record.sent_ns is None else record.sent_ns
    at = datetime.fromtimestamp((begun_ns + wall_ns) / NS_PER_S, UTC)
    took_ms = record.e2e_sent_ms
    yield f"OUTCOME={record.outcome}"
    if record.status is not None:
        yield f"STATUS={record.status}"
    if record.error is not None:
        yield f"ERROR={quoted(redact(record.error))}"
    yield f"MS={'-' if took_ms is None else f'{took_ms:.1f}'}"
    yield f"AT={at.strftime('%Y-%m-%dT%H:%M:%S.%f')[:-3]}Z"
    if record.turn:
        yield f"TURN={record.turn}"
    if record.attempt > 1:
        yield f"ATTEMPT={record.attempt}"
    if record.warm_up:
        yield "WARM_UP=true"


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]

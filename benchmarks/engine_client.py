"""The plugin's load engine as a plain program, so that it can be measured beside other clients."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import client_program
import msgspec

from pytest_llmserve.domain.marks import nonce
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.load.engine import run_load

if TYPE_CHECKING:
    import argparse

    from pytest_llmserve.domain.result import LoadResult


def plan_of(asked: argparse.Namespace, salt: str) -> LoadPlan:
    """A closed loop of users, or an open one at a rate."""
    common: dict[str, Any] = {
        "duration_ns": round(asked.seconds * 1e9),
        "salt": salt,
        "stream": asked.stream,
        "workers": asked.workers,
    }
    if asked.rate is None:
        return LoadPlan(users=asked.users, **common)
    return LoadPlan(rate=asked.rate, arrival="poisson", **common)


def findings(result: LoadResult, salt: str) -> dict[str, Any]:
    """What the engine reports, in the form all clients use.

    TTFT counts from the send: the server knows nothing of a schedule.
    """
    rows = []
    for record in result.ok:
        tokens_ns = record.token_ns
        ttft_ms = (tokens_ns[0] - record.sent_ns) / 1e6
        rows.append((nonce(salt, record.id), ttft_ms, len(tokens_ns), record.output_chars))
    sends = [(r.scheduled_ns, r.sent_ns) for r in result.requests] if result.plan.rate else []
    return {
        "requests": rows,
        "failed": len(result.failed),
        "sends": sends,
        "clock": result.generator.clock,
    }


def main() -> None:
    asked = client_program.options(__doc__)
    salt = secrets.token_hex(4)
    target = msgspec.structs.replace(target_from_url(asked.url), api="openai-chat", model="timed")
    with tempfile.TemporaryDirectory() as folder:
        result = run_load(target, plan_of(asked, salt), ["Say something."], Path(folder))
        client_program.write(asked.out, findings(result, salt))


if __name__ == "__main__":
    main()

"""The plugin's load engine as a plain program, so that it can be measured beside other clients.

``python benchmarks/engine_client.py --url U --users 64 --requests 640 --out F``; the output is one JSON
object {"ttft_ms": {request id: ms}, "failed": n, "chunks": n, "cpu_s": s}, the same for every client here.
"""

from __future__ import annotations

import argparse
import json
import resource
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.load.prompts import nonce

if TYPE_CHECKING:
    from pytest_llmserve.domain.result import LoadResult


def run(url: str, users: int, requests: int, salt: str) -> LoadResult:
    """The one place that knows how the engine is called."""
    import msgspec

    from pytest_llmserve.load.engine import run_load

    target = msgspec.structs.replace(target_from_url(url), api="openai-chat", model="timed")
    plan = LoadPlan(users=users, requests=requests, salt=salt)
    with tempfile.TemporaryDirectory() as folder:
        return run_load(target, plan, ["Say something."], Path(folder))


def workers_cpu_s() -> float:
    """CPU of all load workers so far: they are this process's only children, and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    # A run of one request costs what starting a worker costs; what is beyond it is the load's.
    empty = run(options.url, 1, 1, secrets.token_hex(4))
    start_up_s = workers_cpu_s()
    salt = secrets.token_hex(4)
    result = run(options.url, options.users, options.requests, salt)
    cpu_s = workers_cpu_s() - 2 * start_up_s
    chunks = sum(len(r.token_ns) for r in result.requests) - len(empty.requests[0].token_ns)
    found = {
        "ttft_ms": {nonce(salt, r.id): r.ttft_ms for r in result.ok},
        "failed": len(result.failed),
        "chunks": chunks,
        "cpu_s": cpu_s,
    }
    options.out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()

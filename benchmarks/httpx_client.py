"""The load client one writes first: an asyncio task a user, httpx, a stamp at each line.

Same options and output as engine_client.py.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import resource
import time
from pathlib import Path

import httpx


async def one_request(client: httpx.AsyncClient, name: str) -> tuple[float | None, int]:
    """(TTFT in ms, number of token chunks)."""
    body = {"model": "timed", "messages": [{"role": "user", "content": f"[{name}] hello"}], "stream": True}
    sent_ns, ttft_ms, chunks = time.monotonic_ns(), None, 0
    async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        async for line in answer.aiter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            choices = json.loads(line[6:])["choices"]
            if choices and choices[0]["delta"].get("content"):
                ttft_ms = ttft_ms or (time.monotonic_ns() - sent_ns) / 1e6
                chunks += 1
    return ttft_ms, chunks


async def run(url: str, users: int, requests: int) -> dict[str, object]:
    """A closed loop: each user asks again when its answer has come."""
    numbers, ttft_ms, chunks = itertools.count(1), {}, 0

    async def user(client: httpx.AsyncClient) -> None:
        nonlocal chunks
        while (number := next(numbers)) <= requests:
            name = f"{number:08x}"
            ttft_ms[name], seen = await one_request(client, name)
            chunks += seen

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=120.0) as client:
        before = resource.getrusage(resource.RUSAGE_SELF)
        await asyncio.gather(*(user(client) for _ in range(users)))
        after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"ttft_ms": ttft_ms, "failed": 0, "chunks": chunks, "cpu_s": cpu_s}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.write_text(json.dumps(asyncio.run(run(options.url, options.users, options.requests))))


if __name__ == "__main__":
    main()

"""The load client one writes first: an asyncio task a user, httpx, a stamp at each line."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from typing import TYPE_CHECKING, Any

import client_program
import httpx

if TYPE_CHECKING:
    import argparse

PATH = "/v1/chat/completions"


async def streamed(client: httpx.AsyncClient, body: dict[str, Any]) -> tuple[float, int, int]:
    """(TTFT in ms, token chunks, characters)."""
    sent_ns, first_ns, chunks, chars = time.monotonic_ns(), 0, 0, 0
    async with client.stream("POST", PATH, json=body) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            choices = json.loads(line[6:])["choices"]
            if choices and (text := choices[0]["delta"].get("content")):
                first_ns = first_ns or time.monotonic_ns()
                chunks += 1
                chars += len(text)
    return (first_ns - sent_ns) / 1e6, chunks, chars


async def whole(client: httpx.AsyncClient, body: dict[str, Any]) -> tuple[float, int, int]:
    """The same of an answer that is not streamed."""
    sent_ns = time.monotonic_ns()
    answer = await client.post(PATH, json=body)
    now_ns = time.monotonic_ns()
    text = answer.raise_for_status().json()["choices"][0]["message"]["content"]
    return (now_ns - sent_ns) / 1e6, 1, len(text)


async def run(asked: argparse.Namespace) -> dict[str, Any]:
    """A closed loop: each user asks again when its answer has come."""
    numbers, rows = itertools.count(1), []
    ask = streamed if asked.stream else whole
    end_s = time.monotonic() + asked.seconds

    async def user(client: httpx.AsyncClient) -> None:
        while True:
            name = f"{next(numbers):08x}"
            message = {"role": "user", "content": f"[{name}] Say something."}
            body = {"model": "timed", "messages": [message], "stream": asked.stream}
            rows.append((name, *await ask(client, body)))
            if time.monotonic() >= end_s:
                return

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=asked.url, limits=limits, timeout=120.0) as client:
        await asyncio.gather(*(user(client) for _ in range(asked.users)))
    return {"requests": rows, "failed": 0}


def main() -> None:
    asked = client_program.options(__doc__)
    client_program.write(asked.out, asyncio.run(run(asked)))


if __name__ == "__main__":
    main()

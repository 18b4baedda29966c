"""A careful asyncio client: aiohttp, one session, a task a user, a stamp a read, events decoded at once."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import client_program

if TYPE_CHECKING:
    import argparse

PATH = "/v1/chat/completions"


async def streamed(session: aiohttp.ClientSession, body: dict[str, Any]) -> tuple[float, int, int]:
    """(TTFT in ms, token chunks, characters)."""
    first_ns, chunks, chars, rest = 0, 0, 0, b""
    sent_ns = time.monotonic_ns()
    async with session.post(PATH, json=body) as answer:
        answer.raise_for_status()
        async for data in answer.content.iter_any():
            now_ns = time.monotonic_ns()
            *events, rest = (rest + data).split(b"\n\n")
            for event in events:
                if event == b"data: [DONE]":
                    continue
                choices = json.loads(event[6:])["choices"]
                if choices and (text := choices[0]["delta"].get("content")):
                    first_ns = first_ns or now_ns
                    chunks += 1
                    chars += len(text)
    return (first_ns - sent_ns) / 1e6, chunks, chars


async def whole(session: aiohttp.ClientSession, body: dict[str, Any]) -> tuple[float, int, int]:
    """The same of an answer that is not streamed."""
    sent_ns = time.monotonic_ns()
    async with session.post(PATH, json=body) as answer:
        answer.raise_for_status()
        data = await answer.read()
    now_ns = time.monotonic_ns()
    text = json.loads(data)["choices"][0]["message"]["content"]
    return (now_ns - sent_ns) / 1e6, 1, len(text)


async def run(asked: argparse.Namespace) -> dict[str, Any]:
    """A closed loop: each user asks again when its answer has come."""
    numbers, rows = itertools.count(1), []
    ask = streamed if asked.stream else whole
    end_s = time.monotonic() + asked.seconds

    async def user(session: aiohttp.ClientSession) -> None:
        while True:
            name = f"{next(numbers):08x}"
            message = {"role": "user", "content": f"[{name}] Say something."}
            body = {"model": "timed", "messages": [message], "stream": asked.stream}
            rows.append((name, *await ask(session, body)))
            if time.monotonic() >= end_s:
                return

    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=120.0)
    async with aiohttp.ClientSession(asked.url, connector=connector, timeout=timeout) as session:
        await asyncio.gather(*(user(session) for _ in range(asked.users)))
    return {"requests": rows, "failed": 0}


def main() -> None:
    asked = client_program.options(__doc__)
    client_program.write(asked.out, asyncio.run(run(asked)))


if __name__ == "__main__":
    main()

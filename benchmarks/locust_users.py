"""The users that locust_client.py has Locust run, in Locust's own environment; options are in variables."""

from __future__ import annotations

import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

from locust import FastHttpUser, events, task
from locust.exception import StopUser

PATH = "/v1/chat/completions"
SECONDS, STREAM = float(os.environ["BENCH_SECONDS"]), os.environ["BENCH_STREAM"] == "1"
numbers = itertools.count(1)
rows: list[tuple[str, float, int, int]] = []
failures: list[str] = []
state = {"end_s": 0.0, "stopped": 0}


@events.test_start.add_listener
def begin(**_: Any) -> None:
    state["end_s"] = time.monotonic() + SECONDS


@events.quitting.add_listener
def write(**_: Any) -> None:
    Path(os.environ["BENCH_OUT"]).write_text(json.dumps({"requests": rows, "failed": len(failures)}))


class Asker(FastHttpUser):
    """Asks again when its answer has come."""

    connection_timeout = network_timeout = 120.0

    @task
    def ask(self) -> None:
        name = f"{next(numbers):08x}"
        message = {"role": "user", "content": f"[{name}] Say something."}
        body = {"model": "timed", "messages": [message], "stream": STREAM}
        try:
            rows.append((name, *(self.streamed(body) if STREAM else self.whole(body))))
        except (OSError, ValueError, KeyError) as error:
            failures.append(repr(error))
        if time.monotonic() >= state["end_s"]:
            state["stopped"] += 1
            if state["stopped"] == self.environment.parsed_options.num_users:
                self.environment.runner.quit()
            raise StopUser

    def streamed(self, body: dict[str, Any]) -> tuple[float, int, int]:
        """(TTFT in ms, token chunks, characters)."""
        sent_ns, first_ns, chunks, chars = time.monotonic_ns(), 0, 0, 0
        # Not `iter_lines`: it waits for 1024 bytes, so for several tokens, before it gives the first.
        stream = self.client.post(PATH, json=body, stream=True).stream
        while line := stream.readline(b"\n"):
            if not line.startswith(b"data: ") or line == b"data: [DONE]\n":
                continue
            choices = json.loads(line[6:])["choices"]
            if choices and (text := choices[0]["delta"].get("content")):
                first_ns = first_ns or time.monotonic_ns()
                chunks += 1
                chars += len(text)
        return (first_ns - sent_ns) / 1e6, chunks, chars

    def whole(self, body: dict[str, Any]) -> tuple[float, int, int]:
        """The same of an answer that is not streamed."""
        sent_ns = time.monotonic_ns()
        answer = self.client.post(PATH, json=body)
        now_ns = time.monotonic_ns()
        text = answer.json()["choices"][0]["message"]["content"]
        return (now_ns - sent_ns) / 1e6, 1, len(text)

"""Servers as people write them by hand: one path, JSON in and out, no description of themselves."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar


class _Json(BaseHTTPRequestHandler):
    """Answers POST by `ANSWERS`, path -> function of the body; GET is not there at all."""

    protocol_version = "HTTP/1.1"
    ANSWERS: ClassVar[dict[str, Any]] = {}

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path not in self.ANSWERS:
            self._send(404, {"error": "no such path"})
            return
        time.sleep(0.03)  # so that others ask meanwhile
        try:
            self._send(200, self.ANSWERS[self.path](body))
        except KeyError as error:
            self._send(400, {"error": f"{error} is missing"})

    def _send(self, status: int, value: Any) -> None:
        raw = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


class Reasoning(_Json):
    """A reasoning model behind POST /generate."""

    ANSWERS: ClassVar = {"/generate": lambda body: {"response": f"Thought about: {body['prompt']}"}}


class GradioLike(_Json):
    """A model behind POST /run, in the form of Gradio's synchronous calls."""

    ANSWERS: ClassVar = {"/run": lambda body: {"data": [f"You said: {body['data'][0]}"], "duration": 0.01}}


def feeling(text: str) -> str:
    return "negative" if "hate" in text else "positive"


class TwoPaths(_Json):
    """One model with two jobs, each at a path of its own."""

    ANSWERS: ClassVar = {
        "/chat": lambda body: {"response": f"Tell me more of: {body['text']}"},
        "/sentiment": lambda body: {"response": feeling(body["text"])},
    }

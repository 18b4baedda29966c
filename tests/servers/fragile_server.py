"""A model server that hostile inputs harm, each kind of input in a way of its own; sound with any other.

``python tests/servers/fragile_server.py PORT``

By a word in the body: NUL (a zero byte, escaped) -> 500; a float top_k, "kill N" from 10 on -> kill -9 of
itself; "leave" -> exit code 3; "traceback" -> 400 with a stack; "plain" -> 400 in text/plain; "cut" -> half
an answer; "within" -> an error inside a 200 stream; "poison" -> from then on wrong answers; "neighbours" ->
whoever is asking meanwhile gets a 500; "memory" -> 60 MB more are kept; "hang" -> from then on no answer to
anybody. By its Content-Length: "\xb2" -> 500; 666 -> as "hang"; of one that is no number the connection is
closed without a word, and a negative one is read to its end. Standard library only.
"""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import sys
import threading
import time

MODELS = {"object": "list", "data": [{"id": "m", "object": "model"}]}
STACK = (
    'Traceback (most recent call last):\n  File "/srv/model/sampler.py", line 12, in draw\nTypeError: top_k'
)
ANSWER_S = 0.03
kept: list[bytes] = []
answer = "hi"
hurt_until = 0.0
stuck = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.reply(200, MODELS)

    def do_POST(self) -> None:
        global answer, hurt_until
        length = self.headers["Content-Length"]
        if length == "\xb2":
            return self.reply(500, {"error": {"message": "length is a digit and no number", "code": 500}})
        while length == "666":
            stuck.set()
            time.sleep(1)
        body = self.rfile.read(int(length)).decode("utf-8", "replace")
        if stuck.is_set():
            time.sleep(600)
        if "\\u0000" in body:
            return self.reply(500, {"error": {"message": "NUL in prompt", "code": 500}})
        deadly = re.search(r'"top_k": ?0\.|kill [1-9]\d', body)
        if deadly is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        if "leave" in body:
            os._exit(3)
        if "traceback" in body:
            return self.reply(400, {"error": {"message": STACK, "code": 400}})
        if "plain" in body:
            return self.send(400, "text/plain", b"Invalid HTTP request received.")
        if "cut" in body:
            return self.cut()
        if "within" in body:
            return self.send(
                200, "text/event-stream", b'data: {"error": {"message": "engine", "code": 500}}\n\n'
            )
        if "hang" in body:
            stuck.set()
        answer = "HI HI" if "poison" in body else answer
        if "neighbours" in body:
            hurt_until = time.monotonic() + 0.3
            time.sleep(0.3)
        elif time.monotonic() < hurt_until:
            return self.reply(500, {"error": {"message": "batch lost", "code": 500}})
        if "memory" in body:
            kept.append(os.urandom(1) * 60_000_000)
        time.sleep(ANSWER_S)
        if time.monotonic() < hurt_until:
            return self.reply(500, {"error": {"message": "batch lost", "code": 500}})
        said = {"message": {"content": answer}, "finish_reason": "stop"}
        return self.reply(200, {"choices": [said]})

    def reply(self, status: int, value: object) -> None:
        self.send(status, "application/json", json.dumps(value).encode())

    def send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def cut(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"choices": [')
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()

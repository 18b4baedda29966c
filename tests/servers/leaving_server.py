"""A model server that clients leave, with a fault planted for that case.

``python tests/servers/leaving_server.py PORT --slots 2 --fault lost_slot``

Streams OpenAI chat answers of max_tokens words, and tells vllm:num_requests_running at /metrics. Standard
library only. Faults, with commas between:

lost_slot: one that a client has left in an answer is never free again
one_lost_slot: the first of them
stuck_count: its metrics go on counting such a request
kept_files: it keeps a file open for each
other_words: it answers otherwise once a client has left
deaf: it listens no more after an upload that ends early
dies: it ends then
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import threading
import time

MODELS = json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode()


class Server(http.server.ThreadingHTTPServer):
    """Mutable: the slots, and what clients that left have done."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, slots: int, faults: set[str], token_s: float) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.slots, self.faults, self.token_s = threading.Semaphore(slots), faults, token_s
        self.running = 0
        self.left = 0
        self.kept: list[int] = []

    def handle_error(self, *_: object) -> None:
        """A client that has left is no news."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        metrics = f"# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running {self.server.running}\n"
        self.reply(metrics.encode() if self.path == "/metrics" else MODELS)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            if "dies" in self.server.faults:
                os._exit(3)
            if "deaf" in self.server.faults:
                threading.Thread(target=self.server.shutdown, daemon=True).start()
                self.server.socket.close()
            return
        asked = json.loads(body)
        if asked["messages"][0]["content"] == "refuse":
            self.send_error(400)
            return
        self.server.slots.acquire()
        self.server.running += 1
        try:
            self.stream(asked.get("max_tokens", 16))
        except OSError:
            self.close_connection = True
            self.abandoned()
            return
        self.server.running -= 1
        self.server.slots.release()

    def abandoned(self) -> None:
        server = self.server
        server.left += 1
        faults = server.faults
        if "kept_files" in faults:
            server.kept.append(os.open(os.devnull, os.O_RDONLY))
        if "stuck_count" not in faults:
            server.running -= 1
        if "lost_slot" not in faults and not ("one_lost_slot" in faults and server.left == 1):
            server.slots.release()

    def stream(self, tokens: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        word = "other " if "other_words" in self.server.faults and self.server.left else "word "
        for number in range(tokens):
            time.sleep(self.server.token_s)
            finish = "stop" if number == tokens - 1 else None
            self.event({"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": finish}]})
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def event(self, value: object) -> None:
        self.chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def reply(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain" if self.path == "/metrics" else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--fault", default="")
    parser.add_argument("--token-ms", type=float, default=2.0)
    options = parser.parse_args()
    server = Server(options.port, options.slots, set(options.fault.split(",")), options.token_ms / 1000)
    server.serve_forever()
    threading.Event().wait()


if __name__ == "__main__":
    main()

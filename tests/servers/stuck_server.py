"""A model server that deadlocks: the Nth question takes a lock and never gives it back.

``python tests/servers/stuck_server.py PORT --stuck-after N``

With --memory-mb it limits its own address space, with --keep-mb it keeps more at each question. Standard
library only.
"""

from __future__ import annotations

import argparse
import http.server
import json
import resource
import threading

ANSWER = json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}).encode()
MODELS = json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode()
model_lock = threading.Lock()
kept: list[bytes] = []
asked = 0


def run_model(stuck_after: int) -> bytes:
    """Answer, holding the lock; the one question too many never lets go of it."""
    global asked
    model_lock.acquire()
    asked += 1
    if not stuck_after or asked <= stuck_after:
        model_lock.release()
    return ANSWER


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stuck_after = 0
    keep_mb = 0

    def do_GET(self) -> None:
        self.reply(MODELS)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.keep_mb:
            keep(self.keep_mb)
        self.reply(run_model(self.stuck_after))

    def reply(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def keep(megabytes: int) -> None:
    """Keep more memory; without more to be had the whole server ends, as many do."""
    try:
        kept.append(b"x" * (megabytes * 1_000_000))
    except MemoryError:
        import os
        import traceback

        kept.clear()
        traceback.print_exc()
        os._exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--stuck-after", type=int, default=0)
    parser.add_argument("--memory-mb", type=int, default=0)
    parser.add_argument("--keep-mb", type=int, default=0, help="at each question")
    options = parser.parse_args()
    Handler.stuck_after, Handler.keep_mb = options.stuck_after, options.keep_mb
    if options.memory_mb:
        most = options.memory_mb * 1_000_000
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()

"""The FastAPI app that serves as a user's own server."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

APP = Path(__file__).parent / "fastapi_app.py"
LIMIT_S = 30.0


def test_answers_in_a_process_of_its_own():
    """Started with --port it answers POST /generate, and 422 to a body without a prompt."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(APP), "--port", str(port)])
    try:
        answer = wait_for_answer(f"http://127.0.0.1:{port}/generate", process)
        assert answer.json() == {"response": "two one"}
        assert httpx.post(f"http://127.0.0.1:{port}/generate", json={}).status_code == 422
    finally:
        process.kill()
        process.wait(LIMIT_S)


def wait_for_answer(url, process):
    """Ask until the server takes the connection."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            return httpx.post(url, json={"prompt": "one two"})
        except httpx.ConnectError:
            assert process.poll() is None, "the app has ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)

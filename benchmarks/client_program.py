"""What all client programs share: their options, and the one JSON object they write.

``{"requests": [[id, ttft_ms, chunks, chars], ...], "failed": n}``; `id` is null when the client cannot say
which request a figure belongs to, and `chunks` and `chars` are 0 then. `ttft_ms` of an answer that is not
streamed is the time until it was whole. An open loop adds ``"sends": [[scheduled_ns, sent_ns], ...]``. The
engine adds ``"clock"``, where its stamps came from: "kernel", "user" or "mixed".
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def options(description: str | None) -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--url", required=True)
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="how long new requests are begun")
    parser.add_argument("--no-stream", dest="stream", action="store_false")
    parser.add_argument("--rate", type=float, help="requests a second, as a Poisson process")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=64, help="of each answer")
    parser.add_argument("--python", help="of the environment in which the client is installed")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def write(out: Path, found: dict[str, Any]) -> None:
    """Hand the findings to the benchmark."""
    out.write_text(json.dumps(found))

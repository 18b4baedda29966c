"""A second opinion on a server's delays: blocking sockets, a thread a stream, nothing of ours."""

from __future__ import annotations

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from statistics import median
from urllib.parse import urlsplit

from tests.real.serving import session

LIMIT_S = 30
REQUESTS = 30
WITHIN_MS = 3
PATH = "/v1/chat/completions"
SUITE = """
@pytest.mark.load(users=%d, requests=%d)
@pytest.mark.error_rate(max=0)
def test_it(llm_load):
    llm_load("Say hi.")
"""


def agreed(server, planted, folder, *, users, model):
    """The medians of a load are those that were planted, or that a plain client then sees of them.

    A busy machine makes a server later than it was told to be, never earlier.

    Args:
        server: a `Served`.
        planted: "ttft_ms" and "itl_ms".
        folder: for the session's files.
        users: streams at once.
        model: the name that is asked for.
    """
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Say hi."}]}
    before = delays_ms(server.base, body, users=users)
    options = [f"--llm-endpoint={server.base}", f"--llm-model={model}"]
    done = session(folder / "suite", SUITE % (users, REQUESTS), *options)
    after = delays_ms(server.base, body, users=users)
    assert done.exit == 0, done.text
    assert done.run["counts"]["ok"] == REQUESTS
    figures = {name: (done.run["metrics"][name]["p50"], before[name], after[name]) for name in planted}
    print(f"{users} streams: ours, and a plain client before and after:", figures)
    for name, (ours, *plain) in figures.items():
        assert planted[name] - 1 < ours < max(*plain, planted[name]) + WITHIN_MS, figures


def delays_ms(base, body, *, users):
    """Median time to the first token and median gap, with as many streams at once."""
    with ThreadPoolExecutor(users) as pool:
        answers = list(pool.map(lambda _: arrivals_ms(base, body), range(REQUESTS // 2)))
    gaps = [later - sooner for stamps in answers for sooner, later in pairwise(stamps)]
    return {"ttft_ms": median(stamps[0] for stamps in answers), "itl_ms": median(gaps)}


def arrivals_ms(base, body):
    """When each token of a streamed answer came, in ms after the request was sent."""
    place = urlsplit(base)
    payload = json.dumps(body).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
    head += f"Connection: close\r\nContent-Length: {len(payload)}\r\n\r\n"
    with socket.create_connection((place.hostname, place.port), LIMIT_S) as connection:
        sent, stamps = time.perf_counter(), []
        connection.sendall(head.encode() + payload)
        with connection.makefile("rb") as lines:
            for line in lines:
                arrived = time.perf_counter()
                if line.startswith(b"data: {") and has_text(json.loads(line[6:])):
                    stamps.append(1000 * (arrived - sent))
    return stamps


def has_text(chunk):
    return any(choice["delta"].get("content") for choice in chunk["choices"])

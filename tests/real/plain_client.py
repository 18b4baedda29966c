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
@pytest.mark.load(%s, requests=%d)
@pytest.mark.error_rate(max=0)
def test_it(llm_load):
    llm_load("Say hi.")
"""


def strayed(server, planted, folder, *, streams, tokens, model):
    """Medians of a load that are further from what was planted than from what a plain client then sees of it.

    A busy machine makes a server later than it was told to be, never earlier. Streams begin one after the
    other: of several at one instant, these servers let all but one wait.

    Args:
        server: a `Served`.
        planted: "ttft_ms" and "itl_ms".
        folder: for the session's files.
        streams: how many are under way at once.
        tokens: of an answer.
        model: the name that is asked for.

    Returns:
        By name (ours, the plain client's before and after) of each median that is earlier than planted, or
        more than `WITHIN_MS` later than both that and the plain client's later one. Empty = all agree.
    """
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Say hi."}]}
    whole_s = (planted["ttft_ms"] + (tokens - 1) * planted["itl_ms"]) / 1000
    load = "users=1" if streams == 1 else f"rate={streams / whole_s:.3g}, arrival='constant'"
    options = [f"--llm-endpoint={server.base}", f"--llm-model={model}"]
    before = delays_ms(server.base, body, streams, whole_s)
    done = session(folder / "suite", SUITE % (load, REQUESTS), *options)
    after = delays_ms(server.base, body, streams, whole_s)
    assert done.exit == 0, done.text
    assert done.run["counts"]["ok"] == REQUESTS
    figures = {name: (done.run["metrics"][name]["p50"], before[name], after[name]) for name in planted}
    print(f"{load}: ours, and a plain client before and after:", figures)
    return {
        name: (ours, *plain)
        for name, (ours, *plain) in figures.items()
        if not planted[name] - 1 < ours < max(*plain, planted[name]) + WITHIN_MS
    }


def delays_ms(base, body, streams, whole_s):
    """Median time to the first token and median gap, with as many streams under way."""

    def ask(number):
        if streams > 1:
            time.sleep(max(0, begun + number * whole_s / streams - time.perf_counter()))
        return arrivals_ms(base, body)

    begun = time.perf_counter()
    with ThreadPoolExecutor(streams + 2) as pool:
        answers = [ask(n) for n in range(10)] if streams == 1 else list(pool.map(ask, range(REQUESTS)))
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

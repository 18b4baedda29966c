"""A second opinion on a server's delays: blocking sockets, a thread a stream, nothing of ours."""

from __future__ import annotations

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from urllib.parse import urlsplit

LIMIT_S = 30


def arrivals_ms(base, path, body):
    """When each content chunk of one streamed answer came, in ms after the request was sent."""
    place = urlsplit(base)
    payload = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
    head += f"Connection: close\r\nContent-Length: {len(payload)}\r\n\r\n"
    with socket.create_connection((place.hostname, place.port), LIMIT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sent, stamps = time.perf_counter(), []
        connection.sendall(head.encode() + payload)
        # The servers under test write one event a packet; an event in two would be stamped at its end.
        with connection.makefile("rb") as lines:
            for line in lines:
                if line.startswith(b"data: {") and '"content":""' not in (text := line.decode()):
                    if '"content":' in text.replace(" ", ""):
                        stamps.append(1000 * (time.perf_counter() - sent))
    return stamps


def delays_ms(base, path, body, *, users, requests):
    """Median time to the first token and median gap, with as many streams at once."""
    with ThreadPoolExecutor(users) as pool:
        answers = list(pool.map(lambda _: arrivals_ms(base, path, body), range(requests)))
    gaps = [b - a for stamps in answers for a, b in zip(stamps, stamps[1:], strict=False)]
    return median(stamps[0] for stamps in answers), median(gaps)

"""How fast this core computes: CPU of a fixed piece of Python work, at once and after a sleep.

A core that slept runs slower for a while when it wakes: caches are cold, its frequency is low, and on virtual
machines the host may have given it away. A client of few streams sleeps before each packet, so this is in
what its chunks cost. Writes ``{"hot_us": x, "slept_us": y}`` to --out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

TIMES = 200
STORES = 3000
SLEEP_S = 0.005


def work() -> dict[int, str]:
    """The fixed piece."""
    stored = {}
    for number in range(STORES):
        stored[number] = str(number)
    return stored


def median_us(sleep_s: float, times: int = TIMES) -> float:
    """CPU of one piece of work in us, the median of so many, each after a sleep (0 = none)."""
    found = []
    for _ in range(times):
        if sleep_s:
            time.sleep(sleep_s)
        began_ns = time.thread_time_ns()
        work()
        found.append(time.thread_time_ns() - began_ns)
    return statistics.median(found) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    median_us(0.0)  # what runs first pays for memory and for the interpreter's warming up
    asked.out.write_text(json.dumps({"hot_us": median_us(0.0), "slept_us": median_us(SLEEP_S)}))


if __name__ == "__main__":
    main()

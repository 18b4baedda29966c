"""What watching costs: CPU of the sampling thread on trees of real processes.

``python benchmarks/probe_cost.py --seconds 30``

CPU time of one thread is right on a busy machine too; what each kind of reading takes is printed beside it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_llmserve.domain.units import NS_PER_MS
from pytest_llmserve.observe.process_tree import ProcessTree
from pytest_llmserve.observe.psutil_tree import PsutilTree
from pytest_llmserve.observe.sampler import Sampler

PERIOD_NS = 200 * NS_PER_MS
READINGS = 50

FAMILY = """
import subprocess, sys
code = "import sys; print('ready', flush=True); sys.stdin.read()"
children = [
    subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for _ in range(int(sys.argv[1]) - 1)
]
for child in children:
    child.stdout.readline()
held = bytearray(b"x") * int(sys.argv[2])
print("ready", flush=True)
sys.stdin.read()
for child in children:
    child.stdin.close()
    child.wait(timeout=20)
"""


@contextmanager
def family(processes: int, held_bytes: int) -> Iterator[int]:
    """So many processes, the first of which holds so much memory; its pid."""
    arguments = [sys.executable, "-c", FAMILY, str(processes), str(held_bytes)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.stdin.close()
        process.wait(timeout=60)


def cost_ms(read: Callable[[], object]) -> float:
    """CPU of one call, the first left out."""
    read()
    began_s = time.thread_time()
    for _ in range(READINGS):
        read()
    return (time.thread_time() - began_s) / READINGS * 1e3


def share_percent(pid: int, seconds: float) -> tuple[float, int, int]:
    """Of a core, by the whole sampler; then its readings, and the full ones among them."""
    sampler = Sampler([ProcessTree(pid)], period_ns=PERIOD_NS)
    began_s = time.monotonic()
    sampler.start()
    time.sleep(seconds)
    sampler.stop()
    passed_s = time.monotonic() - began_s
    samples = sampler.window().samples
    full = sum(sample.uss_bytes is not None for sample in samples)
    return 100 * sampler.cost_s / passed_s, len(samples), full


def told(name: str, processes: int, held_bytes: int, seconds: float) -> None:
    """Measure one tree and print a row."""
    with family(processes, held_bytes) as pid:
        tree, other = ProcessTree(pid), ProcessTree(pid, reader=PsutilTree(pid))
        kinds = [cost_ms(lambda r=r, f=f: r.read(full=f)) for r in (tree, other) for f in (False, True)]
        percent, readings, full = share_percent(pid, seconds)
    shown = " | ".join(f"{ms:.2f}" for ms in kinds)
    print(f"| {name} | {shown} | {readings}, {full} full | {percent:.2f} |", flush=True)


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=30.0, help="that each tree is sampled")
    seconds = parser.parse_args().seconds
    others = sum(name.isdigit() for name in os.listdir("/proc"))
    print(f"{others} processes on the machine; CPU of a reading in ms, of the sampler in % of a core\n")
    print("| tree | a reading | a full one | psutil | psutil, full | in so long | sampler |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    told("1 small process", 1, 0, seconds)
    told("20 small processes", 20, 0, seconds)
    told("one of 400 MB", 1, 400_000_000, seconds)
    told("one of 4 GB", 1, 4_000_000_000, seconds)


if __name__ == "__main__":
    main()

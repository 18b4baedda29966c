"""Start the server of exactly known timing, and read what it wrote down.

``python benchmarks/timed_server.py --port 0 --port-file F --log F --cpu 1 --ttft-ms 50 --itl-ms 20``

Built from timed_server.c with the system's C compiler, once, into the user's cache folder; without a compiler
the same server runs in Python (timed_fallback.py), good for fewer streams.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
RECORD_HEAD = struct.Struct("=48sQQ")
LIMIT_S = 30.0


@dataclass(frozen=True)
class Served:
    """One request as the server saw it, CLOCK_MONOTONIC.

    Attributes:
        sends_ns: (before, after) of the send call of each token chunk.
    """

    id: str
    received_ns: int
    sends_ns: tuple[tuple[int, int], ...]

    @property
    def ttft_ms(self) -> float:
        """From the full request to just before the first token was handed to the kernel."""
        return (self.sends_ns[0][0] - self.received_ns) / 1e6


def read_log(path: Path) -> list[Served]:
    """The requests that were answered, in the order they ended.

    Raises:
        ValueError: the file ends within a record.
    """
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        if at + RECORD_HEAD.size > len(data):
            raise ValueError(f"{path} ends within a record")
        name, received_ns, count = RECORD_HEAD.unpack_from(data, at)
        at += RECORD_HEAD.size
        if at + 16 * count > len(data):
            raise ValueError(f"{path} ends within a record")
        stamps = struct.unpack_from(f"={2 * count}Q", data, at)
        at += 16 * count
        pairs = tuple(zip(stamps[::2], stamps[1::2], strict=True))
        found.append(Served(name.rstrip(b"\0").decode(), received_ns, pairs))
    return found


def command() -> list[str]:
    """What to run: the C server, built if need be, or its stand-in in Python."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return fallback_command()
    return [str(_built(compiler))]


def fallback_command() -> list[str]:
    """The server in Python, which also speaks TLS."""
    return [sys.executable, str(HERE / "timed_fallback.py")]


def _built(compiler: str) -> Path:
    source = HERE / "timed_server.c"
    parts = [source, *sorted(HERE.glob("timed_*.h"))]
    digest = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pytest-llmserve"
    binary = cache / f"timed-server-{digest}"
    if not binary.exists():
        cache.mkdir(parents=True, exist_ok=True)
        fresh = cache / f"{binary.name}.{os.getpid()}"
        subprocess.run([compiler, "-O2", "-o", str(fresh), str(source)], check=True)
        fresh.replace(binary)
    return binary


@dataclass(frozen=True)
class Certificate:
    """Files of a certificate for 127.0.0.1: whom to trust, and what the server's --tls takes."""

    authority: Path
    chain: Path


def certificate(folder: Path) -> Certificate:
    """Issue one, good for this run."""
    import trustme

    authority = trustme.CA()
    found = Certificate(folder / "authority.pem", folder / "chain.pem")
    authority.cert_pem.write_to_path(str(found.authority))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(found.chain))
    return found


@contextmanager
def running(folder: Path, *options: object, program: list[str] | None = None) -> Iterator[tuple[str, Path]]:
    """Run the server; gives (url, log file). The log is complete when the block is over."""
    folder.mkdir(parents=True, exist_ok=True)
    port_file, log = folder / "port", folder / "server.log"
    port_file.unlink(missing_ok=True)
    paths = ["--port-file", str(port_file), "--log", str(log)]
    process = subprocess.Popen([*(program or command()), *paths, *map(str, options)])
    try:
        deadline = time.monotonic() + LIMIT_S
        while not port_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the timed server did not start; its words are above")
            time.sleep(0.01)
        scheme = "https" if "--tls" in options else "http"
        yield f"{scheme}://127.0.0.1:{port_file.read_text()}", log
    finally:
        process.terminate()
        try:
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main() -> None:
    program = command()
    os.execv(program[0], [*program, *sys.argv[1:]])


if __name__ == "__main__":
    main()

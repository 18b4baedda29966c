"""One server for all processes of a test session."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pytest_llmserve.domain.errors import LlmServeError
from pytest_llmserve.serve.command import free_port
from pytest_llmserve.serve.lease import Lease, turn
from pytest_llmserve.serve.process import STOP_LIMIT_S, TURN_LIMIT_S, ServerProcess, launch_or_release


def shared_start(
    key: str,
    folder: Path,
    make_command: Callable[[int], list[str]],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pick: Callable[[], int] = free_port,
) -> tuple[ServerProcess, int]:
    """Start a server, or join the one that another process started with the same key and folder.

    It ends when its last user is gone.

    Args:
        key: what makes the server the same, such as the `--llm-serve` text.
        folder: shared by all users; not by a later test run.
        make_command: makes the command from a port.
        env: added to the environment of the process that starts it.
        cwd: its working directory; by default that of the process that starts it.
        pick: chooses its port, asked only where it is to be started.

    Returns:
        The server, and the port it was told to listen on.

    Raises:
        SetupError: the command cannot be run.
    """
    home = folder / f"server-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    home.mkdir(parents=True, exist_ok=True)
    with turn(home / "turn", limit_s=TURN_LIMIT_S):
        lease = _join(home)
        port_file = home / "port"
        if port_file.exists():
            port = int(port_file.read_text("ascii"))
            server = ServerProcess(make_command(port), home, lease, env, cwd)
            if server.alive:
                return server, port
        port = _picked(pick, lease)
        server = ServerProcess(make_command(port), home, lease, env, cwd)
        launch_or_release(server, lease)
        port_file.write_text(str(port), "ascii")
        return server, port


def _picked(pick: Callable[[], int], lease: Lease) -> int:
    try:
        return pick()
    except BaseException:
        lease.release()
        raise


def _join(home: Path) -> Lease:
    lease = Lease(home / "lease")
    deadline = time.monotonic() + STOP_LIMIT_S
    while not lease.share():  # the last user has just gone: wait for the old server's end
        if time.monotonic() > deadline:
            lease.release()
            raise LlmServeError(f"the server in {home} is being stopped for over {STOP_LIMIT_S:g} s")
        time.sleep(0.02)
    return lease

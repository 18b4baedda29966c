"""A server that runs in a container: what there is of it to look at."""

from __future__ import annotations

from dataclasses import replace

from pytest_llmserve.measure.opening import OpenServer
from pytest_llmserve.observe.container import container_of, first_of
from pytest_llmserve.serve.process import ForeignServer, ServerProcess


def in_container(opened: OpenServer, named: str | None) -> OpenServer:
    """The server with its container, and with the container's first process where no pid was given.

    What listens on the port is often a forwarder, and what was started the engine's own command; a
    command that we have started stays ours to stop.

    Args:
        opened: the server; closed when this fails.
        named: id or name of the container; None = it runs in none that is known.

    Raises:
        SetupError: no such container, or several; what to give instead.
    """
    if named is None:
        return opened
    try:
        container = container_of(named)
    except BaseException:
        opened.close()
        raise
    if opened.why == "--llm-server-pid":
        return replace(opened, container=container)
    why = f"first process of --llm-container {named}"
    pid = first_of(container.pids())
    if pid is None:
        why = f"no process of --llm-container {named} is seen from here: run pytest outside of containers"
    server = opened.server
    if not isinstance(server, ServerProcess):
        server = None if pid is None else ForeignServer(pid, None if server is None else server.log)
    return replace(opened, container=container, server=server, pid=pid, why=why)

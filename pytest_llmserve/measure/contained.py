"""A server that runs in a container: what there is of it to look at."""

from __future__ import annotations

from pytest_llmserve.measure.opening import OpenServer
from pytest_llmserve.observe.container import container_of


def in_container(opened: OpenServer, named: str | None) -> OpenServer:
    """The server with its container, and with the container's first process where no pid was given.

    What listens on the port is often a forwarder, and what was started the engine's own command.

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
    return opened.inside(container)

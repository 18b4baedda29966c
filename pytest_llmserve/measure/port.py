"""The port of a server that is started here: any that is free, or the one that its URL names."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.target import Target, target_from_url
from pytest_llmserve.measure.listener import owner_of
from pytest_llmserve.serve.command import free_port
from pytest_llmserve.serve.foreign import command_line

PLACE = "{port}"
_HELD_S = 1.0

LINGER_S = 65.0
"""Linux keeps a connection that is over for 60 s (TCP_TIMEWAIT_LEN in its net/tcp.h)."""
_LOOK_S = 0.25

_T = TypeVar("_T")


class PortLingers(SetupError):
    """Nothing listens at the port, and yet it cannot be had now: a matter of time, as a rule."""


def pick_port(template: str, wanted: int | None) -> int:
    """The port for a server at this URL: the URL's own, else the one wanted, else any; 0 at a Unix socket.

    Raises:
        SetupError: the URL's own is taken, or its host is not this machine.
        PortLingers: connections alone hold the URL's own.
    """
    target = target_from_url(template.replace(PLACE, str(wanted or 1)))
    if PLACE not in template:
        _check_free(target)
        return 0 if target.socket_path is not None else target.port
    if wanted is not None and _bind_error(target) is None:
        return wanted
    try:
        return free_port(target.host)
    except OSError as error:
        raise SetupError(_not_here(template, target, error)) from None


def when_free(start: Callable[[], _T], limit_s: float, waiting: AbstractContextManager[None]) -> _T:
    """What `start` returns, which is tried again for so long while connections hold its port.

    Args:
        start: asks `pick_port`; what else it raises goes on.
        limit_s: in seconds, from the first try on.
        waiting: entered only where there is something to wait for.

    Raises:
        PortLingers: they still do.
    """
    deadline = time.monotonic() + limit_s
    try:
        return start()
    except PortLingers:
        pass
    with waiting:
        while True:
            time.sleep(_LOOK_S)
            try:
                return start()
            except PortLingers:
                if time.monotonic() > deadline:
                    raise


def _check_free(target: Target) -> None:
    """Else what answers there later would be taken for the server that was started."""
    error = None if target.socket_path is not None else _bind_error(target)
    if isinstance(error, (socket.gaierror, PermissionError)) or _is_elsewhere(error):
        raise SetupError(_not_here(target.url, target, error))
    if error is None and not _answers(target):
        return
    owner = owner_of(target)
    if owner.nobody and error is not None and error.errno == errno.EADDRINUSE:
        raise PortLingers(
            f"--llm-endpoint {target.url}: --llm-serve cannot have this port: nothing listens there, but"
            " connections still hold it: those of a server that has ended for up to a minute, others until"
            " their program closes them; wait, or write {port} in both for a free port"
        )
    who = owner.why if owner.pid is None else f"process {owner.pid} ({command_line(owner.pid)}) listens there"
    raise SetupError(
        f"--llm-endpoint {target.url}: --llm-serve cannot have this port: {who}; end that one, or write"
        " {port} in both for a free port"
    )


def _is_elsewhere(error: Exception | None) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL


def _not_here(url: str, target: Target, error: Exception | None) -> str:
    said = (getattr(error, "strerror", None) or str(error)).lower()
    return (
        f"--llm-endpoint {url}: --llm-serve cannot listen at {target.host} ({said}): the server that it"
        " starts is on this machine; name an address of it, such as 127.0.0.1, and a port that this user"
        " may take"
    )


def _bind_error(target: Target) -> OSError | None:
    """Why a server cannot listen there; with the option that most servers set, a listener as a rule.

    On Linux the option passes over connections of an earlier server only where that one had set it too.
    """
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((target.host, target.port))
        except OSError as error:
            return error
    return None


def _answers(target: Target) -> bool:
    """Someone listens at a Unix socket, or at another address that takes this one's connections too."""
    if target.socket_path is None:
        address: object = (target.host, target.port)
        family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    else:
        address, family = target.socket_path, socket.AF_UNIX
    with socket.socket(family) as probe:
        probe.settimeout(_HELD_S)
        return probe.connect_ex(address) == 0  # type: ignore[arg-type]

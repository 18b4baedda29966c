"""The port of a server that is started here."""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.measure.port import PortLingers, pick_port, when_free

ANY = "http://127.0.0.1:{port}/ask"


@pytest.fixture
def held() -> Iterator[int]:
    """A port that this process listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_free_port_is_picked_and_the_wanted_one_where_it_is_free(held):
    """The next server is at the URL of the last one, unless somebody has taken it."""
    wanted = free()
    assert pick_port(ANY, wanted) == wanted
    assert pick_port(ANY, held) not in {held, 0}
    assert pick_port(ANY, None) > 0
    assert pick_port("http://[::1]:{port}", None) > 0


def test_the_port_that_the_url_names_is_taken():
    """Whatever was wanted else."""
    port = free()
    assert pick_port(f"http://127.0.0.1:{port}", free()) == port


def test_a_port_that_is_held_is_told_with_who_holds_it(held):
    """What answers there would be taken for the server that was started."""
    with pytest.raises(SetupError) as caught:
        pick_port(f"http://127.0.0.1:{held}/ask", None)
    said = str(caught.value)
    assert said.startswith(
        f"--llm-endpoint http://127.0.0.1:{held}/ask: --llm-serve cannot have this port:"
        f" process {os.getpid()} ("
    )
    assert said.endswith("; end that one, or write {port} in both for a free port")


@pytest.fixture
def lingering() -> Iterator[tuple[int, Callable[[], object]]]:
    """A port that a server has left with a connection, and what makes an end of that one at once."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        port = listener.getsockname()[1]
        stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        peer = stack.enter_context(listener.accept()[0])
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        listener.close()
        yield port, peer.close


@pytest.mark.skipif(sys.platform != "linux", reason="other systems pass over old connections")
def test_old_connections_are_told_from_a_listener(lingering):
    """There is no process to end."""
    port, _ = lingering
    with pytest.raises(PortLingers) as caught:
        pick_port(f"http://127.0.0.1:{port}/ask", None)
    assert str(caught.value) == (
        f"--llm-endpoint http://127.0.0.1:{port}/ask: --llm-serve cannot have this port: nothing listens"
        " there, but connections still hold it: those of a server that has ended for up to a minute, others"
        " until their program closes them; wait, or write {port} in both for a free port"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="other systems pass over old connections")
def test_a_port_that_old_connections_hold_is_waited_for(lingering):
    """As long as it may take; a wait that was none is not told."""
    port, end = lingering
    url = f"http://127.0.0.1:{port}"
    told = []

    @contextmanager
    def waiting() -> Iterator[None]:
        told.append(url)
        yield

    def picked(limit_s: float) -> int:
        return when_free(lambda: pick_port(url, None), limit_s, waiting())

    with pytest.raises(PortLingers):
        picked(0.0)
    timer = threading.Timer(0.3, end)
    timer.start()
    assert picked(20.0) == port
    timer.join()
    assert told == [url] * 2
    assert picked(20.0) == port
    assert told == [url] * 2


def test_a_socket_that_is_held_is_told(tmp_path):
    """A Unix socket that nobody listens at is free, also where its file is left."""
    path = tmp_path / "s"
    url = f"http+unix://{str(path).replace('/', '%2F')}"
    assert pick_port(url, None) == 0
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(SetupError, match=f"process {os.getpid()} "):
            pick_port(url, None)
    assert pick_port(url, None) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the system's words")
@pytest.mark.parametrize("url", ["http://192.0.2.1:{port}", "http://192.0.2.1:8000"])
def test_another_machine_is_refused(url):
    """The server is started here."""
    with pytest.raises(SetupError) as caught:
        pick_port(url, None)
    assert str(caught.value) == (
        f"--llm-endpoint {url}: --llm-serve cannot listen at 192.0.2.1 (cannot assign requested address): the"
        " server that it starts is on this machine; name an address of it, such as 127.0.0.1, and a port that"
        " this user may take"
    )

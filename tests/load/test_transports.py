"""The table of transports, and what a worker imports of it."""

import subprocess
import sys

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.load.transport import Transport
from pytest_llmserve.load.transports import TRANSPORTS, check_transport, transport_class


@pytest.mark.parametrize("name", TRANSPORTS)
def test_every_transport_has_the_surface_that_the_loop_drives(name):
    """The methods and attributes of the sockets transport, each with its arguments' names."""
    found = transport_class(name)
    for method in (name for name, value in vars(Transport).items() if callable(value)):
        if method.startswith("_"):
            continue
        expected = getattr(Transport, method).__code__
        own = getattr(found, method).__code__
        assert own.co_varnames[: own.co_argcount] == expected.co_varnames[: expected.co_argcount], method


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("carrier-pigeon", "--llm-transport: no transport 'carrier-pigeon'; known: sockets, httpx"),
        (
            "htpx",
            "--llm-transport: no transport 'htpx'; did you mean httpx? known: sockets, httpx",
        ),
        ("", "--llm-transport: no transport ''; known: sockets, httpx"),
    ],
)
def test_an_unknown_transport_is_told_with_the_known_ones(name, said):
    for ask in (check_transport, transport_class):
        with pytest.raises(SetupError) as caught:
            ask(name)
        assert str(caught.value) == said


@pytest.mark.parametrize(("name", "imported"), [("sockets", False), ("httpx", True)])
def test_httpx_is_imported_by_its_own_transport_alone(name, imported):
    """A worker over sockets starts without it, and without TLS or what only its parent computes."""
    modules = ("httpx", "asyncio", "ssl", "_hashlib", "statistics")[: 5 - 2 * imported]
    code = (
        "import sys, pytest_llmserve.load.worker;"
        " from pytest_llmserve.load.transports import transport_class;"
        f" transport_class({name!r}); print(*(m in sys.modules for m in {modules}))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout.split() == [str(imported)] * len(modules)

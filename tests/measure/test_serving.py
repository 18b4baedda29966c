"""Which values the command of a server takes."""

from __future__ import annotations

import sys

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.measure.serving import check_served, command_for, value_names
from pytest_llmserve.simulator.cli import parser

SERVE = f"{sys.executable} app.py --port {{port}} --workers {{workers}} {{flags}}"


def test_names_are_those_of_the_command():
    """The port is not a test's to give; of a server that is not started here nothing is."""
    assert value_names(None, SERVE) == ("workers", "flags")
    assert value_names("http://127.0.0.1:8000", None) is None
    assert {"threads", "slots"} <= set(value_names("embedded", None) or ())
    assert not {"port", "host", "port_file"} & set(value_names("simulator", None) or ())


def test_values_are_options_of_our_own_servers():
    """Every name that the simulator takes is an option of its program."""
    values = {"ttft_ms": 5, "fault": ("hang:after=9", "bloat:mb=1")}
    command = command_for("simulator", None, 81, values)
    assert command[-5:] == ["--port", "81", "--ttft-ms=5", "--fault=hang:after=9", "--fault=bloat:mb=1"]
    for name in value_names("simulator", None) or ():
        assert f"--{name.replace('_', '-')}" in parser().format_help()


@pytest.mark.parametrize(
    ("endpoint", "serve", "message"),
    [
        (
            "embedded",
            SERVE,
            "--llm-serve and --llm-endpoint=embedded name two servers: leave one of them out",
        ),
        ("nowhere", SERVE, "endpoint 'nowhere' is not an http or https URL; give one like"),
        (
            "http://127.0.0.1:{port}/ask",
            sys.executable,
            f"--llm-serve '{sys.executable}' has no {{port}}: write",
        ),
    ],
)
def test_what_does_not_go_together_is_told(endpoint, serve, message):
    """A port that is chosen has to reach the server."""
    with pytest.raises(SetupError) as caught:
        check_served(endpoint, serve)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}/ask", "https://[::1]:{port}", "http://localhost:8000"]
)
def test_a_url_beside_a_command_names_its_place(url):
    """Scheme, host and path; and a port of its own, which the command may take or know."""
    check_served(url, SERVE)
    if "{port}" not in url:
        check_served(url, f"{sys.executable} app.py")

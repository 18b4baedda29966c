"""schema_of(): schemathesis is set up to call the server under test, and errors say what to do."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from pytest_llmserve.domain.errors import MissingExtra, ServerUnusable, SetupError
from pytest_llmserve.strategies.openapi import schema_of

ROOT = Path(__file__).parents[2]
APP = ROOT / "tests" / "servers" / "fastapi_app.py"
PYTHON = "LLMSERVE_SCHEMATHESIS_PYTHON"
LIMIT_S = 120.0


class LoaderError(Exception):
    """As schemathesis raises it."""


class Schema:
    """As schemathesis gives it, as far as we touch it."""

    def __init__(self, asked):
        self.asked = asked
        self.set = {}
        self.config = SimpleNamespace(update=self.set.update)


@pytest.fixture
def fake(monkeypatch):
    """A schemathesis that loads whatever it is asked for, or raises `.fault`."""
    module = ModuleType("schemathesis")
    module.fault = None

    def load(*asked, **keywords):
        if module.fault:
            raise LoaderError(module.fault)
        return Schema((*asked, keywords))

    module.openapi = SimpleNamespace(from_url=load, from_dict=load)
    module.errors = SimpleNamespace(LoaderError=LoaderError)
    monkeypatch.setitem(sys.modules, "schemathesis", module)
    return module


@pytest.mark.parametrize(
    ("server", "document"),
    [
        ("http://127.0.0.1:8000/generate", "http://127.0.0.1:8000/openapi.json"),
        ("https://host/v1", "https://host/openapi.json"),
        ("http://host/docs/api.yaml", "http://host/docs/api.yaml"),
        ("http://host/v1/openapi.json?a=b", "http://host/v1/openapi.json?a=b"),
    ],
)
def test_the_document_is_asked_for_where_it_lies(fake, server, document):
    """At the root of the server, or where the URL says; in time, with the headers."""
    schema = schema_of(server, headers={"X-Key": "k"}, timeout="5s")
    assert schema.asked == (document, {"headers": {"X-Key": "k"}, "timeout": 5.0})
    assert schema.set == {"headers": {"X-Key": "k"}, "request_timeout": 5.0}


def test_a_document_that_is_given_is_not_asked_for(fake):
    """Its server is the one that is named."""
    schema = schema_of({"openapi": "3.1.0"}, base_url="http://127.0.0.1:8000")
    assert schema.asked == ({"openapi": "3.1.0"}, {})
    assert schema.set == {"headers": {}, "request_timeout": 30.0, "base_url": "http://127.0.0.1:8000"}


@pytest.mark.parametrize(
    ("server", "keywords", "sentence"),
    [
        ({}, {}, 'schema_of: a document does not say where its server is; give base_url="http://..."'),
        (
            "http+unix://%2Frun%2Fs.sock",
            {},
            "schema_of: 'http+unix://%2Frun%2Fs.sock' is no http URL; schemathesis reaches no other server, "
            "give one like http://127.0.0.1:8000",
        ),
        (
            "http://host",
            {"timeout": "soon"},
            'schema_of: timeout: \'soon\' is not a duration: write "60s", "5m", "1500ms", "4h" or seconds',
        ),
    ],
)
def test_a_wrong_argument_is_the_users_fault(server, keywords, sentence):
    """Told before anything is asked for, with or without schemathesis."""
    with pytest.raises(SetupError) as caught:
        schema_of(server, **keywords)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("server", "where"), [("http://host", "at http://host/openapi.json"), ({"a": 1}, "in what was given")]
)
def test_no_document_is_no_schema(fake, server, where):
    """What schemathesis found, where, and what to do."""
    fake.fault = "HTTP 404 Not Found"
    with pytest.raises(ServerUnusable) as caught:
        schema_of(server, base_url="http://host")
    assert str(caught.value) == (
        f"no OpenAPI document {where}: HTTP 404 Not Found; give the URL of the document, or the document "
        "itself with base_url="
    )


def test_schemathesis_missing_names_the_command(monkeypatch):
    """As every other extra does."""
    monkeypatch.setitem(sys.modules, "schemathesis", None)
    with pytest.raises(MissingExtra) as caught:
        schema_of("http://127.0.0.1:8000")
    assert str(caught.value) == (
        "schemathesis is not installed. Install it with: pip install 'pytest-llmserve[openapi]'"
    )


@pytest.fixture
def real_schemathesis():
    """A Python that has schemathesis: this one, or that of another environment."""
    python = os.environ.get(PYTHON, sys.executable)
    has = subprocess.run([python, "-c", "import schemathesis"], capture_output=True, timeout=60, check=False)
    if has.returncode:
        pytest.skip(
            f"schemathesis is not installed here; set {PYTHON} to the Python of an environment with it"
        )
    return python


@pytest.fixture
def app():
    """The URL of the FastAPI app, once it listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(APP), "--port", str(port)])
    try:
        deadline = time.monotonic() + LIMIT_S
        while not listens(port):
            assert process.poll() is None, "the app has ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/generate"
    finally:
        process.kill()
        process.wait(10)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_documented_example_finds_a_real_server_well(real_schemathesis, app, tmp_path):
    """The block of docs/hostile.md, unchanged, against a FastAPI app and its own document."""
    text = (ROOT / "docs" / "hostile.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```py\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "test_openapi.py").write_text(code)
    (tmp_path / "conftest.py").write_text(
        "from pytest_llmserve.strategies.registered import setup\n\nsetup()\n"
    )
    # Named, as that environment need not have this package installed.
    plugin = ["-p", "pytest_llmserve.plugin"]
    command = [real_schemathesis, "-m", "pytest", *plugin, "--hypothesis-profile=llmserve", "-rA"]
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    env |= {"PYTHONPATH": str(ROOT), "LLM_ENDPOINT": app}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED test_openapi.py::") == 2

"""The options: command line over environment over ini."""

from __future__ import annotations

import os
import shlex
from typing import Any, NamedTuple

import pytest


class Option(NamedTuple):
    """One option and its ini key.

    Attributes:
        kind: of the ini key and the value: "string", "int", "float", "bool" or "linelist"; "words" is a
            list too, which in one text is parted by spaces or commas.
        secret: the value is not repeated in messages.
    """

    flag: str
    kind: str
    metavar: str
    help: str
    default: Any = None
    secret: bool = False
    env: str | None = None

    @property
    def key(self) -> str:
        """The ini key, and the attribute of `config.option`."""
        return self.flag.removeprefix("--").replace("-", "_")


OPTIONS: tuple[Option, ...] = (
    Option(
        "--llm-endpoint",
        "words",
        "URL",
        "server under test; 'embedded' starts a small real model, 'simulator' a simulated one"
        " (its options: python -m pytest_llmserve.simulator --help); repeatable for replicas, which take"
        " turns. Also env LLM_ENDPOINT",
        env="LLM_ENDPOINT",
    ),
    Option(
        "--llm-api",
        "string",
        "NAME",
        "openai-chat, openai-completions, openai-responses, anthropic-messages, ollama-generate,"
        " ollama-chat, gradio, tgi, kserve or json; default: auto, which asks the server",
        "auto",
    ),
    Option(
        "--llm-model",
        "linelist",
        "NAME",
        "model to ask for; default: the server's only one; repeatable: a load asks them by turns",
    ),
    Option(
        "--llm-replica-header",
        "string",
        "NAME",
        "header of answers that names the replica behind one URL, such as x-served-by",
    ),
    Option("--llm-header", "linelist", "'K: V'", "sent with each request; repeatable", secret=True),
    Option("--llm-api-key-env", "string", "VAR", "environment variable that holds the API key"),
    Option(
        "--llm-ca", "string", "PATH", "trust the authorities in this PEM file or folder, not the system's"
    ),
    Option("--llm-insecure", "bool", "", "do not check the TLS certificate; told in reports", False),
    Option("--llm-client-cert", "string", "FILE", "PEM certificate for a server that asks for one"),
    Option("--llm-client-key", "string", "FILE", "its private key, where the certificate's file lacks it"),
    Option("--llm-serve", "string", "'CMD --port {port}'", "start this server and stop it at the end"),
    Option(
        "--llm-server-pid", "int", "PID", "process to watch; found by its port when it is on this machine"
    ),
    Option("--llm-container", "string", "NAME", "container to watch: its id, or its name where that is told"),
    Option(
        "--llm-metrics-url",
        "linelist",
        "URL",
        "Prometheus page of the server or an exporter; default: /metrics of the endpoint; repeatable",
    ),
    Option("--llm-server-log", "linelist", "FILE", "a log of the server, to look for errors in; repeatable"),
    Option(
        "--llm-json-request",
        "string",
        "JSON",
        'request of the json and gradio APIs; default: {"prompt": "{prompt}"}',
    ),
    Option(
        "--llm-json-answer",
        "string",
        "PATH",
        "where an answer of json or gradio lies, such as choices.0.text",
    ),
    Option(
        "--llm-prompts",
        "string",
        "FILE[:FIELD]",
        "prompts of llm_load() where a test names none: .jsonl, .json, .csv, .tsv or .txt",
    ),
    Option(
        "--llm-report",
        "linelist",
        "PATH",
        "write a report; the ending chooses: .json, .jsonl, .html or .md; repeatable",
    ),
    Option(
        "--llm-save", "string", "NAME", "keep the runs of this session under this name, to compare with later"
    ),
    Option(
        "--llm-compare",
        "string",
        "NAME",
        "judge no_regression against the runs kept under this name, or folder",
    ),
    Option("--llm-request-log", "string", "FILE", "write a line for each request of a load, with its texts"),
    Option("--llm-scale", "float", "F", "multiply all durations and request counts", 1.0),
    Option("--llm-strict", "bool", "", "undecided fails", False),
    Option("--llm-load-workers", "int", "N", "processes that send the load; default: 1", 1),
    Option(
        "--llm-transport",
        "string",
        "NAME",
        "sockets, or httpx for HTTP/2 and proxies; default: sockets",
        "sockets",
    ),
    Option("--llm-profile", "bool", "", "record a flame graph of a Python server over each load", False),
    Option("--llm-keep-text", "bool", "", "keep answers in reports", False),
)

EXPLAIN = "--llm-explain"
"""Runs no tests, and has no ini key."""

INI_ONLY: tuple[tuple[str, str, str, Any], ...] = (
    ("llm_require_endpoint", "bool", "tests without an endpoint are errors, not skipped", False),
    ("llm_ready_timeout", "string", "longest wait for the server, such as 30s or 5m", ""),
    ("llm_serve_values", "linelist", "NAME=VALUE lines: what stands for {NAME} in llm_serve", None),
    (
        "llm_measurements",
        "string",
        "folder of the runs kept by --llm-save, from the root folder",
        ".llmserve",
    ),
    ("llm_profiles", "string", "folder of flame graphs, from the root folder", ".llmserve/profiles"),
    ("llm_step_summary", "bool", "append the results to the file of GITHUB_STEP_SUMMARY", True),
    ("llm_progress", "string", "from one line of progress to the next in a log; 0s = no progress", "15s"),
)


LISTS = ("linelist", "words")

NO_ENDPOINT = (
    "no model server to test: give --llm-endpoint=URL, --llm-endpoint=embedded,"
    " --llm-serve='CMD --port {port}', or set LLM_ENDPOINT"
)


def add_options(parser: pytest.Parser) -> None:
    """Register options and ini keys."""
    group = parser.getgroup("llmserve", "acceptance tests of model servers")
    for option in OPTIONS:
        if option.kind == "bool":
            group.addoption(option.flag, action="store_const", const=True, default=None, help=option.help)
        elif option.kind in LISTS:
            group.addoption(
                option.flag, action="append", metavar=option.metavar, default=None, help=option.help
            )
        else:
            convert = {"int": int, "float": float}.get(option.kind, str)
            group.addoption(option.flag, metavar=option.metavar, type=convert, default=None, help=option.help)
        parser.addini(option.key, option.help, type=_ini_type(option.kind), default=None)
    # Not in the ini: what runs no tests is asked for each time anew.
    group.addoption(
        EXPLAIN,
        action="store_true",
        help="show how the server is found out and what it can do, and run no tests",
    )
    for key, kind, text, default in INI_ONLY:
        parser.addini(key, text, type=_ini_type(kind), default=default)


def _ini_type(kind: str) -> Any:
    return "string" if kind == "words" else kind


def value(config: pytest.Config, flag: str) -> Any:
    """The value in force: command line, then environment, then ini, then default."""
    option = next(option for option in OPTIONS if option.flag == flag)
    given = config.getoption(option.key)
    if given not in (None, []):
        return given
    if option.env is not None and os.environ.get(option.env):
        return _read(option, os.environ[option.env])
    from_ini = _read(option, ini(config, option.key))
    return option.default if from_ini in (None, "", []) else from_ini


def _read(option: Option, text: Any) -> Any:
    return words(text) if option.kind == "words" else text


def words(text: str | None) -> list[str]:
    """What stands between spaces, line ends and commas."""
    return (text or "").replace(",", " ").split()


def ini(config: pytest.Config, key: str) -> Any:
    """The value of an ini key.

    Raises:
        pytest.UsageError: not of the key's type.
    """
    try:
        return config.getini(key)
    except (TypeError, ValueError, pytest.UsageError) as error:  # which one depends on pytest's version
        raise pytest.UsageError(f"ini key {key}: {error}") from None


def given_here(config: pytest.Config) -> list[str]:
    """The options that the command line names."""
    return [option.flag for option in OPTIONS if config.getoption(option.key) not in (None, [])]


def named_server(config: pytest.Config) -> tuple[list[str], str | None]:
    """Endpoints and the command to serve one, as the nearest source names them.

    Both only where one source names both: that is the user's fault, see `check_options`.
    """
    endpoints = [endpoint for endpoint in config.getoption("llm_endpoint") or () if endpoint]
    serve = config.getoption("llm_serve") or None
    if not (endpoints or serve):
        endpoints = words(os.environ.get("LLM_ENDPOINT"))
    if endpoints or serve:
        return endpoints, serve
    return words(config.getini("llm_endpoint")), config.getini("llm_serve") or None


def has_server(config: pytest.Config) -> bool:
    """A server to test was named."""
    return any(named_server(config))


def require_server(config: pytest.Config) -> None:
    """Skip the test, or fail it where the ini says so, when no server was named."""
    if has_server(config):
        return
    if ini(config, "llm_require_endpoint"):
        pytest.fail(f"{NO_ENDPOINT} (llm_require_endpoint is set)", pytrace=False)
    pytest.skip(NO_ENDPOINT)


TRUST_FLAGS = ("--llm-ca", "--llm-insecure", "--llm-client-cert", "--llm-client-key")
"""Only for an https endpoint; from the ini they wait for one."""


def is_https(config: pytest.Config) -> bool:
    """A server was named by an https:// URL."""
    return any(endpoint.lower().startswith("https:") for endpoint in named_server(config)[0])


def repeat_command(config: pytest.Config, nodeid: str) -> str:
    """The command that runs one test again with the options in force; secrets left out."""
    path, colons, rest = nodeid.partition("::")
    # Node ids count from the root folder, arguments from where pytest was started.
    parts = ["pytest", os.path.relpath(config.rootpath / path, config.invocation_params.dir) + colons + rest]
    servers = dict(zip(("--llm-endpoint", "--llm-serve"), named_server(config), strict=True))
    left_out = {"--llm-report", "--llm-save", "--llm-request-log", *(() if is_https(config) else TRUST_FLAGS)}
    for option in OPTIONS:
        given = servers[option.flag] if option.flag in servers else value(config, option.flag)
        if option.flag in left_out or given in (None, option.default, []):
            continue
        if option.kind == "bool":
            parts.append(option.flag)
            continue
        for single in given if isinstance(given, list) else [given]:
            shown = str(single).partition(":")[0] + ": ***" if option.secret else str(single)
            parts.append(f"{option.flag}={shown}")
    return shlex.join(parts)

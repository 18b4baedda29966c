"""Options, checked and turned into what the rooms below take."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.trust import Trust, tls_context
from pytest_llmserve.domain.units import NS_PER_S, duration_ns
from pytest_llmserve.measure.opening import ServerWish, request_headers
from pytest_llmserve.measure.serving import OWN, check_served
from pytest_llmserve.plugin.fitting import check_empty, check_json_options, check_pid
from pytest_llmserve.plugin.given import default_values, served
from pytest_llmserve.plugin.options import (
    OPTIONS,
    TRUST_FLAGS,
    given_here,
    has_server,
    ini,
    is_https,
    named_server,
    value,
)
from pytest_llmserve.plugin.promptfile import default_prompts
from pytest_llmserve.plugin.replicas import check_replicas, replica_fields
from pytest_llmserve.plugin.reportpaths import check_reports
from pytest_llmserve.plugin.requestlog import check_request_log
from pytest_llmserve.reports.kept import KeptRuns, file_stem, is_name

_READY_URL_NS = 30 * NS_PER_S
_READY_OWN_NS = 300 * NS_PER_S


def check_options(config: pytest.Config) -> None:
    """Tell wrong options at once.

    Raises:
        pytest.UsageError: names every fault.
    """
    faults: dict[str, None] = {}
    checks: tuple[Callable[[pytest.Config], object], ...] = (
        *(partial(value, flag=option.flag) for option in OPTIONS),
        check_empty,
        _check_server,
        _check_trust,
        _check_api,
        check_json_options,
        check_pid,
        _check_headers,
        _check_scale,
        _check_workers,
        _check_transport,
        partial(_ready_ns, default=0),
        _check_metrics,
        progress_every_ns,
        server_logs,
        check_reports,
        check_request_log,
        default_prompts,
        kept_as,
        compared_with,
        default_values,
        partial(profile_file, nodeid="", run=1),
    )
    for check in checks:
        try:
            check(config)
        except (SetupError, pytest.UsageError) as error:
            faults[str(error)] = None
    if faults:
        raise pytest.UsageError("\n".join(faults))


def _check_server(config: pytest.Config) -> None:
    check_replicas(config)
    endpoint, serve = served(config)
    if serve is not None:
        check_served(endpoint, serve)


def _check_trust(config: pytest.Config) -> None:
    given = [flag for flag in TRUST_FLAGS if config.getoption(flag) is not None]
    if is_https(config):
        if {"--llm-ca", "--llm-insecure"} <= set(given):
            raise SetupError("--llm-ca and --llm-insecure contradict each other: leave one of them out")
        tls_context(trust_of(config))
    elif given and has_server(config):
        raise SetupError(
            f"{', '.join(given)}: only for an https:// endpoint, and this one is not: leave it out"
        )


def trust_of(config: pytest.Config) -> Trust:
    """How certificates are checked; relative paths from where pytest was started."""

    def path(flag: str) -> str | None:
        name = value(config, flag)
        return str(config.invocation_params.dir / Path(name).expanduser()) if name else None

    return Trust(
        ca=path("--llm-ca"),
        insecure=bool(value(config, "--llm-insecure")),
        client_cert=path("--llm-client-cert"),
        client_key=path("--llm-client-key"),
    )


def server_logs(config: pytest.Config) -> tuple[Path, ...]:
    """The files of --llm-server-log; relative paths from where pytest was started.

    Raises:
        SetupError: one is not a file, cannot be read, or lies in a folder that is not there. A file that is
            not there yet may come.
    """
    names = value(config, "--llm-server-log") or []
    flag = "--llm-server-log"
    paths = tuple(config.invocation_params.dir / _at_home(flag, name) for name in names)
    for path in paths:
        if path.exists() and not path.is_file():
            raise SetupError(f"{flag} {path}: is not a file; name the file that the server writes its log to")
        if path.exists() and not os.access(path, os.R_OK):
            raise SetupError(f"{flag} {path}: cannot be read by this user; let this user read it")
        if not path.parent.is_dir():
            raise SetupError(f"{flag} {path}: there is no folder {path.parent}; check the path")
    return paths


def _check_api(config: pytest.Config) -> None:
    from pytest_llmserve.dialects import dialect

    if value(config, "--llm-api") != "auto":
        dialect(value(config, "--llm-api"))


def _check_headers(config: pytest.Config) -> None:
    # From the ini they wait for a server: the key may be where the pipeline is.
    if has_server(config) or {"--llm-header", "--llm-api-key-env"} & set(given_here(config)):
        request_headers(_header_lines(config), value(config, "--llm-api-key-env"))


def _check_scale(config: pytest.Config) -> None:
    factor = value(config, "--llm-scale")
    if not math.isfinite(factor) or factor <= 0:
        raise SetupError(f"--llm-scale {factor}: give a number over 0, such as 0.1")


def _check_workers(config: pytest.Config) -> None:
    workers = value(config, "--llm-load-workers")
    if workers < 1:
        raise SetupError(f"--llm-load-workers {workers}: give 1 or more")


def _check_transport(config: pytest.Config) -> None:
    from pytest_llmserve.load.transports import check_transport

    check_transport(value(config, "--llm-transport"))


def _check_metrics(config: pytest.Config) -> None:
    from pytest_llmserve.observe.metrics_page import address_of

    for url in value(config, "--llm-metrics-url") or []:
        address_of(url)


def kept_as(config: pytest.Config) -> KeptRuns | None:
    """Where --llm-save keeps runs, None without it.

    Raises:
        SetupError: not such a name, or no folder can be there.
    """
    name = value(config, "--llm-save")
    if not name:
        return None
    _check_name("--llm-save", name)
    kept = KeptRuns(_measurements(config, "--llm-save") / name, name)
    _check_folder("--llm-save", kept.folder)
    if value(config, "--llm-compare") and _is_one(_compared_folder(config), kept.folder):
        raise SetupError(
            f"--llm-save and --llm-compare both name {name!r}: judged against the last run each time,"
            " a server could become slower for ever; save under another name"
        )
    return kept


def compared_with(config: pytest.Config) -> KeptRuns | None:
    """What --llm-compare names, None without it.

    Raises:
        SetupError: neither a name nor a folder that can be looked into.
    """
    name = value(config, "--llm-compare")
    if not name:
        return None
    if not _is_path(name):
        _check_name("--llm-compare", name)
    kept = KeptRuns(_compared_folder(config), name, _once_more(config, name))
    _check_folder("--llm-compare", kept.folder)
    return kept


def _once_more(config: pytest.Config, name: str) -> str:
    """How to get what --llm-compare lacks."""
    folder = _compared_folder(config)
    if folder.parent == _measurements(config, "--llm-compare"):
        return f"run once with --llm-save {folder.name}"
    return f"run once with --llm-save, and give the folder that is written, not {name}"


def _compared_folder(config: pytest.Config) -> Path:
    name: str = value(config, "--llm-compare")
    if not _is_path(name):
        return _measurements(config, "--llm-compare") / name
    folder = config.invocation_params.dir / _at_home("--llm-compare", name)
    return Path(os.path.normpath(folder))


def _is_one(first: Path, second: Path) -> bool:
    """Also where a link leads to the other; neither need be there."""
    return os.path.realpath(first) == os.path.realpath(second)


def _measurements(config: pytest.Config, flag: str) -> Path:
    folder = str(ini(config, "llm_measurements") or ".llmserve")
    return Path(os.path.normpath(config.rootpath / _at_home(f"{flag}: llm_measurements =", folder)))


def _at_home(where: str, folder: str) -> Path:
    """The folder, `~` and `~user` at its beginning read as that user's own."""
    try:
        return Path(folder).expanduser()
    except RuntimeError:
        user = Path(folder).parts[0]
        raise SetupError(f"{where} {folder}: {user} has no home folder here; write the path out") from None


def _is_path(name: str) -> bool:
    return any(mark and mark in name for mark in (os.sep, os.altsep)) or name in {os.curdir, os.pardir}


def _check_name(flag: str, name: str) -> None:
    if not is_name(name):
        also = ", or a folder such as ./runs/main" if flag == "--llm-compare" else ""
        raise SetupError(
            f"{flag} {name!r}: give a name of letters, digits, '.', '_' and '-' that begins with a letter or"
            f" digit and has at most 100 of them, such as main{also}"
        )


def _check_folder(flag: str, folder: Path) -> None:
    try:
        blocked = next((p for p in (folder, *folder.parents) if p.exists() and not p.is_dir()), None)
        if folder.is_dir():
            os.listdir(folder)
    except OSError as error:
        raise SetupError(
            f"{flag}: {folder} cannot be looked into: {error.strerror};"
            " name another folder, or let this user in"
        ) from None
    if blocked is not None:
        raise SetupError(f"{flag}: {blocked} is a file, where a folder is needed: move it, or name another")


def _ready_ns(config: pytest.Config, default: int) -> int:
    given = ini(config, "llm_ready_timeout")
    if not given:
        return default
    try:
        return duration_ns(given)
    except ValueError as error:
        raise SetupError(f"llm_ready_timeout: {error}") from None


def progress_every_ns(config: pytest.Config) -> int:
    """From one plain line of progress to the next; 0 for no progress at all."""
    try:
        return duration_ns(ini(config, "llm_progress") or 0)
    except ValueError as error:
        raise SetupError(f"llm_progress: {error}") from None


def profile_file(config: pytest.Config, nodeid: str, run: int) -> Path | None:
    """--llm-profile: the flame graph of a run, from 1, of a test; None without it.

    Raises:
        SetupError: no folder can be there.
    """
    if not value(config, "--llm-profile"):
        return None
    folder = config.rootpath / Path(ini(config, "llm_profiles")).expanduser()
    _check_folder("llm_profiles", folder)
    return folder / f"{file_stem(nodeid)}-{run}.svg"


def _header_lines(config: pytest.Config) -> tuple[str, ...]:
    return tuple(value(config, "--llm-header") or ())


def server_wish(config: pytest.Config) -> ServerWish:
    """The server options as one value."""
    endpoints, serve = named_server(config)
    own = bool(serve) or not OWN.keys().isdisjoint(endpoints)
    return ServerWish(
        **replica_fields(config),
        serve=serve,
        cwd=config.invocation_params.dir,
        api=value(config, "--llm-api"),
        headers=_header_lines(config),
        api_key_env=value(config, "--llm-api-key-env"),
        trust=trust_of(config),
        server_pid=value(config, "--llm-server-pid"),
        container=value(config, "--llm-container"),
        metrics_urls=tuple(value(config, "--llm-metrics-url") or ()),
        server_logs=server_logs(config),
        json_request=value(config, "--llm-json-request"),
        json_answer=value(config, "--llm-json-answer"),
        keep_text=bool(value(config, "--llm-keep-text")),
        ready_ns=_ready_ns(config, _READY_OWN_NS if own else _READY_URL_NS),
    )


def second_wish(config: pytest.Config, url: str) -> ServerWish:
    """Another server, spoken to with the same options."""
    ready_ns = _ready_ns(config, _READY_URL_NS)
    elsewhere = replace(server_wish(config), endpoint=url, others=(), serve=None, server_pid=None)
    return replace(elsewhere, container=None, metrics_urls=(), server_logs=(), ready_ns=ready_ns)

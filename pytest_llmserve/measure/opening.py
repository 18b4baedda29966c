"""From what the user asked for to a server that answers, and the process behind it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from pytest_llmserve.domain.errors import ServerUnusable, SetupError
from pytest_llmserve.domain.replicas import models_of, replicas_of, server_name, urls_of
from pytest_llmserve.domain.target import Target, target_from_url
from pytest_llmserve.domain.trust import SYSTEM_TRUST, Trust, tls_text
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.measure.fitting import check_answer_path
from pytest_llmserve.measure.listener import Listener, owner_of
from pytest_llmserve.measure.port import LINGER_S, when_free
from pytest_llmserve.measure.probes import Watched
from pytest_llmserve.measure.replicas import Beside, metrics_of, parts, renewed, with_others
from pytest_llmserve.measure.serving import OWN, Values, start_server
from pytest_llmserve.measure.waiting import told_while_waiting
from pytest_llmserve.observe.container import Container, container_of, first_of
from pytest_llmserve.observe.output_files import output_files
from pytest_llmserve.serve.endpoint import Endpoint
from pytest_llmserve.serve.process import ForeignServer, ServerProcess
from pytest_llmserve.serve.ready import wait_ready
from pytest_llmserve.serve.redact import redact
from pytest_llmserve.serve.story import Story

STARTED, TOLD = "started by this test session", "--llm-server-pid"
"""Why a process is known to be the server."""


@dataclass(frozen=True, kw_only=True)
class ServerWish:
    """The server options, as given.

    Attributes:
        endpoint: a URL, or a name of `OWN`; with `serve` None, or a URL, perhaps with "{port}".
        others: further URLs, of replicas.
        models: all that take turns where there are several; `model` is the first.
        replica_header: of answers, names who gave them.
        values: for the placeholders of `serve`, or the options of a server of ours.
        cwd: working directory of a server that is started.
        port: for it, if that is free and the endpoint names none.
        headers: "Name: value" lines.
        keep_text: what is told may hold prompts and answers.
        ready_ns: longest wait until the server answers.
        tell: is given a line for people each `tell_every_ns` of waiting; 0 = never.
    """

    endpoint: str | None
    serve: str | None = None
    values: Values = field(default_factory=dict)
    cwd: Path | None = None
    port: int | None = None
    api: str = "auto"
    model: str | None = None
    headers: tuple[str, ...] = ()
    api_key_env: str | None = None
    trust: Trust = SYSTEM_TRUST
    server_pid: int | None = None
    container: str | None = None
    metrics_urls: tuple[str, ...] = ()
    server_logs: tuple[Path, ...] = ()
    json_request: str | None = None
    json_answer: str | None = None
    others: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    replica_header: str | None = None
    keep_text: bool = False
    ready_ns: int
    tell: Callable[[str], object] | None = None
    tell_every_ns: int = 0


@dataclass(frozen=True, kw_only=True)
class OpenServer:
    """A server that answers.

    Attributes:
        server: the process behind it, None when not known.
        pid: of that process.
        why: why it is known, or why not.
        container: that it runs in, where one was named.
        metrics_urls: where it, or an exporter beside it, tells its own figures.
        metrics_missing: why there is no such place, or None.
        logs: the files it logs to, as far as they are known.
        beside: its replicas at other URLs.
        values: it was started with.
    """

    endpoint: Endpoint
    server: ServerProcess | ForeignServer | None
    pid: int | None
    why: str
    container: Container | None = None
    metrics_urls: tuple[str, ...] = ()
    metrics_missing: str | None = None
    logs: tuple[Path, ...] = ()
    beside: tuple[Beside, ...] = ()
    values: Values = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the first among several servers; "" where it is the only one."""
        return server_name(self.endpoint.target) if self.beside else ""

    @property
    def watched(self) -> Watched:
        """What there is of it to look at."""
        return Watched(
            beside=tuple(each.pid for each in self.beside if each.pid is not None),
            parts=parts(self.pid, self.beside, self.metrics_urls, self.endpoint.target),
            pid=self.pid,
            why=self.why,
            metrics_urls=self.metrics_urls,
            metrics_missing=self.metrics_missing,
            container=self.container,
            endpoint=self.endpoint.target,
        )

    def renewed(self) -> OpenServer:
        """The same server, with the process that it is now where it has come back as another one.

        This very object where nothing has changed: what it knows need not be looked up again.
        """
        if (beside := renewed(self.beside)) is not self.beside:
            return replace(self, beside=beside).renewed()
        server = self.server
        if self.container is not None:
            return self._renewed_inside(self.container)
        if server is None or self.why == TOLD:
            return self
        if isinstance(server, ServerProcess):
            return self if server.pid == self.pid else replace(self, pid=server.pid)
        if server.alive:
            return self
        owner = owner_of(self.endpoint.target)
        if owner.pid is None:
            return self
        server = ForeignServer(owner.pid, self.logs[0] if self.logs else None)
        return replace(self, server=server, pid=owner.pid, why=owner.why)

    def inside(self, container: Container) -> OpenServer:
        """The same server in this container, with the container's first process where no pid was given."""
        if self.why == TOLD:
            return replace(self, container=container)
        why, pid = f"first process of --llm-container {container.named}", first_of(container.pids())
        if pid is None:
            why = (
                f"no process of --llm-container {container.named} is seen from here:"
                " run pytest outside of containers"
            )
        server = self.server
        if not isinstance(server, ServerProcess):  # a command that we have started stays ours to stop
            server = None if pid is None else ForeignServer(pid, None if server is None else server.log)
        return replace(self, container=container, server=server, pid=pid, why=why)

    def _renewed_inside(self, container: Container) -> OpenServer:
        """One that is made anew has another id, and is found by its name alone."""
        if container.gone:
            try:
                return self.inside(container_of(container.named))
            except SetupError:  # not there now: the next test looks again
                return self
        if self.why == TOLD or first_of(container.pids()) in (None, self.pid):
            return self
        return self.inside(container)

    @cached_property
    def listener(self) -> Listener:
        """The process at its port."""
        found_there = self.container is None and self.why not in {STARTED, TOLD}
        return Listener(self.endpoint.target, self.pid if found_there else None)

    def pid_at(self, target: Target) -> int | None:
        """The first process of the replica there; None = not known."""
        at = {each.target.url: each.pid for each in self.beside} | {self.endpoint.url: self.pid}
        return at.get(target.url)

    @property
    def document(self) -> dict[str, Any]:
        """Where it is and how it is spoken to, for reports."""
        target, story = self.endpoint.target, self.endpoint.story
        seen = self.endpoint.capabilities_seen
        values = {"values": dict(self.values)} if self.values else {}
        pids = [self.pid, *(each.pid for each in self.beside)]
        return {
            "url": ", ".join(urls_of(target)),
            "api": target.api,
            "model": self.endpoint.told(", ".join(models_of(target))) or None,
            "because": self.endpoint.because,
            "asked": [f"{asked}: {asked.so}" for asked in story.asked] if story is not None else [],
            "pid": self.pid,
            "servers": [
                {"url": each.target.url, "model": self._model(each.target), "pid": pids[each.server]}
                for each in replicas_of(target)
            ],
            "tls": tls_text(target.scheme, target.trust),
            **({} if seen is None else {"capabilities": seen.as_json()}),
            **values,
        }

    def _model(self, target: Target) -> str | None:
        return None if target.model is None else self.endpoint.told(target.model)

    def close(self) -> None:
        """Close connections; end the server if it is ours."""
        self.endpoint.close()
        if isinstance(self.server, ServerProcess):
            self.server.close()


def open_server(wish: ServerWish, folder: Path, story: Story | None = None) -> OpenServer:
    """Start or find the server, wait until it has answered one real request, and find its metrics.

    Args:
        wish: the options.
        folder: for what is written while it runs.
        story: takes how it was found out, also when that ends with an error.

    Raises:
        SetupError: an option is wrong.
        ServerUnusable: what was seen, and what to do.
        MissingExtra: the embedded server's packages are not installed.
    """
    opened = _open(wish, folder, story)
    try:
        check_answer_path(opened.endpoint, wish.json_answer)
        opened = _with_others(opened, wish, story)
        urls, missing = metrics_of(wish.metrics_urls, opened.endpoint.target, opened.beside)
    except BaseException:
        opened.close()
        raise
    return replace(opened, metrics_urls=urls, metrics_missing=missing)


def _open(wish: ServerWish, folder: Path, story: Story | None) -> OpenServer:
    headers = request_headers(wish.headers, wish.api_key_env)
    if wish.serve is not None or wish.endpoint in OWN:
        return _open_own(wish, folder, headers, story)
    if wish.endpoint is None:
        raise SetupError("no endpoint: give --llm-endpoint=URL, --llm-endpoint=embedded or --llm-serve")
    endpoint = _ready(wish, _target(wish, target_from_url(wish.endpoint), headers), story)
    if wish.server_pid is not None:
        return _foreign(wish, endpoint, wish.server_pid, TOLD)
    owner = owner_of(endpoint.target)
    return _foreign(wish, endpoint, owner.pid, owner.why)


def _with_others(opened: OpenServer, wish: ServerWish, story: Story | None) -> OpenServer:
    headers = request_headers(wish.headers, wish.api_key_env)
    beside = with_others(opened.endpoint, wish, lambda target: _target(wish, target, headers), story)
    found = [each.logs for each in beside if not wish.server_logs]
    logs = tuple(dict.fromkeys(chain(opened.logs, *found)))
    return replace(opened, beside=beside, logs=logs) if beside else opened


def _foreign(wish: ServerWish, endpoint: Endpoint, pid: int | None, why: str) -> OpenServer:
    logs = wish.server_logs or (() if pid is None else output_files(pid))
    server = None if pid is None else ForeignServer(pid, logs[0] if logs else None)
    return OpenServer(endpoint=endpoint, server=server, pid=pid, why=why, logs=logs)


def _open_own(
    wish: ServerWish, folder: Path, headers: tuple[tuple[str, str], ...], story: Story | None
) -> OpenServer:
    server, url = _started(wish, folder)
    try:
        endpoint = _ready(wish, _target(wish, target_from_url(url), headers), story, server)
    except BaseException:
        server.close()
        raise
    pid, why = (server.pid, STARTED) if wish.server_pid is None else (wish.server_pid, TOLD)
    logs = (server.log, *wish.server_logs)
    return OpenServer(endpoint=endpoint, server=server, pid=pid, why=why, logs=logs, values=wish.values)


def _started(wish: ServerWish, folder: Path) -> tuple[ServerProcess, str]:
    """Start it, at a port of its own once the connections of a server before it are gone."""
    start = partial(start_server, wish.endpoint, wish.serve, wish.values, folder, wish.cwd, wish.port)
    held = f"the port of {wish.endpoint}, which connections of an earlier server still hold,"
    waiting = told_while_waiting(wish.tell, wish.tell_every_ns, held, lambda: None)
    return when_free(start, min(LINGER_S, wish.ready_ns / NS_PER_S), waiting)


def _ready(
    wish: ServerWish, target: Target, story: Story | None, server: ServerProcess | None = None
) -> Endpoint:
    """Wait for the server, and say so; one of ours that lives and does not answer has its log to tell why."""

    def last() -> str | None:
        return None if server is None else redact(server.log_tail(1), target)

    with told_while_waiting(wish.tell, wish.tell_every_ns, target.url, last):
        if server is None:
            return wait_ready(target, limit_ns=wish.ready_ns, story=story)
        try:
            return wait_ready(target, limit_ns=wish.ready_ns, alive=lambda: server.death, story=story)
        except ServerUnusable as error:
            if server.exit_status is not None:
                raise
            raise ServerUnusable(f"{error}{redact(server.last_lines, target)}") from None


def _target(wish: ServerWish, target: Target, headers: tuple[tuple[str, str], ...]) -> Target:
    return msgspec.structs.replace(
        target,
        api=wish.api,
        model=wish.model,
        headers=headers,
        key_env=wish.api_key_env,
        trust=wish.trust,
        json_request=wish.json_request,
        json_answer=wish.json_answer,
        replica_header=wish.replica_header,
        keep_text=wish.keep_text,
    )


def request_headers(
    lines: Sequence[str], key_env: str | None, env: Mapping[str, str] = os.environ
) -> tuple[tuple[str, str], ...]:
    """Parse the header options: "Name: value" lines, and the variable that holds the API key.

    Raises:
        SetupError: a header without a colon, or with a line break; a variable that is not set.
    """
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or any(mark in line for mark in "\r\n"):
            # Without a colon the text may be a key that was meant for another option.
            shown = f" {name.strip()!r}" if colon else ""
            raise SetupError(f"--llm-header{shown}: write 'Name: value' on one line")
        headers.append((name.strip(), value.strip()))
    if key_env is not None:
        key = env.get(key_env, "").strip()
        if not key:
            raise SetupError(f"--llm-api-key-env {key_env}: the environment variable is not set, or empty")
        headers.append(("Authorization", f"Bearer {key}"))
    return tuple(headers)

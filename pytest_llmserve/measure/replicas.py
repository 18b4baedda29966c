"""The servers and models beside the first: opened, held against it, and what there is of them to watch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pytest_llmserve.domain.errors import ServerUnusable
from pytest_llmserve.domain.replicas import name_of, replicas_of, server_name, servers_of
from pytest_llmserve.domain.samples import METRICS, PROCESS
from pytest_llmserve.domain.target import Target, target_from_url
from pytest_llmserve.measure.listener import owner_of
from pytest_llmserve.measure.metrics_probes import find_metrics
from pytest_llmserve.observe.metrics_page import PATH, own_page
from pytest_llmserve.observe.output_files import output_files
from pytest_llmserve.serve.endpoint import Endpoint
from pytest_llmserve.serve.guard import start_mark
from pytest_llmserve.serve.ready import wait_ready
from pytest_llmserve.serve.redact import told
from pytest_llmserve.serve.story import Story

if TYPE_CHECKING:
    from pytest_llmserve.measure.opening import ServerWish

Aim = Callable[[Target], Target]
"""Gives a URL's target all that the options say of it."""


@dataclass(frozen=True)
class Beside:
    """A server beside the first.

    Attributes:
        target: where it is.
        pid: of its first process; None = it is not known.
        mark: of that very process, as `start_mark` gives it.
        why: it is known, or why not.
        logs: the files that its output goes to.
    """

    target: Target
    pid: int | None
    mark: str | None = None
    why: str = ""
    logs: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """Among the servers."""
        return server_name(self.target)

    @classmethod
    def of(cls, target: Target) -> Beside:
        """With the process that listens there now."""
        owner = owner_of(target)
        if owner.pid is None:
            return cls(target, None, why=owner.why)
        return cls(target, owner.pid, start_mark(owner.pid), owner.why, output_files(owner.pid))

    def renewed(self) -> Beside:
        """This very object, unless its process has ended and another listens there now."""
        if self.pid is None or start_mark(self.pid) == self.mark:
            return self
        now = Beside.of(self.target)
        return self if now.pid is None else now


def with_others(
    endpoint: Endpoint, wish: ServerWish, aim: Aim, story: Story | None = None
) -> tuple[Beside, ...]:
    """Open every other pair of server and model, put them beside the endpoint's target, and say who they are.

    Args:
        endpoint: the first, open.
        wish: the options.
        aim: gives a URL's target what they say of it.
        story: of the first; takes how the others were found out too.

    Raises:
        ServerUnusable: one cannot be used, or is not like the first.
        SetupError: an option is wrong.
    """
    first = endpoint.target
    others = tuple(_opened(first, wish, aim, story or Story()))
    if not others:
        return ()
    endpoint.target = msgspec.structs.replace(first, beside=others)
    return tuple(Beside.of(server) for server in servers_of(replicas_of(endpoint.target))[1:])


def _opened(first: Target, wish: ServerWish, aim: Aim, story: Story) -> Iterator[Target]:
    own = None if wish.endpoint is None else first.url
    urls = [own, *wish.others]
    several = len(urls) > 1, len(wish.models) > 1
    for model in wish.models or (first.model,):
        for place, url in enumerate(urls):
            if place == 0 and model == first.model:
                continue
            base = _bare(first) if place == 0 else target_from_url(str(url))
            wanted = aim(base)
            if wish.models:
                wanted = msgspec.structs.replace(wanted, model=model)
            if place == 0:  # one server speaks one API
                wanted = msgspec.structs.replace(wanted, api=first.api)
            story.of = name_of(first, *several)
            story.beside.append(Story(of=name_of(wanted, *several)))
            opened = wait_ready(wanted, limit_ns=wish.ready_ns, story=story.beside[-1])
            opened.close()
            yield _alike(opened.target, first, named=bool(wish.models))


def _bare(target: Target) -> Target:
    """Its place alone, as `target_from_url` gives it."""
    return Target(
        scheme=target.scheme,
        host=target.host,
        port=target.port,
        socket_path=target.socket_path,
        path=target.path,
    )


def _alike(other: Target, first: Target, *, named: bool) -> Target:
    """The other target; raises ServerUnusable where it is no replica of the first."""
    if other.api != first.api:
        raise ServerUnusable(
            f"{other.url} speaks {other.api}, and {first.url} {first.api}: replicas speak one API;"
            " name the one that both have with --llm-api, or test them one by one"
        )
    if not named and other.model != first.model:
        said = f"{other.url} serves the model {other.model}, and {first.url} {first.model}"
        raise ServerUnusable(
            f"{told(said, first)}: replicas serve the same; name one that both have with --llm-model,"
            " or test them one by one"
        )
    return other


def parts(
    pid: int | None, beside: tuple[Beside, ...], metrics_urls: tuple[str, ...], first: Target
) -> dict[str, str]:
    """Source -> what it leaves out, where it does not tell of all servers; empty where it does.

    Args:
        pid: of the first server; None = nothing is told of processes at all.
        beside: the others.
        metrics_urls: where metrics are read.
        first: the first server.
    """
    if not beside:
        return {}
    number, found = 1 + len(beside), {}
    unknown = [each.target.url for each in beside if each.pid is None]
    if pid is not None and unknown:
        seen = number - len(unknown)
        found[PROCESS] = (
            f"of {seen} of {number} replicas: the processes of {', '.join(unknown)} are not known"
        )
    own = {own_page(target).url for target in (first, *(each.target for each in beside))}
    if metrics_urls and set(metrics_urls) < own:
        found[METRICS] = f"of {len(metrics_urls)} of {number} replicas: the others have no metrics at {PATH}"
    return found


def metrics_of(
    given: tuple[str, ...], first: Target, beside: tuple[Beside, ...]
) -> tuple[tuple[str, ...], str | None]:
    """Where the metrics of all are: as `find_metrics`, which see."""
    urls, missing = find_metrics(given, first)
    if given:
        return urls, missing
    more = [url for each in beside for url in find_metrics((), each.target)[0]]
    urls = tuple(dict.fromkeys((*urls, *more)))
    return urls, None if urls else missing


def renewed(beside: tuple[Beside, ...]) -> tuple[Beside, ...]:
    """This very tuple where nothing has changed."""
    now = tuple(each.renewed() for each in beside)
    return beside if all(new is old for new, old in zip(now, beside, strict=True)) else now

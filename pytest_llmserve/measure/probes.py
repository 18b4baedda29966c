"""Which probes look at a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from pytest_llmserve.domain.samples import ResourceWindow
from pytest_llmserve.domain.target import Target
from pytest_llmserve.measure.metrics_probes import metrics_probes
from pytest_llmserve.observe.apple_gpu import apple_gpu
from pytest_llmserve.observe.cgroup import group_of
from pytest_llmserve.observe.container import Container
from pytest_llmserve.observe.forest import Forest
from pytest_llmserve.observe.gpu import GpuProbe
from pytest_llmserve.observe.host import Host
from pytest_llmserve.observe.probe import Probe
from pytest_llmserve.observe.process_tree import ProcessTree, tree_reader


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A server, and where it can be looked at.

    Attributes:
        pid: of its first process, or None.
        why: why that is known, or why not.
        metrics_urls: where it, or an exporter beside it, tells its own figures.
        container: that it runs in, where one was named.
        metrics_missing: why there is no such place, or None.
        endpoint: where requests go; what is sent with them is sent to metrics of the same origin too.
        beside: first processes of its replicas, watched together with its own.
        parts: as of `ResourceWindow`.
    """

    pid: int | None = None
    why: str
    metrics_urls: tuple[str, ...] = ()
    container: Container | None = None
    metrics_missing: str | None = None
    endpoint: Target | None = None
    beside: tuple[int, ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)


def _gpu(watched: Watched, tree: ProcessTree | None) -> Probe | None:  # noqa: ARG001 - a row of the table
    return None if tree is None else GpuProbe(tree.pids)


def _group(watched: Watched, tree: ProcessTree | None) -> Probe | None:
    if watched.container is not None:
        return watched.container.group
    return None if tree is None else group_of(tree.pid)


def _apple_gpu(watched: Watched, tree: ProcessTree | None) -> Probe | None:  # noqa: ARG001 - a row too
    return None if tree is None else apple_gpu()


def _host(watched: Watched, tree: ProcessTree | None) -> Probe | None:  # noqa: ARG001 - a row too
    return None if tree is None else Host()


PROBES: tuple[Callable[[Watched, ProcessTree | None], Probe | None], ...] = (
    _gpu,
    _apple_gpu,
    _group,
    _host,
)
"""Makers of the probes of this machine but the process tree; None where there is nothing to look at."""


def tree_of(watched: Watched) -> ProcessTree | None:
    """The processes of a server, and of its replicas here; None where its own are not known.

    Raises:
        ProbeLost: one of them is not there.
    """
    if watched.pid is None:
        return None
    roots = dict.fromkeys((watched.pid, *watched.beside))
    reader = Forest([tree_reader(pid) for pid in roots]) if len(roots) > 1 else None
    return ProcessTree(watched.pid, reader=reader)


def probes_for(watched: Watched, tree: ProcessTree | None) -> list[Probe]:
    """The probes of a server.

    Args:
        watched: the server.
        tree: its processes, where they can be read.
    """
    made = (make(watched, tree) for make in PROBES)
    here = [probe for probe in made if probe is not None]
    return [*here, *metrics_probes(watched.metrics_urls, watched.metrics_missing, watched.endpoint, here)]


def completed(window: ResourceWindow, probes: Sequence[Probe]) -> ResourceWindow:
    """With what probes tell beside their figures: names of GPUs, what their memory is, what is not told."""
    absent = dict(window.absent)
    names: dict[int, str] = {}
    faults: dict[str, str] = {}
    for probe in probes:
        absent |= getattr(probe, "absent", {})
        names |= getattr(probe, "gpu_names", {})
        faults |= getattr(probe, "faults", {})
    window = msgspec.structs.replace(window, absent=absent, gpu_names=names, faults=faults)
    gpu = next((probe.devices for probe in probes if isinstance(probe, GpuProbe)), None)
    if gpu is None:
        return window
    what = gpu.what if window.values("gpu_mb") else None
    return msgspec.structs.replace(window, gpu=what, gpu_names=window.gpu_names | gpu.names)

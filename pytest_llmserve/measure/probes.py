"""Which probes look at a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_llmserve.observe.gpu import GpuProbe
from pytest_llmserve.observe.probe import Probe
from pytest_llmserve.observe.process_tree import ProcessTree


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A server, and where it can be looked at.

    Attributes:
        pid: of its first process, or None.
        why: why that is known, or why not.
        metrics_urls: where it, or an exporter beside it, tells its own figures.
        container: id or name of the container it runs in.
    """

    pid: int | None = None
    why: str
    metrics_urls: tuple[str, ...] = ()
    container: str | None = None


def _gpu(watched: Watched, tree: ProcessTree | None) -> Probe | None:  # noqa: ARG001 - a row of the table
    return None if tree is None else GpuProbe(tree.pids)


PROBES: tuple[Callable[[Watched, ProcessTree | None], Probe | None], ...] = (_gpu,)
"""Makers of all probes but the process tree; None where there is nothing to look at."""


def probes_for(watched: Watched, tree: ProcessTree | None) -> list[Probe]:
    """The probes of a server.

    Args:
        watched: the server.
        tree: its processes, where they can be read.
    """
    made = (make(watched, tree) for make in PROBES)
    return [probe for probe in made if probe is not None]

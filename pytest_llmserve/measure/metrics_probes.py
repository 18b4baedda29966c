"""Where the server's metrics are, and the probes that read them."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_llmserve.domain.samples import GPU, HOST, METRICS
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.observe.aside import Aside
from pytest_llmserve.observe.metrics import (
    NOT_INSTALLED,
    MetricsPages,
    ToldBeside,
    is_installed,
    look_at,
    unavailable,
)
from pytest_llmserve.observe.metrics_page import address_of, own_page
from pytest_llmserve.observe.probe import Probe, Silent

PERIOD_NS = NS_PER_S


def find_metrics(given: Sequence[str], endpoint: Target) -> tuple[tuple[str, ...], str | None]:
    """Where the metrics are: those given, else the endpoint's own /metrics, looked at once.

    Returns:
        The URLs, and why there are none; one of the two is empty.

    Raises:
        SetupError: what was given is no such URL.
    """
    for url in given:
        address_of(url, endpoint)
    if given:
        return tuple(given), None
    own = own_page(endpoint)
    look = look_at(own)
    return ((own.url,), None) if look.fault is None else ((), unavailable(look.fault))


def metrics_probes(
    urls: Sequence[str], missing: str | None, endpoint: Target | None, beside: Sequence[Probe]
) -> list[Probe]:
    """What reads the pages at these URLs, or says why nothing is read; none where nobody asked.

    Args:
        urls: of the pages.
        missing: why there are none.
        endpoint: what is sent to it is sent to pages of its origin too.
        beside: probes whose GPUs and machine count more than those on a page.
    """
    if urls and not is_installed():
        missing = NOT_INSTALLED
    if missing is not None:
        return [Silent(METRICS, missing)]
    if not urls:
        return []
    pages = MetricsPages([address_of(url, endpoint) for url in urls], beside)
    told = [ToldBeside(source, pages) for source in (GPU, HOST)]
    return [Aside(pages, PERIOD_NS, "the server's metrics"), *told]

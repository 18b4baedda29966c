"""The server's own metrics, and those of exporters beside it, asked for again and again."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from pytest_llmserve.domain.samples import GPU, HOST, METRICS
from pytest_llmserve.observe.metric_names import NAMES
from pytest_llmserve.observe.metrics_page import PageAddress, PageFault, get_page
from pytest_llmserve.observe.metrics_text import (
    Page,
    busy_percent,
    gpu_names,
    gpus_of,
    known_lines,
    page_of,
    together,
)
from pytest_llmserve.observe.probe import Probe

LOOK_S = 1.0
LIMIT_S = 3.0
"""For one reading: a busy server answers late, which is when it matters, and nothing waits for it."""
INSTALL = "pip install 'pytest-llmserve[prometheus]'"
NOT_INSTALLED = (
    f"the server's metrics are not available, because prometheus-client is not installed: {INSTALL}"
)
WAY_OUT = "give --llm-metrics-url=URL"

GONE = {
    METRICS: "the server's metrics are no longer available, because {}",
    GPU: "GPU figures are no longer available, because {}",
    HOST: "figures of the machine are no longer available, because {}",
}

PATIENCE = 3
"""So many faults in a row of a page that was there before are a gap; with the next it is missing."""

Get = Callable[[PageAddress, float], bytes]


class Look(msgspec.Struct, frozen=True):
    """A page looked at once, when the server is opened.

    Attributes:
        known: it names a figure that is known.
        fault: what was wrong with it, or None.
    """

    known: bool
    fault: str | None = None


def look_at(address: PageAddress, get: Get = get_page) -> Look:
    """Ask for a page once; takes no longer than 1 s, and nothing that must be installed."""
    try:
        body = get(address, LOOK_S)
    except PageFault as fault:
        return Look(False, str(fault))
    known = any(
        line.startswith((name.encode() + b"{", name.encode() + b" "))
        for line in known_lines(body)
        for name in NAMES
    )
    return Look(known, None if known else _unknown(address))


def unavailable(fault: str) -> str:
    """Why there are no metrics, and what to do."""
    return f"the server's metrics are not available, because {fault}; {WAY_OUT}"


def is_installed() -> bool:
    """prometheus-client is."""
    return importlib.util.find_spec("prometheus_client") is not None


class MetricsPages:
    """Reads pages of metrics side by side, by a deadline; it waits, so it belongs into a thread of its own.

    A page that fails leaves its figures out of that reading. It is `missing` when it never answered, and
    while it has failed more than three times in a row; it is asked again all the same, since a server
    that is busy or starts anew is back later. Mutable: what each page told last, and its faults.

    Args:
        addresses: of the pages. Servers among them stand behind one address together.
        beside: probes that tell GPUs and the machine better; what these tell is not taken from a page.
        get: fetches a page within so many seconds, or raises `PageFault`.
    """

    source = METRICS

    def __init__(
        self,
        addresses: Sequence[PageAddress],
        beside: Sequence[Probe] = (),
        get: Get = get_page,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._addresses = list(addresses)
        self._beside = tuple(beside)
        self._get = get
        self._limit_s = limit_s
        self._pages = [PageState() for _ in self._addresses]
        self.gpu_names: dict[int, str] = {}

    @property
    def missing(self) -> str | None:
        """Why the server's figures are not told now; None while they are."""
        return self.why(METRICS)

    def why(self, source: str) -> str | None:
        """Why the figures of a source are not told now; None while they are, "" when they are on no page."""
        mine = [state for state in self._pages if state.withholds(source)]
        faults = [state.fault for state in mine if state.fault]
        if not faults:
            return None if mine or source == METRICS else ""
        if any(state.tells for state in mine):
            return GONE[source].format(" and ".join(faults))
        return unavailable(" and ".join(faults))

    @property
    def faults(self) -> dict[str, str]:
        """METRICS -> what was wrong with a page of theirs the last time, if anything ever was."""
        mine = [state.last_fault for state in self._pages if state.withholds(METRICS)]
        found = " and ".join(fault for fault in mine if fault)
        return {METRICS: found} if found else {}

    def read(self, full: bool) -> dict[str, Any]:  # noqa: ARG002 - both cost the same
        """Ask for all pages once."""
        pages: list[Page] = []
        told: dict[str, Any] = {}
        elsewhere = {probe.source for probe in self._beside if probe.missing is None}
        bodies = _side_by_side(self._get, self._addresses, self._limit_s)
        for address, state, body in zip(self._addresses, self._pages, bodies, strict=True):
            page = _page(address, state, body)
            if page is not None:
                pages.append(page)
                told |= {} if HOST in elsewhere else _machine(page, state)
        # The sum of some of the servers would look like a small one.
        if not any(state.failed and state.withholds(METRICS) for state in self._pages):
            told |= together(pages)
        if GPU not in elsewhere and (gpus := gpus_of(pages)):
            told["gpus"] = gpus
            self.gpu_names |= gpu_names(pages)
        return told

    def close(self) -> None:
        """Nothing is held."""


class PageState:
    """What one page told last, and what is wrong with it. Mutable."""

    def __init__(self) -> None:
        self.tells: frozenset[str] = frozenset()
        self.cpu_s: tuple[float, float] | None = None
        self.last_fault: str | None = None
        self._faults = 0

    @property
    def failed(self) -> bool:
        """The last time it was asked."""
        return self._faults > 0

    @property
    def fault(self) -> str | None:
        """What is wrong, once it is more than a gap."""
        if not self._faults or (self.tells and self._faults <= PATIENCE):
            return None
        return self.last_fault if not self.tells else f"{self.last_fault}, {self._faults} times in a row"

    def withholds(self, source: str) -> bool:
        """Figures of this source are on it; of a page never seen, those of the server."""
        return source in (self.tells or {METRICS})

    def note(self, page: Page) -> None:
        """It answered."""
        self.tells |= page.tells
        self._faults = 0

    def note_fault(self, fault: str) -> None:
        """It did not."""
        self.last_fault = fault
        self._faults += 1


class ToldBeside:
    """GPUs or the machine, where a page tells them: not read here, only why they are not told.

    Args:
        source: GPU or HOST.
        pages: what reads them.
    """

    def __init__(self, source: str, pages: MetricsPages) -> None:
        self.source = source
        self._pages = pages

    @property
    def missing(self) -> str | None:
        """Why they are not told now, "" when no page does: then the reason of another probe counts."""
        return self._pages.why(self.source)

    @property
    def faults(self) -> dict[str, str]:
        """What was wrong with the pages the last time."""
        return self._pages.faults

    @property
    def gpu_names(self) -> dict[int, str]:
        """Number -> name of the GPUs on the pages."""
        return self._pages.gpu_names

    def read(self, full: bool) -> dict[str, Any]:  # noqa: ARG002 - the pages' own reading holds them
        """Nothing."""
        return {}

    def close(self) -> None:
        """Nothing is held."""


def _side_by_side(get: Get, addresses: Sequence[PageAddress], limit_s: float) -> list[bytes | Exception]:
    """Each page, or what was wrong with it: one that is waited for takes no time from the others."""
    got: dict[int, bytes | Exception] = {}

    def ask(number: int) -> None:
        try:
            got[number] = get(addresses[number], limit_s)
        except Exception as error:  # for the thread that waits, as this one has no one to raise to
            got[number] = error

    threads = [
        threading.Thread(target=ask, args=(number,), name="llmserve-page", daemon=True)
        for number in range(len(addresses))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [got[number] for number in range(len(addresses))]


def _page(address: PageAddress, state: PageState, body: bytes | Exception) -> Page | None:
    """What was got, noted in the state of its page; raises what is no fault of the page."""
    if isinstance(body, PageFault):
        state.note_fault(str(body))
        return None
    if isinstance(body, Exception):
        raise body
    try:
        page = page_of(body)
    except ValueError as error:
        state.note_fault(f"{address.url} is not in Prometheus' text form ({error})")
        return None
    if not page.tells:
        state.note_fault(_unknown(address))
        return None
    state.note(page)
    return page


def _machine(page: Page, state: PageState) -> dict[str, Any]:
    """Figures of the machine; its CPU since the reading before."""
    told: dict[str, Any] = {}
    if page.available_bytes is not None:
        told["host_available_bytes"] = page.available_bytes
    if page.cpu_s is not None:
        percent = None if state.cpu_s is None else busy_percent(state.cpu_s, page.cpu_s)
        if percent is not None:
            told["host_cpu_percent"] = percent
        state.cpu_s = page.cpu_s
    return told


def _unknown(address: PageAddress) -> str:
    return f"{address.url} names none of the figures known, such as vllm:num_requests_running"

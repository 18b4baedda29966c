"""Memory that ran out, or nearly."""

from __future__ import annotations

import re

from pytest_llmserve.checks.diagnosis.scene import Scene
from pytest_llmserve.checks.wording import amount, percent
from pytest_llmserve.domain.diagnosis import Diagnosis
from pytest_llmserve.domain.record import RequestRecord

KV_FULL_PERCENT = 95.0
"""Of the blocks: servers hold a few back, and put requests off before the last one is given."""
KV_FULL_SHARE = 0.1
"""Of the time: a cache that touches its end now and then is well used."""
SWAPPED_MB = 100.0
"""More swap than what a system puts out in passing."""
SHORT_MB = 256.0
"""What the machine has left: less, and pages of the model itself are thrown out and read again."""
_OUT_OF_MEMORY = re.compile(
    r"out of memory|outofmemory|cannot allocate memory|failed to allocate|bad_alloc|\bMemoryError\b",
    re.IGNORECASE,
)
_WAYS = "load a smaller or quantized model, lower max_tokens or the context, or allow fewer requests at once"

_CACHE_WAYS = (
    "give the cache more memory (--gpu-memory-utilization), quantize it"
    " (--kv-cache-dtype fp8), lower max_tokens or the context length, or allow fewer requests at once"
)
# As the log's own patterns are called.
KILLED, OUT, CACHE = "killed for want of memory", "out of memory", "KV cache full"


def killed(scene: Scene) -> Diagnosis | None:
    """The kernel has ended processes of the server's control group for want of memory."""
    kills = scene.window.rise("oom_kills")
    if not kills:
        return None
    figures: dict[str, float | str] = {"oom_kills": kills}
    told = []
    for figure, word in (("cgroup_mb", "peak"), ("cgroup_limit_mb", "limit")):
        peak = scene.peak(figure)
        if peak is not None:
            figures[figure] = round(peak, 1)
            told.append(f"{word} {amount(peak)} MB")
    known = f" ({', '.join(told)})" if told else ""
    processes = "a process" if kills == 1 else f"{kills:.0f} processes"
    sentence = (
        f"the kernel ended {processes} of the server's control group for want of memory{known}:"
        f" raise the limit, {_WAYS}"
    )
    return Diagnosis(what="out of memory", sentence=sentence, figures=figures)


def refused(scene: Scene) -> Diagnosis | None:
    """The server's own errors say that it had no memory."""
    found = saying(scene, _OUT_OF_MEMORY)
    if not found:
        return None
    sentence = f"{counted(scene, found)} with an error that says so, first id {found[0].id}: {_WAYS}"
    return Diagnosis(what="out of memory", sentence=sentence, figures={"requests": len(found)})


def kv_cache_full(scene: Scene) -> Diagnosis | None:
    """The key-value cache has no room: requests are put off or begun anew."""
    share, peak = scene.share("kv_cache_percent", KV_FULL_PERCENT), scene.peak("kv_cache_percent")
    if share is None or peak is None or share < KV_FULL_SHARE:
        return None
    figures: dict[str, float | str] = {
        "kv_cache_percent": round(peak, 2),
        "full_percent_of_time": round(100 * share, 2),
    }
    waiting = scene.peak("queue")
    also = ""
    if waiting is not None and waiting >= 1:
        figures["queue"] = waiting
        also = f", and up to {waiting:.0f} requests waited"
    sentence = (
        f"{KV_FULL_PERCENT:g}% or more of the server's KV cache was in use for {percent(share)}% of the"
        f" time{also}: {_CACHE_WAYS}"
    )
    return Diagnosis(what="KV cache full", sentence=sentence, figures=figures)


def swapping(scene: Scene) -> Diagnosis | None:
    """The server's memory is put out to disk while it works."""
    grew = scene.growth("swap_mb")
    if grew is None or grew < SWAPPED_MB:
        return None
    sentence = (
        f"{amount(grew)} MB of the server's memory were swapped out under load: memory of the machine is"
        f" short; {_WAYS}, or give the machine more memory"
    )
    return Diagnosis(what="swapping", sentence=sentence, figures={"swap_mb": round(grew, 1)})


def machine_short(scene: Scene) -> Diagnosis | None:
    """The machine has next to no memory left."""
    left = scene.lowest("host_available_mb")
    if left is None or left >= SHORT_MB:
        return None
    figures: dict[str, float | str] = {"host_available_mb": round(left, 1)}
    rss = scene.peak("rss_mb")
    had = ""
    if rss is not None:
        figures["rss_mb"] = round(rss, 1)
        had = f", of which the server had up to {amount(rss)} MB (RSS)"
    sentence = (
        f"the machine had {amount(left)} MB of memory left at the least{had}:"
        f" end other programs, {_WAYS}, or give the machine more memory"
    )
    return Diagnosis(what="memory of the machine short", sentence=sentence, figures=figures)


def logged_kill(scene: Scene) -> Diagnosis | None:
    """The server's log tells that a process was ended for want of memory."""
    told = "of a process that was killed for want of memory"
    return _logged(scene, KILLED, OUT, told, f"raise the limit, {_WAYS}")


def logged(scene: Scene) -> Diagnosis | None:
    """The server's log says that it had no memory."""
    return _logged(scene, OUT, OUT, "of memory that could not be had", _WAYS)


def logged_kv_cache_full(scene: Scene) -> Diagnosis | None:
    """The server's log says that its cache had no room."""
    return _logged(scene, CACHE, CACHE, "of requests for which it had no room", _CACHE_WAYS)


def _logged(scene: Scene, pattern: str, what: str, told: str, ways: str) -> Diagnosis | None:
    lines = scene.log.counts.get(pattern, 0)
    if not lines:
        return None
    who = "1 line of the server's log tells" if lines == 1 else f"{lines} lines of the server's log tell"
    return Diagnosis(what=what, sentence=f"{who} {told}: {ways}", figures={"log_lines": lines})


def saying(scene: Scene, pattern: re.Pattern[str]) -> list[RequestRecord]:
    """The failed requests whose error matches."""
    failed = scene.run.failed if scene.run is not None else []
    return [record for record in failed if record.error and pattern.search(record.error)]


def counted(scene: Scene, found: list[RequestRecord]) -> str:
    """How many of all: "3 of 40 requests failed"."""
    assert scene.run is not None
    return f"{len(found)} of {len(scene.run.tried)} requests failed"

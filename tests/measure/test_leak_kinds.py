"""Leaks of all kinds, each in a real server beside a healthy one that does the same and gives it back."""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import pytest

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.no_leak import NoLeak
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.measure.probes import Watched
from pytest_llmserve.measure.run import measured_run
from pytest_llmserve.measure.watch import Watch
from pytest_llmserve.serve.ready import wait_ready

pytestmark = pytest.mark.skipif(not psutil.LINUX, reason="only Linux tells of shared memory")

GROWING, COUNTED, HEALTHY = 400, 40, 100
"""Requests: that memory is seen to grow, that there is something to count, and of a healthy server."""
MEMORY = NoLeak(mb=10)
MEASURE = "(anonymous + shared + swap, "


@dataclass(frozen=True)
class Kind:
    """What is planted, what must find it, and what the sentence says."""

    where: str
    check: NoLeak
    least: float
    said: tuple[str, ...]
    healthy_nonce: bool = True


KINDS = {
    "an entry for each distinct prompt": Kind("prompts", MEMORY, 30, ("memory retained", MEASURE), False),
    "memory of a child process": Kind("child", MEMORY, 30, ("memory retained", MEASURE)),
    "memory shared by two processes": Kind(
        "shared", MEMORY, 30, ("memory retained", MEASURE, "shared memory grew by ")
    ),
    "open files": Kind("files", NoLeak(open_files=10), COUNTED - 5, ("open files left behind ", " > 10 (")),
    "threads": Kind("threads", NoLeak(threads=10), COUNTED - 5, ("threads left behind ", " > 10 (")),
}


@pytest.fixture
def judged(mock_server, tmp_path):
    """``judged(kind, requests, freed=False, nonce=True)``: the verdict on a run of a server that leaks."""

    def judge(kind, requests, *, freed=False, nonce=True):
        options = ["--leak-kb", 100, "--leak-where", kind.where, *["--leak-freed"] * freed]
        server = mock_server("--ttft-ms", 5, "--tokens", 2, *options)
        endpoint = wait_ready(target_from_url(server.url), limit_ns=30 * NS_PER_S)
        watch = Watch(Watched(pid=server.pid, why="told"), counted=kind.check.counted)
        watch.start()
        try:
            plan = LoadPlan(users=4, requests=requests, salt="b5" if nonce else None)
            run = measured_run(
                endpoint.target,
                plan,
                ["Say hi."],
                tmp_path / "run",
                watch,
                lambda result: None,
                settle_ns=NS_PER_S // 5,
            )
        finally:
            watch.stop()
            endpoint.close()
        (verdict,) = kind.check.judge(Evidence(runs=(run,)))
        return verdict

    return judge


@pytest.mark.parametrize("name", KINDS)
def test_a_leak_is_found_and_named(name, judged):
    """On a busy machine memory may be read too seldom to tell that it still grows; it never passes."""
    kind = KINDS[name]
    verdict = judged(kind, GROWING if kind.check.mb else COUNTED)
    assert verdict.verdict == "fail" or (kind.check.mb and verdict.verdict == "undecided"), verdict.sentence
    assert not verdict.holds
    assert verdict.estimate > kind.least
    assert [part for part in kind.said if part not in verdict.sentence] == [], verdict.sentence


@pytest.mark.parametrize("name", KINDS)
def test_its_healthy_twin_passes(name, judged):
    """The cache of prompts is asked the same one again and again."""
    kind = KINDS[name]
    verdict = judged(kind, HEALTHY, freed=kind.healthy_nonce, nonce=kind.healthy_nonce)
    assert (verdict.verdict, verdict.holds) == ("pass", True), verdict.sentence

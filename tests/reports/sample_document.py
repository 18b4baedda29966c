"""A whole document as `--llm-report` writes it, seeded and synthetic, made by the code that makes real ones.

``python tests/reports/sample_document.py out.html`` writes it as a file; ``--big`` one of a long run.
"""

from __future__ import annotations

import heapq
import random
import sys
from array import array
from pathlib import Path
from typing import Any

import msgspec

from pytest_llmserve.checks.diagnosis import diagnose
from pytest_llmserve.checks.error_rate import ErrorRate
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.judging import judged
from pytest_llmserve.checks.latency import Latency
from pytest_llmserve.checks.no_log_errors import NoLogErrors
from pytest_llmserve.checks.throughput import Throughput
from pytest_llmserve.domain.log import LogLine, LogWindow
from pytest_llmserve.domain.plan import LoadPlan, Stage
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.recovery import Outage
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult
from pytest_llmserve.domain.samples import GpuSample, ResourceSample, ResourceWindow
from pytest_llmserve.domain.stamps import TokenStamps
from pytest_llmserve.reports.charts.server_marks import server_marks
from pytest_llmserve.reports.document import SCHEMA, run_document, verdict_documents, watched_document
from pytest_llmserve.reports.environment import environment
from pytest_llmserve.reports.log_text import log_document
from pytest_llmserve.reports.private import MARKS

MS = 1_000_000
S = 1_000 * MS
MB = 1_000_000
ZERO_NS = 5_000 * S
"""When the first test begins, monotonic clock."""
HEALTH = GeneratorHealth(
    protocols=["HTTP/1.1"],
    clock="kernel",
    send_lag_ms={"p50": 0.08, "p99": 0.31, "max": 0.9},
    receive_lag_ms={"p50": 0.05, "p99": 0.2, "max": 1.1},
    cpu_percent=12.4,
    cpu_s=8.1,
    chunks=48_000,
    late_share=0.0002,
)


class Answers:
    """Draws requests: slower the more are under way, now and then one far slower. Mutable."""

    def __init__(self, seed: int, tokens: int = 40, gap_ms: float = 18.0) -> None:
        self.random = random.Random(seed)
        self.tokens = tokens
        # Drawn once and used again and again, so that a million of tokens costs little.
        self._gaps = [self._draw(gap_ms) for _ in range(200)]

    def _draw(self, gap_ms: float) -> tuple[bytes, int]:
        gaps = array(
            "I", [round(self.random.lognormvariate(0, 0.3) * gap_ms * MS) for _ in range(self.tokens - 1)]
        )
        return gaps.tobytes(), sum(gaps)

    def ok(self, number: int, at_ns: int, ttft_ms: float, **changes: Any) -> RequestRecord:
        """One that is answered in full."""
        cells, length_ns = self.random.choice(self._gaps)
        slow = 4.0 if self.random.random() < 0.004 else 1.0
        first_ns = at_ns + round(ttft_ms * slow * self.random.lognormvariate(0, 0.25) * MS)
        fields: dict[str, Any] = {
            "id": number,
            "scheduled_ns": at_ns,
            "sent_ns": at_ns,
            "first_byte_ns": first_ns,
            "token_ns": TokenStamps(first_ns, cells),
            "end_ns": first_ns + length_ns + MS,
            "status": 200,
            "outcome": "ok",
            "error": None,
            "input_chars": 120,
            "output_chars": 4 * self.tokens,
            "output_tokens": self.tokens,
            "tokens_from": "usage",
            "finish_reason": "stop",
        }
        return RequestRecord(**fields | changes)

    def failed(self, number: int, at_ns: int, **changes: Any) -> RequestRecord:
        """One that is not."""
        status, outcome, error, took_ms = self.random.choice(
            [
                (503, "http_5xx", f"503: no slot is free (request {number})", 40),
                (503, "http_5xx", f"503: no slot is free (request {number})", 55),
                (None, "timed_out", "no full answer within 5 s", 5000),
                (None, "reset", "Connection reset by peer", 12),
            ]
        )
        fields = {
            "status": status,
            "outcome": outcome,
            "error": error,
            "first_byte_ns": None,
            "token_ns": (),
            "end_ns": at_ns + took_ms * MS,
            "output_chars": 0,
            "output_tokens": None,
            "tokens_from": None,
            "finish_reason": None,
        }
        return self.ok(number, at_ns, 1.0, **fields | changes)


def closed_loop(
    answers: Answers, start_ns: int, stages: list[tuple[int, int]], warm_up_ns: int = 0
) -> list[RequestRecord]:
    """Users that wait for their answers: (users, seconds) after (users, seconds)."""
    records, number, begin_ns = [], 0, start_ns + warm_up_ns
    for stage, (users, seconds) in enumerate(stages):
        first_ns = start_ns if stage == 0 else begin_ns
        end_ns = begin_ns + seconds * S
        free = [(first_ns + user * 7 * MS, user) for user in range(users)]
        while free[0][0] < end_ns:
            at_ns, user = heapq.heappop(free)
            warm = at_ns < start_ns + warm_up_ns
            task = ("summary", "translation")[number % 2]
            record = answers.ok(number, at_ns, 60.0 + 0.5 * users, warm_up=warm, stage=stage, task=task)
            records.append(record)
            assert record.end_ns is not None
            heapq.heappush(free, (record.end_ns + MS, user))
            number += 1
        begin_ns = end_ns
    return records


def open_loop(answers: Answers, start_ns: int, rate: float, seconds: int) -> list[RequestRecord]:
    """Poisson arrivals, sent a little late, every fiftieth dropped."""
    records, at_ns, number = [], start_ns, 0
    while at_ns < start_ns + seconds * S:
        late_ns = round(answers.random.expovariate(2) * MS)
        sent = {"sent_ns": at_ns + late_ns, "from_schedule": True}
        if number % 50 == 49:
            gone = {"sent_ns": None, "end_ns": None, "status": None, "outcome": "dropped"}
            why = {"error": "no connection was free", "from_schedule": True}
            records.append(answers.failed(number, at_ns, **gone | why))
        else:
            records.append(answers.ok(number, at_ns, 35.0, **sent))
        at_ns += round(answers.random.expovariate(rate) * S)
        number += 1
    return records


def window(
    start_ns: int, seconds: int, seed: int, alive_s: int | None = None, **changes: Any
) -> ResourceWindow:
    """A reading a second of a server with two GPUs: memory grows a little, one GPU is busy and gets hot.

    Where it ends after `alive_s`, the kernel has killed it.
    """
    draw = random.Random(seed)

    def sample(at: int) -> ResourceSample:
        return ResourceSample(
            at_ns=start_ns + at * S,
            late_ns=1_600 * MS if at == seconds // 4 else draw.randrange(3 * MS),
            processes=2,
            rss_bytes=(2_400 + at) * MB,
            uss_bytes=(2_200 + at) * MB,
            pss_bytes=(2_300 + at) * MB,
            held_bytes=(2_250 + at) * MB,
            shared_bytes=90 * MB,
            swap_bytes=0,
            cpu_percent=130.0 + draw.uniform(-30, 30),
            busiest_percent=98.0,
            threads=24,
            open_files=60 + at % 7,
            gpu_bytes=(17_000 + 3 * at) * MB,
            gpus=tuple(
                GpuSample(
                    index=index,
                    memory_bytes=(18_000 + 3 * at) * MB,
                    total_bytes=24_000 * MB,
                    percent=min(100.0, 80.0 + draw.uniform(0, 25)) if index == 0 else 2.0,
                    temperature_c=60.0 + min(24.0, at / 4) if index == 0 else 41.0,
                    power_w=draw.uniform(50, 72) if index == 0 else 14.0,
                    throttled="thermal" if index == 0 and at > seconds * 0.8 else "",
                )
                for index in range(2)
            ),
            cgroup_bytes=(2_600 + at) * MB,
            cgroup_limit_bytes=8_000 * MB,
            oom_kills=0,
            throttled_ns=at * 20 * MS,
            running=float(min(16, 2 + at // 6)),
            waiting=float(max(0, at // 6 - 8)),
            kv_cache_percent=min(97.0, 20.0 + at / 2),
            host_cpu_percent=55.0 + draw.uniform(-10, 10),
            host_available_bytes=(9_000 - 5 * at) * MB,
        )

    def dead(at: int) -> ResourceSample:
        return ResourceSample(at_ns=start_ns + at * S, oom_kills=1, host_cpu_percent=20.0)

    samples = [sample(at) if alive_s is None or at < alive_s else dead(at) for at in range(seconds)]
    fields: dict[str, Any] = {
        "samples": tuple(samples),
        "gpu": "GPU memory of the server's processes",
        "gpu_names": {0: "GPU 0 (NVIDIA L4)", 1: "GPU 1 (NVIDIA L4)"},
        "cores": 8,
        "full_ns": 12 * MS,
    }
    return ResourceWindow(**fields | changes)


def staged_run(start_ns: int, seed: int = 1) -> LoadResult:
    """Three stages of users after a warm-up, two tasks, nothing fails."""
    stages, warm_up_ns = [(5, 20), (10, 20), (20, 20)], 5 * S
    plan = LoadPlan(
        stages=tuple(Stage(users, users, seconds * S) for users, seconds in stages),
        warm_up_ns=warm_up_ns,
        seed=seed,
        salt="ab12cd34",
    )
    records = closed_loop(Answers(seed), start_ns, stages, warm_up_ns)
    steady_ns = start_ns + warm_up_ns, start_ns + warm_up_ns + 60 * S
    return LoadResult(plan, records, HEALTH, steady_ns, window(start_ns, 66, seed), start_ns=start_ns)


def open_run(start_ns: int, seed: int = 2) -> LoadResult:
    """An open loop with a few dropped arrivals."""
    plan = LoadPlan(rate=8.0, duration_ns=40 * S, seed=seed, salt="ab12cd34")
    records = open_loop(Answers(seed), start_ns, 8.0, 40)
    dropped = sum(r.outcome == "dropped" for r in records)
    health = msgspec.structs.replace(HEALTH, dropped=dropped, late_share=None)
    steady_ns = start_ns, start_ns + 40 * S
    return LoadResult(plan, records, health, steady_ns, window(start_ns, 42, seed), start_ns=start_ns)


def broken_run(start_ns: int, seed: int = 3) -> LoadResult:
    """Sixteen users at two replicas; after two thirds nearly half fail, then the server is gone."""
    answers, records = Answers(seed), []
    for record in closed_loop(answers, start_ns, [(16, 90)]):
        served = {"task": None, "served_by": ("127.0.0.1:8001", "127.0.0.1:8002")[record.id % 2]}
        sick = record.scheduled_ns > start_ns + 60 * S and answers.random.random() < 0.45
        if record.scheduled_ns > start_ns + 85 * S:
            refused = {"status": None, "outcome": "refused", "error": "Connection refused", "sent_ns": None}
            took = {"end_ns": record.scheduled_ns + MS}
            records.append(answers.failed(record.id, record.scheduled_ns, **refused | took | {"task": None}))
        elif sick:
            records.append(answers.failed(record.id, record.scheduled_ns, **served))
        else:
            records.append(msgspec.structs.replace(record, **served))
    gone = "from 85 s on, no connection for 5 s (Connection refused)"
    health = msgspec.structs.replace(
        HEALTH, ended=f"gave up: {gone}", server_gone=gone, server_gone_ns=start_ns + 85 * S
    )
    plan = LoadPlan(users=16, duration_ns=300 * S, seed=seed, salt="ab12cd34", timeout_ns=5 * S)
    steady_ns = start_ns, start_ns + 90 * S
    return LoadResult(plan, records, health, steady_ns, window(start_ns, 92, seed), start_ns=start_ns)


def big_run(requests: int = 200_000, hours: float = 1, tokens: int = 60, seed: int = 4) -> LoadResult:
    """So many requests evenly over so long, a thousandth of them failed."""
    answers, length_ns = Answers(seed, tokens, gap_ms=12.0), round(hours * 3600 * S)
    records = []
    for number in range(requests):
        at_ns = ZERO_NS + number * length_ns // max(1, requests)
        make = answers.failed if number % 1000 == 999 else answers.ok
        busy = 40.0 + 15.0 * ((number * 12 // max(1, requests)) % 4)
        records.append(make(number, at_ns, **({} if make == answers.failed else {"ttft_ms": busy})))
    plan = LoadPlan(users=40, duration_ns=length_ns, seed=seed, salt="ab12cd34", timeout_ns=5 * S)
    seconds = max(1, length_ns // S)
    steady_ns = ZERO_NS, ZERO_NS + length_ns
    return LoadResult(plan, records, HEALTH, steady_ns, window(ZERO_NS, seconds, seed), start_ns=ZERO_NS)


LOG = LogWindow(
    files=("server.log",),
    lines=tuple(
        LogLine(at_ns=ZERO_NS + at * S, since_ns=ZERO_NS + at * S - 200 * MS, text=text, pattern=pattern)
        for at, text, pattern in (
            (71, "CUDA out of memory. Tried to allocate 2.00 GiB", "out of memory"),
            (71, "Traceback (most recent call last):", "traceback"),
            (80, "Traceback (most recent call last):", "traceback"),
            (94, "worker was killed by signal 9", "worker died"),
        )
    ),
    counts={"out of memory": 1, "traceback": 9, "worker died": 1},
    read=4_210,
    allowed=2,
)
FATE = "the server's process ended during the test: killed by SIGKILL"
OUTAGE = Outage(
    began_ns=ZERO_NS + 1 * S, ended_ns=ZERO_NS + 10 * S, down_ms=6_400.0, answers_ms=9_000.0, right=True
)
SERVER = {
    "url": "http://127.0.0.1:8000",
    "api": "openai-chat",
    "model": "SmolLM2-135M",
    "because": "GET /v1/models lists model SmolLM2-135M",
    "asked": ["GET /v1/models answered 200 application/json: lists model SmolLM2-135M"],
    "pid": 4711,
    "servers": [{"url": "http://127.0.0.1:8000", "model": "SmolLM2-135M", "pid": 4711}],
    "tls": None,
}


def one_test(
    nodeid: str,
    runs: list[LoadResult],
    checks: list[Any],
    server: ResourceWindow,
    *,
    log: LogWindow | None = None,
    fate: str | None = None,
    outages: tuple[Outage, ...] = (),
    keep_text: bool = False,
    started_at: str = "2026-03-01T14:00:00+01:00",
) -> dict[str, Any]:
    """One test as it stands in the document."""
    log = log or LogWindow(files=("server.log",), read=812)
    evidence = Evidence(tuple(runs), server, ZERO_NS, death=fate, log=log, keep_text=keep_text)
    verdicts = judged(checks, evidence)
    failed = any(verdict.fails(strict=False) for verdict in verdicts)
    marks = server_marks(server, log, ZERO_NS, outages=outages, fate=fate, keep_text=keep_text)
    short = diagnose(runs, server, verdicts, None, log) if failed else []
    return {
        "nodeid": nodeid,
        "attempt": 1,
        "started_at": started_at,
        "duration_s": round((server.samples[-1].at_ns - ZERO_NS) / S, 3) if server.samples else 0.0,
        "server": dict(SERVER),
        "runs": [run_document(run, keep_text, zero_ns=ZERO_NS, charts=True) for run in runs],
        "verdicts": verdict_documents(verdicts),
        "not_judged": None,
        "diagnosis": [each.as_json() for each in short],
        "resources": watched_document(server, ZERO_NS),
        "log": log_document(log, ZERO_NS, keep_text),
        "liveness": fate,
        "restarts": [outage.as_json(ZERO_NS) for outage in outages],
        "stacks": [],
        "stacks_missing": None,
        MARKS: marks,
        "outcome": "failed" if failed else "passed",
    }


def good_test() -> dict[str, Any]:
    """Passes: stages of users, then an open loop."""
    return one_test(
        "tests/test_chat.py::test_answers_fast_while_users_come[chat-20]",
        [staged_run(ZERO_NS + S), open_run(ZERO_NS + 75 * S)],
        [Latency(p95_ms=2200.0, ttft_p95_ms=600.0), Throughput(min_rps=2.0), ErrorRate(max=0.02)],
        window(ZERO_NS, 120, 1),
    )


def bad_test(keep_text: bool = False) -> dict[str, Any]:
    """Fails: errors, lines in the log, a server that ended and was started again."""
    server = window(ZERO_NS, 105, 3, alive_s=95, renewed_ns=(ZERO_NS + 8 * S,), missing="process 4711 ended")
    return one_test(
        "tests/test_chat.py::TestLoad::test_keeps_answering",
        [broken_run(ZERO_NS + 10 * S)],
        [Latency(p99_ms=1500.0), ErrorRate(max=0.01), NoLogErrors()],
        server,
        log=LOG,
        fate=FATE,
        outages=(OUTAGE,),
        keep_text=keep_text,
        started_at="2026-03-01T14:02:05+01:00",
    )


def document(*tests: dict[str, Any]) -> dict[str, Any]:
    """The document of these tests; without any, of the good one and the bad one."""
    there = environment() | {"started_at": "2026-03-01T13:59:58+01:00"}
    return {"schema": SCHEMA, "environment": there, "tests": list(tests) or [good_test(), bad_test()]}


def big_document(requests: int = 200_000, hours: float = 1) -> dict[str, Any]:
    """The document of one test with a long run."""
    run = big_run(requests, hours)
    checks = [Latency(p99_ms=2000.0), ErrorRate(max=0.01)]
    return document(one_test("tests/test_night.py::test_an_hour", [run], checks, run.resources))


def main(arguments: list[str]) -> None:
    """Write the document to each path, by its ending."""
    from importlib import import_module

    from pytest_llmserve.reports import REPORTS

    found = big_document() if "--big" in arguments else document()
    for name in arguments:
        if name != "--big":
            module, _, function = REPORTS[Path(name).suffix].partition(":")
            getattr(import_module(module), function)(found, Path(name))


if __name__ == "__main__":
    main(sys.argv[1:])

"""What --llm-report x.jsonl keeps of a run is read back as it was, or refused with the line that is wrong."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.latency import Latency
from pytest_llmserve.checks.measured import measurement_of
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.keywords import build
from pytest_llmserve.domain.log import LogLine, LogWindow
from pytest_llmserve.domain.outcome import OUTCOMES
from pytest_llmserve.domain.plan import LoadPlan, Stage
from pytest_llmserve.domain.record import NOT_KEPT, RequestRecord, Step
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult, record_row
from pytest_llmserve.domain.samples import (
    CountChange,
    GpuSample,
    MemoryChange,
    ResourceSample,
    ResourceWindow,
)
from pytest_llmserve.reports.about import Asked, run_about, test_about
from pytest_llmserve.reports.jsonl_file import shard_path, shards_of, whole_shards, write, write_shard
from pytest_llmserve.reports.kept_requests import read_runs
from pytest_llmserve.reports.kept_run import evidence_of
from pytest_llmserve.reports.measurement_file import plain_measurement
from pytest_llmserve.reports.request_line import request_lines

NODEID = "tests/test_a.py::test_b"
MEASURED_AGAIN = "measure again with --llm-report"


class Answers:
    """Answers by their place."""

    def __init__(self, *texts: str) -> None:
        self._texts = texts

    def read(self, at: int) -> str:
        return self._texts[at]


def lines(
    run: LoadResult,
    number: int = 1,
    whole: Evidence | None = None,
    *,
    unsent: dict[int, LoadResult] | None = None,
    redact: Any = str,
    keep_text: bool = False,
    asked: tuple[Asked, ...] = (),
    **more: Any,
) -> bytes:
    """A run as it stands in a file; `whole`: the first of its test."""
    document = {"server": {"url": "http://x"}, "verdicts": [{"verdict": "pass"}], "liveness": None, "_x": 1}
    about = run_about(run, {"mix": {"repeatable": True}, "counts": {}}, 5, keep_text, more.get("baseline"))
    if whole is not None:
        empty = [{"run": n, **run_about(each, {}, 5, False)} for n, each in (unsent or {}).items()]
        about["test"] = test_about(
            whole, document, asked, {"cpus": 2, "definitions": {}}, empty, strict=False
        )
    found = request_lines(run, about, redact, nodeid=NODEID, attempt=1, number=number, keep_text=keep_text)
    return b"".join(found)


def one_run(run: LoadResult, **more: Any) -> bytes:
    return lines(run, whole=Evidence(runs=(run,)), **more)


def read(path: Path, content: bytes) -> Any:
    path.write_bytes(content)
    return read_runs(path)


def refusal(path: Path, content: bytes) -> str:
    with pytest.raises(SetupError) as told:
        read(path, content)
    return str(told.value).replace(str(path), "x.jsonl")


NS = st.integers(0, 2**62)
MAYBE_NS = st.none() | NS
RECORDS = st.builds(
    RequestRecord,
    id=st.integers(0, 2**48),
    scheduled_ns=NS,
    sent_ns=MAYBE_NS,
    first_byte_ns=MAYBE_NS,
    end_ns=MAYBE_NS,
    token_ns=st.lists(st.integers(0, 2**61), max_size=5).map(tuple),
    status=st.none() | st.integers(100, 599),
    outcome=st.sampled_from([*OUTCOMES]),
    error=st.none() | st.text(),
    input_chars=st.integers(0, 2**31),
    output_chars=st.integers(0, 2**31),
    output_tokens=st.none() | st.integers(0, 2**31),
    tokens_from=st.sampled_from([None, "usage", "estimated"]),
    finish_reason=st.none() | st.text(),
    task=st.none() | st.text(),
    warm_up=st.booleans(),
    attempt=st.integers(1, 9),
    stage=st.integers(0, 9),
    from_schedule=st.booleans(),
    steps=st.lists(
        st.builds(Step, sent_ns=NS, first_byte_ns=NS, end_ns=NS, status=st.integers(100, 599)), max_size=2
    ).map(tuple),
    served_by=st.none() | st.text(),
    turn=st.integers(0, 3),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(RECORDS, min_size=1, max_size=4))
def test_any_record_is_read_back_as_it_was(records, tmp_path, make):
    """Every field, warm-up and measured apart, on as many lines as there are requests."""
    run = make.run(records)
    written = one_run(run)
    (kept,) = read(tmp_path / "x.jsonl", written)

    def told(each: list[RequestRecord]) -> list[Any]:
        return [(record_row(r), r.warm_up, r.from_schedule) for r in each]

    assert told(kept.result.requests) == told(run.requests)
    assert told(kept.result.warm_up) == told(run.warm_up)
    assert written.count(b"\n") == len(records)


def test_each_line_is_a_request_with_the_names_of_a_record(make):
    """For pandas, duckdb and jq: a flat row each, what the run needs only in its first line."""
    first, second = map(json.loads, one_run(make.run([make.record(0), make.record(1)])).splitlines())
    assert list(second) == [
        "id", "task", "scheduled_ns", "sent_ns", "first_byte_ns", "first_token_ns", "last_token_ns", "end_ns",
        "token_ns", "status", "outcome", "error", "input_chars", "output_chars", "output_tokens",
        "tokens_from", "finish_reason", "attempt", "stage", "steps", "turn", "conversation", "served_by",
        "warm_up", "from_schedule", "nodeid", "test_attempt", "run",
    ]  # fmt: skip
    assert list(first) == [*second, "about"]
    row = record_row(make.record(1))
    assert {name: second[name] for name in row} == row
    assert (second["nodeid"], second["test_attempt"], second["run"]) == (NODEID, 1, 1)


def test_what_a_run_needs_to_be_judged_again_is_read_back(tmp_path, make):
    """Plan, generator, window, samples of the server, memory, baseline, log, promises and verdicts."""
    gpu = GpuSample(index=3, memory_bytes=5, total_bytes=10, percent=7.5)
    samples = (ResourceSample(at_ns=7, rss_bytes=8, gpus=(gpu,)), ResourceSample(at_ns=9, waiting=0.1))
    window = ResourceWindow(
        samples=samples, gpu_names={3: "H"}, absent={"cgroup": "no"}, cores=2, renewed_ns=(8,)
    )
    log = LogWindow(
        files=("a.log",),
        lines=(LogLine(at_ns=4, since_ns=3, text="oom: a prompt", pattern="oom"),),
        counts={"oom": 1},
    )
    run = make.run(
        [make.record(0, e2e_ms=100.123457), make.failed(1)],
        plan=LoadPlan(rate_stages=(Stage(1, 2.5, 10**9),), think_time_ns=(1, 2), params={"temperature": 0.5}),
        generator=GeneratorHealth(
            send_lag_ms={"p99": 0.25}, protocols=["HTTP/2"], late_share=0.1, ended="why"
        ),
        steady_ns=(3, 10**15 + 1),
        start_ns=2,
        prompts="ab",
        rounds=4,
        resources=window,
        memory=MemoryChange(
            measure="RSS",
            before=(1, 2),
            after=(3,),
            gpu=MemoryChange(measure="GPU", missing="no GPU"),
            counts=(CountChange(figure="threads", before=(1,), after=(2,)),),
        ),
    )
    whole = Evidence(
        runs=(run,), resources=window, started_ns=1, no_run="none", death="it ended", log=log, keep_text=True
    )
    baseline = measurement_of(run, name="main", environment={}, server={}, taken_at="2026-01-01")
    asked = (Asked("latency", {"p99_ms": 300}),)
    (kept,) = read(tmp_path / "x.jsonl", lines(run, whole=whole, asked=asked, baseline=baseline))
    for name in ("plan", "generator", "steady_ns", "start_ns", "prompts", "rounds", "resources", "memory"):
        assert getattr(kept.result, name) == getattr(run, name), name
    told, then = (plain_measurement(each, exact=True) for each in (kept.baseline, baseline))
    assert told == json.loads(json.dumps(then))
    assert (kept.nodeid, kept.attempt, kept.number, kept.wall_ns) == (NODEID, 1, 1, 5)
    assert kept.report == {"mix": {"repeatable": True}}
    test = kept.test
    assert (test.runs, test.asked, test.verdicts) == ((2,), asked, ({"verdict": "pass"},))
    assert (test.server, test.report) == ({"url": "http://x"}, {"liveness": None})
    found = evidence_of([kept])
    assert (found.resources, found.started_ns, found.no_run, found.death) == (window, 1, "none", "it ended")
    assert found.baselines == (kept.baseline,)
    assert found.environment == {"cpus": 2}
    assert msgspec.structs.replace(found.log, lines=()) == msgspec.structs.replace(log, lines=())


def test_figures_of_numpy_are_kept_as_numbers(tmp_path, make):
    """A verdict's interval may be of them, and its sentence hold what UTF-8 has not."""
    run = make.run([make.record(0)])
    about = run_about(run, {"mix": {"right": numpy.float64(0.5), "said": "\ud800"}}, 5, False)
    whole = Evidence(runs=(run,))
    about["test"] = test_about(whole, {"server": None, "verdicts": []}, (), {}, [], strict=False)
    written = b"".join(request_lines(run, about, str, nodeid=NODEID, attempt=1, number=1, keep_text=False))
    (kept,) = read(tmp_path / "x.jsonl", written)
    assert kept.report == {"mix": {"right": 0.5, "said": "\ufffd"}}
    with pytest.raises(TypeError, match="in what is kept of a run"):
        [*request_lines(run, {"x": object()}, str, nodeid=NODEID, attempt=1, number=1, keep_text=False)]


def test_a_kept_run_is_judged_as_it_was(tmp_path, make):
    """The same verdict, to the last letter."""
    run = make.run([make.record(n, e2e_ms=50 + 7 * n % 90) for n in range(300)])
    (kept,) = read(tmp_path / "x.jsonl", one_run(run))
    check = build(Latency, "latency", (), {"p95_ms": 120, "ttft_p50_ms": 10})
    assert check.judge(evidence_of([kept])) == check.judge(Evidence(runs=(run,)))


def test_runs_of_a_test_share_what_is_of_the_test(tmp_path, make):
    """It stands once, with the first run that has a request; a run without any is in its place."""
    first, second, third = (
        make.run([make.record(0)]),
        make.run([], plan=LoadPlan(rate=0.25), start_ns=7),
        make.run([make.record(0), make.record(1)]),
    )
    whole = Evidence(runs=(first, second, third))
    found = read(tmp_path / "x.jsonl", lines(first, whole=whole, unsent={2: second}) + lines(third, 3))
    assert [(run.number, len(run.result.requests)) for run in found] == [(1, 1), (2, 0), (3, 2)]
    assert (found[1].result.plan, found[1].result.start_ns) == (second.plan, 7)
    assert found[0].test is found[1].test is found[2].test
    assert found[0].test.runs == (1, 0, 2)
    check = build(Latency, "latency", (), {"p50_ms": 120})
    assert check.judge(evidence_of(found)) == check.judge(whole)


def test_answers_stand_there_only_if_they_are_to_be_kept(tmp_path, make):
    """Read on demand, from the line; secrets are out of them, and out of errors and names."""
    texts = Answers("the key is s3cret", "never", "deep\u2028\ud800")
    records = [
        make.record(0, text_at=0, texts=texts, served_by="s3cret-1"),
        make.record(1, text_at=NOT_KEPT, texts=texts),
        make.record(2, text_at=None, output_chars=0, texts=texts),
        make.record(3, text_at=2, texts=texts),
        make.failed(4, error="no s3cret"),
    ]
    run = make.run(records)

    def redact(text: str) -> str:
        return text.replace("s3cret", "***")

    written = one_run(run, redact=redact, keep_text=True)
    assert b"s3cret" not in written
    told = [json.loads(line)["text"] for line in written.splitlines()]
    assert told == ["the key is ***", None, "", "deep\u2028\ufffd", ""]
    (kept,) = read(tmp_path / "x.jsonl", written)
    assert [kept.result.requests[n].text for n in (0, 2, 3)] == ["the key is ***", "", "deep\u2028\ufffd"]
    assert kept.result.requests[4].error == "no ***"
    assert kept.result.requests[0].served_by == "***-1"
    (silent,) = read(tmp_path / "y.jsonl", one_run(run, redact=redact))
    assert b"text" not in (tmp_path / "y.jsonl").read_bytes().partition(b"\n")[2]
    with pytest.raises(SetupError) as told_why:
        silent.result.requests[0].text  # noqa: B018 - reads it
    path = tmp_path / "y.jsonl"
    assert str(told_why.value) == (f"this answer is not in {path}: {MEASURED_AGAIN} and --llm-keep-text")


def test_texts_of_log_and_request_are_kept_with_the_answers_alone(tmp_path, make):
    """A line of the log may hold a prompt, a field of the request's body a system prompt, a path a name."""
    log = LogWindow(lines=(LogLine(at_ns=4, since_ns=3, text="a prompt", pattern="oom"),), counts={"oom": 1})
    run = make.run([make.record(0)], plan=LoadPlan(params={"user": "me"}, trace="/home/me/calls.jsonl"))
    written = {
        keep: lines(run, whole=Evidence(log=log, keep_text=keep), keep_text=keep) for keep in (False, True)
    }
    for private in (b"a prompt", b'"me"'):
        assert private not in written[False]
        assert private in written[True]
    assert b"/home" not in written[True]
    (kept,) = read(tmp_path / "x.jsonl", written[False])
    (again,) = read(tmp_path / "y.jsonl", one_run(kept.result))
    assert again.result.plan == kept.result.plan


@pytest.fixture
def file(make):
    """Two runs of one test, of three requests and of two."""
    a, b = (make.run([make.record(n) for n in range(count)]) for count in (3, 2))
    return lines(a, whole=Evidence(runs=(a, b))) + lines(b, 2)


def test_a_file_that_is_none_of_ours_or_not_whole_is_refused(file, tmp_path):
    """With the line, what is wrong with it, and what to do."""
    path, rows = tmp_path / "x.jsonl", file.splitlines(keepends=True)
    anew = f"copy the file anew, or {MEASURED_AGAIN}"
    assert refusal(path, b"") == f"x.jsonl has no request in it: {MEASURED_AGAIN}"
    assert refusal(path, b"".join(rows)[:-9]) == (
        f"x.jsonl, line 5, is cut off; the 4 lines before it are whole: {anew}"
    )
    assert refusal(path, rows[0][:50]) == f"x.jsonl, line 1, is cut off; no line is whole: {anew}"
    assert refusal(path, b"".join(rows[:-1])) == (
        f"x.jsonl is not whole: 1 of the 2 requests of run 2 of {NODEID} are there: {anew}"
    )
    assert refusal(path, rows[0] + b"{oops}\n" + rows[2]) == (
        f"x.jsonl, line 2, is damaged (JSON is malformed: object keys must be strings (byte 1)): {anew}"
    )
    assert refusal(path, rows[0] + rows[1].replace(b'"id":1', b'"id":"1"')) == (
        f"x.jsonl, line 2, is damaged (Expected `int`, got `str` - at `$.id`): {anew}"
    )
    assert refusal(path, rows[0].replace(b'"users":2', b'"users":"2"')) == (
        f"x.jsonl, line 1, is damaged (Expected `int`, got `str` - at `$.plan.users` of about): {anew}"
    )
    assert refusal(path, file.replace(b'"at_ns":[0,', b'"at_ns":[', 1)) == (
        f"x.jsonl, line 1, is damaged (the samples of the server are lists of different lengths): {anew}"
    )
    assert refusal(path, b'{"prompt": "hi"}\n') == (
        "x.jsonl, line 1, is not the first request of a run: it was not written by --llm-report x.jsonl, or"
        f" its beginning is missing: {anew}"
    )
    assert refusal(path, file.replace(b"requests/1", b"requests/2")) == (
        "x.jsonl, line 1, is of schema 'pytest-llmserve/requests/2', and 'pytest-llmserve/requests/1' is"
        f" needed: read it with the version of pytest-llmserve that wrote it, or {MEASURED_AGAIN}"
    )
    assert refusal(path, rows[0] + rows[4]) == (
        f"x.jsonl, line 2, is of run 2 of {NODEID}, whose first line is not before it: {anew}"
    )
    assert refusal(path, b"".join(rows[3:])) == (
        f"x.jsonl, line 1, is of run 2 of {NODEID}, and its test's first run is not before it: {anew}"
    )
    missing = tmp_path / "none.jsonl"
    with pytest.raises(SetupError) as told:
        read_runs(missing)
    assert str(told.value) == f"{missing} cannot be read: No such file or directory; check the path"


def test_shards_are_joined_in_the_order_of_the_tests(tmp_path):
    """Each once, however many documents an attempt has; what came from a lost worker stands behind."""
    target = tmp_path / "deep" / "x.jsonl"
    paths = [shard_path(target, f"s1-9-{n}") for n in range(4)]
    second, first, orphan = (
        write_shard([path], lambda text=text: [text])
        for path, text in zip(paths, (b"2\n", b"1\n", b"3\n"), strict=False)
    )
    shard_path(target, "other-9-1").write_bytes(b"of another session\n")
    paths[3].with_suffix(".unfinished").write_bytes(b"4")
    found = shards_of(target, "s1")
    assert found == [*paths[:3], paths[3].with_suffix(".unfinished")]
    assert whole_shards(found) == paths[:3]
    tests = [{"_shard": first}, {}, {"_shard": first}, {"_shard": second}]
    write({"tests": tests, "_orphans": [first["path"], orphan["path"]]}, target)
    assert target.read_bytes() == b"1\n2\n3\n"
    write({"tests": []}, target)
    assert target.read_bytes() == b""


def test_a_shard_that_cannot_be_written_leaves_nothing_and_is_told_with_the_report(tmp_path):
    """The next place is tried first; a full disk names the file."""
    (tmp_path / "taken").write_text("")
    no, yes = tmp_path / "taken" / "x.part", tmp_path / "x.part"

    def whole() -> Iterator[bytes]:
        yield b"1\n"

    def disk_full() -> Iterator[bytes]:
        yield b"1\n"
        raise OSError(errno.ENOSPC, "No space left on device")

    assert write_shard([no, yes], whole) == {"path": str(yes), "fault": None}
    yes.unlink()
    shard = write_shard([yes], disk_full)
    assert shard == {"path": None, "fault": [errno.ENOSPC, "No space left on device", str(yes)]}
    (tmp_path / "x.jsonl").write_text("the old one")
    with pytest.raises(OSError, match="No space left on device") as told:
        write({"tests": [{"_shard": shard}]}, tmp_path / "x.jsonl")
    assert told.value.filename == str(yes)
    assert (tmp_path / "x.jsonl").read_text() == "the old one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken", "x.jsonl"]

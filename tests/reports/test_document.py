"""The JSON document of a run, on literal values."""

from __future__ import annotations

import json
import math

import msgspec
import pytest

from pytest_llmserve.domain.record import NOT_KEPT, Step
from pytest_llmserve.domain.samples import CountChange, ResourceWindow
from pytest_llmserve.reports.document import run_document, verdict_documents
from pytest_llmserve.reports.environment import environment


def strict_json(value):
    return json.loads(json.dumps(value, allow_nan=False))


def test_a_run_is_plain_data(make):
    """Counts, figures, plan with its line, resources."""
    found = strict_json(run_document(make.run([make.record(0), make.record(1, 200), make.failed(2)]), False))
    assert found["counts"] == {
        "sent": 3,
        "ok": 2,
        "failed": 1,
        "dropped": 0,
        "warm_up": 0,
        "by_outcome": {"ok": 2, "http_5xx": 1},
    }
    assert found["plan"]["text"] == "2 users, 3 requests"
    assert found["plan"]["seed"] == 3
    assert found["metrics"]["ttft_ms"]["p50"] == 20.0
    assert found["metrics"]["e2e_ms"]["min"] == 100.0
    assert found["throughput"]["requests_per_s"] == 0.2
    assert found["resources"]["rss_mb_peak"] == 130.0
    assert found["generator"]["clock"] == "kernel"
    assert found["generator"]["send_lag_ms"] == {"p50": 0.1, "p99": 0.4, "max": 0.5}
    assert found["stages"][0]["n"] == 3


def test_an_empty_run_has_no_nan(make):
    """What is not known is null."""
    run = make.run([], steady_ns=(0, 0), resources=ResourceWindow(missing="not watched"))
    found = strict_json(run_document(run, False))
    assert found["metrics"]["e2e_ms"]["p99"] is None
    assert found["resources"] == {"n": 0, "missing": "not watched"}
    assert found["counts"]["sent"] == 0


def test_a_failed_run_has_no_infinity(make):
    """Quantiles that failed requests reach are null."""
    found = strict_json(run_document(make.run([make.failed(i) for i in range(3)]), False))
    assert found["metrics"]["e2e_ms"]["p50"] is None


def test_texts_are_in_it_only_when_kept(make):
    """One row a request, with the answer."""
    run = make.run([make.record(0)])
    assert "requests" not in run_document(run, keep_text=False)
    (row,) = strict_json(run_document(run, keep_text=True))["requests"]
    assert (row["id"], row["outcome"], row["text"], row["steps"]) == (0, "ok", "", [])
    step = Step(sent_ns=1, first_byte_ns=2, end_ns=3, status=200)
    ordered = make.run([msgspec.structs.replace(make.record(0), steps=(step,))])
    assert strict_json(run_document(ordered, keep_text=True))["requests"][0]["steps"] == [
        {"sent_ns": 1, "first_byte_ns": 2, "end_ns": 3, "status": 200}
    ]
    over = make.run([msgspec.structs.replace(make.record(0), text_at=NOT_KEPT)])
    assert strict_json(run_document(over, keep_text=True))["requests"][0]["text"] is None


def test_instants_of_the_generator_count_from_the_start_of_the_run(make):
    """When the server was gone, and when it was itself late."""
    run = make.run([make.record(0)], start_ns=2_000_000_000)
    assert run_document(run, False)["generator"]["server_gone_s"] is None
    assert run_document(run, False)["generator"]["stalls"] == []
    stalls = [(5_500_000_000, 5_750_000_000)]
    run.generator = msgspec.structs.replace(run.generator, server_gone_ns=9_250_000_000, stalls_ns=stalls)
    found = strict_json(run_document(run, False))["generator"]
    assert (found["server_gone_s"], found["stalls"]) == (7.25, [{"at_s": 3.5, "until_s": 3.75}])
    assert not {"server_gone_ns", "stalls_ns"} & set(found)


def test_single_requests_count_from_the_start_of_the_test(make):
    """And from the run's own beginning where the test's is not known; plots only where they are drawn."""
    run = make.run([make.record(3), make.failed(4)], start_ns=1_000_000_000)
    told = run_document(run, False, zero_ns=-6_000_000_000)
    assert (told["slowest"][0]["at_s"], told["errors"][0]["first_s"]) == (9.0, 10.1)
    assert "_charts" not in told
    alone = run_document(run, False, charts=True)
    assert (alone["slowest"][0]["at_s"], alone["_charts"]["start_s"]) == (2.0, 0.0)


def test_memory_that_was_kept_is_told(make):
    """In MB, and what was read."""
    change = make.memory(measure="RSS", before=(10_000_000,) * 3, after=(12_500_000,) * 3)
    resources = strict_json(run_document(make.run([make.record(0)], memory=change), False))["resources"]
    assert (resources["retained_mb"], resources["memory_measure"]) == (2.5, "RSS")
    lost = make.memory(measure="RSS", missing="process 17 ended")
    resources = strict_json(run_document(make.run([make.record(0)], memory=lost), False))["resources"]
    assert (resources["retained_mb"], resources["memory_missing"]) == (None, "process 17 ended")


def test_what_was_left_open_is_told(make):
    """Null where it is not known."""
    counts = (
        CountChange(figure="open_files", before=(12,), after=(14, 13)),
        CountChange(figure="threads", missing="process 17 ended"),
    )
    change = make.memory(measure="RSS", before=(1,) * 3, after=(1,) * 3, counts=counts)
    resources = strict_json(run_document(make.run([make.record(0)], memory=change), False))["resources"]
    assert (resources["open_files_kept"], resources["threads_kept"]) == (1, None)


def test_gpu_memory_that_was_kept_is_told(make):
    """And what was read, or why nothing was."""
    gpu = make.memory(measure="GPU memory", before=(7_000_000,) * 3, after=(9_000_000,) * 3)
    change = make.memory(measure="RSS", before=(10_000_000,) * 3, after=(12_500_000,) * 3, gpu=gpu)
    window = ResourceWindow(gpu="GPU memory of the server's processes")
    run = make.run([make.record(0)], memory=change, resources=window)
    resources = strict_json(run_document(run, False))["resources"]
    assert (resources["gpu_retained_mb"], resources["gpu_memory_missing"]) == (2.0, None)
    assert resources["gpu_measure"] == "GPU memory of the server's processes"
    assert "absent" not in resources
    lost = make.run([make.record(0)], resources=ResourceWindow(absent={"gpu": "no driver"}))
    resources = strict_json(run_document(lost, False))["resources"]
    assert resources["absent"] == {"gpu": "no driver"}
    assert "gpu_measure" not in resources


@pytest.mark.parametrize("estimate", [None, math.inf, math.nan])
def test_a_verdict_without_a_finite_estimate_is_null(make, estimate):
    """With its sentence as it was printed."""
    (found,) = strict_json(verdict_documents([make.verdict(estimate=estimate, interval=(1.0, math.inf))]))
    assert found["estimate"] is None
    assert found["interval"] == [1.0, None]
    assert found["sentence"] == "p99 e2e latency 2431 ms > 2200 ms"
    assert (found["limit"], found["n"], found["confidence"], found["verdict"]) == (2200.0, 812, 0.95, "fail")


def test_the_environment_says_where_and_how():
    """Machine, versions, and the definitions of the figures."""
    found = strict_json(environment())
    assert found["cpus"] >= 1
    assert found["python"].startswith("3.")
    assert "ttft" in " ".join(found["definitions"]).lower()


def test_tasks_have_a_row_each(make):
    """Of their own requests alone, as the run's view of a task has them; without tasks there are no rows."""
    records = [make.record(0, task="chat"), make.record(1, 300, task="chat"), make.failed(2)]
    records += [make.record(3, 200, task="emotion")]
    run = make.run([msgspec.structs.replace(r, task=r.task or "emotion") for r in records])
    assert strict_json(run_document(run, False))["tasks"] == [
        {
            "task": "chat",
            "n": 2,
            "failed": 0,
            "ttft_ms": {"p50": 20.0, "p95": 20.0},
            "e2e_ms": {"p50": 100.0, "p95": 300.0},
        },
        {
            "task": "emotion",
            "n": 2,
            "failed": 1,
            "ttft_ms": {"p50": 20.0, "p95": None},
            "e2e_ms": {"p50": 200.0, "p95": None},
        },
    ]
    assert "tasks" not in run_document(make.run([make.record(0)]), False)
    with pytest.raises(ValueError, match=r"^no task 'chot' in this run: its tasks are chat, emotion$"):
        run.by_task("chot")
    with pytest.raises(ValueError, match=r"^no task 'chat' in this run: it has no tasks$"):
        make.run([make.record(0)]).by_task("chat")

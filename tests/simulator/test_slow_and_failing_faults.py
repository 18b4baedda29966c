"""Faults of time and of status: which requests they hit, and how."""

from __future__ import annotations

import statistics

import pytest

from pytest_llmserve.simulator.faults.fault import FOR_EVER_MS


def late(request):
    return request.late_ms


def failed(request):
    return request.status != 200


def test_a_slow_tail_is_each_nth(faults):
    assert faults.hit(faults.make("slow_tail", every=4, ms=50), 12, late) == [4, 8, 12]


def test_decay_adds_up(faults):
    """Request 100 waits a hundred times as long as the first, by and large."""
    even, uneven = faults.make("slow_decay", ms=2, spread=0), faults.make("slow_decay", ms=2)
    request = faults.asked(100)
    even.asked(request)
    assert request.late_ms == 200
    waits = []
    for seed in range(300):
        uneven.seed, request = seed, faults.asked(100)
        uneven.asked(request)
        waits.append(request.late_ms)
    assert 180 < statistics.median(waits) < 220
    assert min(waits) < 100 < 400 < max(waits)


def test_startup_errors_are_over_in_time(faults):
    """A share of the requests before, none after."""
    fault = faults.make("startup_errors", seconds=5, share=0.3)
    early, later = ([faults.asked(n, since_s=s) for n in range(300)] for s in (4.9, 5.0))
    for request in [*early, *later]:
        fault.asked(request)
    assert 60 < sum(map(failed, early)) < 120
    assert {request.status for request in early} == {200, 503}
    assert not any(map(failed, later))


def test_errors_come_in_bursts(faults):
    """So many in a row at the end of each round; none at its beginning."""
    assert faults.hit(faults.make("error_bursts", every=5, length=2), 10, failed) == [4, 5, 9, 10]


def test_a_blank_prompt_hangs(faults):
    """Nothing and spaces do; a body without any prompt is another fault."""
    fault = faults.make("hang_on_empty")
    requests = [faults.asked(prompt=prompt) for prompt in ("", " \n", "a")]
    requests.append(faults.asked(prompt="", body={"model": "m"}))
    for request in requests:
        fault.asked(request)
    assert [late(request) for request in requests] == [FOR_EVER_MS, FOR_EVER_MS, 0, 0]


def test_a_nul_is_a_500(faults):
    """In the prompt or in the system message."""
    fault = faults.make("error_500_on_nul")
    requests = [faults.asked(prompt="a\0b"), faults.asked(system="\0"), faults.asked(prompt="a\\0b")]
    for request in requests:
        fault.asked(request)
    assert [request.status for request in requests] == [500, 500, 200]


@pytest.mark.parametrize(
    ("name", "deadly", "harmless"),
    [
        ("crash_on_oversize", {"prompt": "a" * 8001}, {"prompt": "a" * 8000}),
        ("float_parameter_crash", {"body": {"top_k": 1.5}}, {"body": {"top_k": 1, "top_p": 0.5}}),
    ],
)
def test_what_kills_and_what_does_not(faults, monkeypatch, name, deadly, harmless):
    ended = []
    monkeypatch.setattr("os._exit", ended.append)
    fault = faults.make(name)
    fault.asked(faults.asked(**harmless))
    fault.asked(faults.asked(body=None))
    assert ended == []
    fault.asked(faults.asked(**deadly))
    assert ended == [139]


def test_a_slot_is_lost_with_each_nth_client(faults):
    fault = faults.make("slot_lost_on_disconnect", every=3)
    assert [fault.left(faults.asked()) for _ in range(6)] == [True, True, False, True, True, False]


def test_a_deadlock_needs_so_many(faults):
    fault = faults.make("deadlock", at=8)
    assert [fault.deadlocks(active) for active in (1, 7, 8, 9)] == [False, False, True, True]


def test_the_log_alone_tells_of_memory(faults, capsys):
    """On stderr, at each Nth request, which is answered as ever."""
    fault = faults.make("out_of_memory_log", every=2)
    assert faults.hit(fault, 4, lambda request: request.status != 200 or request.late_ms) == []
    line = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
    assert capsys.readouterr().err == line * 2

"""Workers' records and summaries to one result: the steady window and the generator's health."""

import math

import pytest

from pytest_llmserve.domain.errors import GeneratorError
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.load.merge import health, merge, saturation, steady_window
from pytest_llmserve.load.shard import ShardWriter


def record(request_id, sent_ns, end_ns=None, **given):
    rest = dict.fromkeys(RequestRecord.__struct_fields__)
    rest |= {"id": request_id, "sent_ns": sent_ns, "end_ns": end_ns, "scheduled_ns": 0, "token_ns": ()}
    rest |= {"outcome": "ok", "input_chars": 0, "output_chars": 0, "warm_up": False, "attempt": 1}
    rest |= {"stage": 0, "from_schedule": False, "steps": (), "turn": 0}
    del rest["texts"]
    return RequestRecord(**{**rest, **given})


def test_the_window_begins_after_warm_up_and_ramp_up_and_ends_with_the_first_drain(summary):
    plan = LoadPlan(users=2, duration_ns=900, warm_up_ns=100, ramp_up_ns=300)
    summaries = [summary(start_ns=1000, drain_ns=1950), summary(start_ns=1010, drain_ns=1900)]
    assert steady_window(plan, [], summaries) == (1300, 1900)


def test_a_window_is_never_negative(summary):
    plan = LoadPlan(users=2, duration_ns=900, ramp_up_ns=800)
    assert steady_window(plan, [], [summary(start_ns=0, drain_ns=500)]) == (800, 800)


def test_a_run_of_two_requests_a_user_counts_as_a_whole(summary):
    """Such a run is never steady: all of it counts, from the first send through the last end."""
    records = [record(1, 20, 50), record(2, 30, 70), record(3, 5, 90, warm_up=True), record(4, None, 99)]
    plan = LoadPlan(users=2, requests=4)
    assert steady_window(plan, records, [summary(drain_ns=40)]) == (20, 71)
    more = LoadPlan(users=2, requests=5)
    assert steady_window(more, records, [summary(drain_ns=40)]) == (0, 40)


def test_the_window_of_an_open_loop_is_its_schedule(summary):
    """Also of few requests."""
    plan = LoadPlan(rate=2.0, requests=2, warm_up_ns=100)
    records = [record(1, 120, 5000), record(2, 130, 7000)]
    assert steady_window(plan, records, [summary(start_ns=10, drain_ns=900)]) == (110, 900)


@pytest.mark.parametrize(
    ("records", "window"),
    [
        pytest.param([(20, 50), (30, 90)], (20, 91), id="one burst, answered after its end"),
        pytest.param([(20, 39), (30, 90)], (10, 40), id="something has ended by its end"),
        pytest.param([(20, 40), (30, 90)], (20, 91), id="at its very end is after it"),
        pytest.param([(None, None)], (10, 40), id="nothing was sent"),
    ],
)
def test_a_trace_over_before_anything_has_ended_counts_as_a_whole(records, window, summary):
    plan = LoadPlan(trace="calls.jsonl")
    found = [record(number, *stamps) for number, stamps in enumerate(records)]
    found.append(record(9, 11, 12, warm_up=True))
    assert steady_window(plan, found, [summary(start_ns=10, drain_ns=40)]) == window
    by_rate = LoadPlan(rate=5.0, requests=2)
    assert steady_window(by_rate, found, [summary(start_ns=10, drain_ns=40)]) == (10, 40)


def test_nothing_sent_has_an_empty_window(summary):
    assert steady_window(LoadPlan(users=2, requests=0), [], [summary()]) == (0, 0)
    assert steady_window(LoadPlan(users=2), [], []) == (0, 0)


@pytest.mark.parametrize(
    ("cpu_percent", "lag_ms", "cause"),
    [
        (90.0, 5.0, None),
        (90.6, 0.0, ("a load worker used 91 % of a core", "add --llm-load-workers")),
        (
            10.0,
            5.01,
            (
                "requests were sent 5.0 ms late (p99)",
                "add --llm-load-workers, or run on a quieter machine",
            ),
        ),
        (99.0, 50.0, ("a load worker used 99 % of a core", "add --llm-load-workers")),
    ],
)
def test_saturation_under_at_and_over_its_limits(cpu_percent, lag_ms, cause):
    assert saturation(cpu_percent, lag_ms) == cause


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"gc_pauses": 3, "gc_longest_ns": 5_000_000}, None),
        (
            {"gc_pauses": 3, "gc_longest_ns": 7_140_000},
            "garbage collection stopped a load worker for 7.1 ms",
        ),
        ({"receive_lag_ns": [9_000_000], "stamped_reads": 5000}, None),
        (
            {"receive_lag_ns": [9_000_000], "stamped_reads": 5000, "unstamped_reads": 6},
            "answers were read 9.0 ms late (p99), and not all were stamped by the kernel",
        ),
    ],
)
def test_pauses_and_late_reads_saturate_too(summary, told, sentence):
    """Late reads only where the kernel has not stamped the arrivals."""
    assert health([summary(), summary(**told)], []).saturated == sentence


def test_health_tells_pauses_and_pinning_of_all_workers(summary):
    calm, paused = (
        summary(pinned=True),
        summary(pinned=True, gc_pauses=2, gc_longest_ns=1_500_000),
    )
    found = health([calm, paused], [])
    assert (found.pinned, found.gc_pauses, found.gc_longest_ms) == (True, 2, 1.5)
    assert not health([calm, summary()], []).pinned
    assert not health([], []).pinned


@pytest.mark.parametrize(
    ("lag_ms", "late_share", "accused"),
    [
        pytest.param(5.1, 0.0101, True, id="late by a share of the latency that counts"),
        pytest.param(5.1, 0.01, False, id="late against the clock, not against the latency"),
        pytest.param(4.9, 0.5, False, id="a quick server: late by a share, not by the clock"),
        pytest.param(5.1, None, True, id="open loop: latency holds the lateness"),
    ],
)
def test_late_sends_of_a_closed_loop_matter_by_their_share_of_the_latency(lag_ms, late_share, accused):
    sentence = "requests were sent 5.1 ms late (p99)" if accused else None
    found = saturation(10.0, lag_ms, late_share)
    assert (found and found.why) == sentence


def test_a_busy_core_is_told_however_small_the_lateness():
    found = saturation(91.0, 6.0, 0.001)
    assert found is not None
    assert found.why == "a load worker used 91 % of a core"


@pytest.mark.parametrize(
    ("dropped", "arrivals", "accused"),
    [(0, 0, False), (0, 10, False), (1, 999, True), (1, 1000, False), (4, 4000, False), (5, 4000, True)],
)
def test_more_than_a_thousandth_dropped_saturates(dropped, arrivals, accused):
    """One of a small run; a few of a large one are forgiven."""
    sentence = f"dropped {dropped} of {arrivals} arrivals: they could not be sent when they were due"
    cause = (sentence, "lower the rate, or add --llm-load-workers")
    assert saturation(10.0, 0.1, None, dropped, arrivals) == (cause if accused else None)


def test_lateness_is_a_share_of_the_median_latency_in_a_closed_loop_only(summary):
    """Of what was answered; None where nothing was."""
    lagging = summary(end_ns=1_000_000_000, send_lag_ns=[6_000_000] * 50)
    slow = [record(i, 0, 1_200_000_000) for i in range(3)] + [record(9, 0, 1, outcome="http_5xx")]
    assert health([lagging], slow).late_share == 0.005
    assert health([lagging], slow).saturated is None
    assert health([lagging], slow, is_open=True).late_share is None
    assert health([lagging], slow, is_open=True).saturated == "requests were sent 6.0 ms late (p99)"
    assert health([lagging], []).late_share is None


def test_health_takes_the_busiest_worker_and_all_delays(summary):
    calm = summary(end_ns=1_000_000_000, cpu_ns=100_000_000, send_lag_ns=[1_000_000], chunks=5)
    busy = summary(end_ns=1_000_000_000, cpu_ns=950_000_000, send_lag_ns=[3_000_000], chunks=7)
    found = health([calm, busy], [])
    assert (found.cpu_percent, found.cpu_s, found.chunks, found.workers) == (95.0, 1.05, 12, 2)
    assert found.send_lag_ms == {"p50": 1.0, "p99": 3.0, "max": 3.0}
    assert found.receive_lag_ms == {}
    assert found.saturated == "a load worker used 95 % of a core"


@pytest.mark.parametrize(
    ("stamped", "unstamped", "clock"),
    [(0, 0, "user"), (0, 9, "user"), (5000, 0, "kernel"), (5000, 5, "kernel"), (5000, 6, "mixed")],
)
def test_health_names_the_clock(summary, stamped, unstamped, clock):
    assert health([summary(stamped_reads=stamped, unstamped_reads=unstamped)], []).clock == clock


def test_health_tells_the_first_reason_that_is_not_complete(summary):
    assert health([summary(), summary()], []).ended == "complete"
    assert health([summary(), summary(ended="gave up")], []).ended == "gave up"
    assert health([summary(ended="decided"), summary()], []).ended == "decided"
    assert health([summary(ended="decided"), summary(ended="gave up")], []).ended == "gave up"


def test_requests_sent_again_are_those_of_all_workers(summary):
    assert health([summary(resent=2), summary(resent=3)], []).resent == 5


def test_stalls_are_those_of_all_workers(summary):
    """What overlaps is one."""
    far = 9_000_000_000
    found = health([summary(stalls_ns=[(5, 9)]), summary(stalls_ns=[(2, 6), (far, far + 1)])], [])
    assert found.stalls_ns == [(2, 9), (far, far + 1)]


def test_one_worker_that_lost_the_server_is_enough(summary):
    """The others may only have been at their end already."""
    lost = health([summary(), summary(server_gone="from 4 h on", gone_ns=7)], [])
    assert (lost.server_gone, lost.server_gone_ns) == ("from 4 h on", 7)
    assert health([summary(), summary()], []).server_gone is None


def test_merge_orders_by_sending(tmp_path, summary):
    """Workers' records are put together by their send stamps; one never sent, by its schedule."""
    shards = [str(tmp_path / "a"), str(tmp_path / "b")]
    for index, (shard, sent) in enumerate(zip(shards, ((30, 10), (20, None)), strict=True)):
        writer = ShardWriter(shard)
        for place, sent_ns in enumerate(sent):
            at = writer.add_text(f"{index}-{place}")
            writer.add(record(index * 2 + place, sent_ns, scheduled_ns=25, text_at=at))
        writer.close()
    result = merge(LoadPlan(users=2, requests=4), shards, [summary(), summary()])
    assert [r.sent_ns for r in result.requests] == [10, 20, None, 30]
    assert [r.text for r in result.requests] == ["0-1", "1-0", "1-1", "0-0"]


def test_merge_knows_when_the_run_began(tmp_path, summary):
    """Which the window of a short closed loop does not tell."""
    writer = ShardWriter(str(tmp_path / "a"))
    writer.add(record(0, 170, 190))
    writer.close()
    plan = LoadPlan(users=2, requests=1, warm_up_ns=50)
    result = merge(plan, [str(tmp_path / "a")], [summary(start_ns=100), summary(start_ns=101)])
    assert (result.start_ns, result.steady_ns) == (100, (170, 191))


def test_merge_without_records_has_no_figures(tmp_path, summary):
    ShardWriter(str(tmp_path / "a")).close()
    result = merge(LoadPlan(users=2, requests=0), [str(tmp_path / "a")], [summary()])
    assert result.requests == []
    assert all(map(math.isnan, (result.ttft_ms.p99, result.error_rate, result.throughput.requests_per_s)))


def test_merge_is_void_without_a_shard(tmp_path, summary):
    with pytest.raises(GeneratorError, match="a load worker left no records"):
        merge(LoadPlan(users=1), [str(tmp_path / "gone")], [summary()])


def test_arrivals_without_a_free_connection_are_told_from_late_ones():
    """They are the server's doing; where both are many, our own comes first."""
    found = saturation(10.0, 0.1, None, 40, 60, crowded=40)
    assert found == (
        "dropped 40 of 60 arrivals: too many requests were unanswered at once",
        "the server is slower than the rate: lower the rate, or raise max_concurrency=",
    )
    found = saturation(10.0, 0.1, None, 41, 60, crowded=40)
    assert found is not None
    assert found.why == "dropped 41 of 60 arrivals: they could not be sent when they were due"
    assert saturation(10.0, 0.1, None, 1, 2000, crowded=1) is None

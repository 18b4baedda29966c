"""When the load generator, not the server, is to blame."""

from __future__ import annotations

import pytest

from pytest_llmserve.checks.generator import SLOWER_OR_WIDER, bottleneck
from pytest_llmserve.domain.result import GeneratorHealth


def said(reason: str, remedy: str = "add --llm-load-workers, or run on a quieter machine") -> str:
    return f"the load generator was the bottleneck ({reason}); {remedy}"


@pytest.mark.parametrize(
    ("lag_ms", "limit_ms", "reason"),
    [
        (4.9, None, None),
        (5.0, None, None),
        (5.1, None, "send lag p99 5.1 ms"),
        (5.1, 100_000, "send lag p99 5.1 ms"),
        (3.0, 300, None),
        (3.1, 300, "send lag p99 3.1 ms, over 1% of the limit"),
        (0.5, 10, None),
        (0.6, 10, "send lag p99 0.6 ms, over 1% of the limit"),
    ],
)
def test_late_sends_spoil_a_run_beyond_5_ms_or_1_percent_of_the_limit(lag_ms, limit_ms, reason):
    health = GeneratorHealth(send_lag_ms={"p50": 0.1, "p99": lag_ms})
    assert bottleneck(health, limit_ms) == (None if reason is None else said(reason))


@pytest.mark.parametrize(
    ("found_ms", "health", "accused"),
    [
        (107.1, GeneratorHealth(send_lag_ms={"p99": 7.0}, saturated="sent late"), False),
        (106.9, GeneratorHealth(send_lag_ms={"p99": 7.0}, saturated="sent late"), True),
        (90.0, GeneratorHealth(send_lag_ms={"p99": 7.0}), True),
        (float("inf"), GeneratorHealth(send_lag_ms={"p99": 7.0}), False),
        (500.0, GeneratorHealth(send_lag_ms={"p99": 7.0}, cpu_percent=95.0), True),
        (500.0, GeneratorHealth(send_lag_ms={"p99": 7.0}, dropped=3), True),
    ],
)
def test_late_sends_do_not_excuse_a_server_over_its_limit_by_more(found_ms, health, accused):
    assert (bottleneck(health, 100.0, found_ms) is not None) == accused


@pytest.mark.parametrize(
    ("lag_ms", "late_share", "limit_ms", "accused"),
    [
        pytest.param(8.0, 0.010, None, False, id="over 5 ms, of no weight in a closed loop"),
        pytest.param(8.0, 0.011, None, True, id="over 5 ms and over 1 % of the latency"),
        pytest.param(8.0, None, None, True, id="over 5 ms in an open loop"),
        pytest.param(3.1, 0.002, 300, False, id="over 1 % of a TTFT limit, of no weight in the load"),
        pytest.param(3.1, 0.02, 300, True, id="over 1 % of limit and latency"),
    ],
)
def test_in_a_closed_loop_lateness_is_held_against_the_latency(lag_ms, late_share, limit_ms, accused):
    """Latency counts from the send there: late sends only make the load less than planned."""
    health = GeneratorHealth(send_lag_ms={"p99": lag_ms}, late_share=late_share)
    assert (bottleneck(health, limit_ms) is not None) == accused


@pytest.mark.parametrize(
    ("cpu", "reason"),
    [(90.0, None), (90.5, "busiest load worker at 90% CPU"), (99.7, "busiest load worker at 100% CPU")],
)
def test_a_busy_core_spoils_a_run_beyond_90_percent(cpu, reason):
    expected = None if reason is None else said(reason, "add --llm-load-workers")
    assert bottleneck(GeneratorHealth(cpu_percent=cpu)) == expected


def test_the_generators_own_word_comes_first():
    health = GeneratorHealth(saturated="send lag 40 ms", remedy="wait", cpu_percent=99.0)
    assert bottleneck(health, 100) == said("send lag 40 ms", "wait")


@pytest.mark.parametrize(
    ("health", "reason", "remedy"),
    [
        (
            GeneratorHealth(dropped=3, saturated="dropped 3 of 9 arrivals", remedy="lower the rate"),
            "dropped 3 of 9 arrivals",
            "lower the rate",
        ),
        (
            GeneratorHealth(clock="mixed", receive_lag_ms={"p99": 5.1}),
            "answers were read 5.1 ms late (p99), and not all were stamped by the kernel",
            "run on a quieter machine, or add --llm-load-workers",
        ),
        (
            GeneratorHealth(gc_longest_ms=5.1),
            "garbage collection stopped a load worker for 5.1 ms",
            "add --llm-load-workers, so that each keeps less",
        ),
    ],
)
def test_every_cause_names_the_change_to_make(health, reason, remedy):
    """Also where the server is over its limit by far: these lengthen latencies by themselves."""
    assert bottleneck(health, 100.0, 500.0) == said(reason, remedy)


@pytest.mark.parametrize(
    "health",
    [
        GeneratorHealth(clock="kernel", receive_lag_ms={"p99": 50.0}),
        GeneratorHealth(clock="user", receive_lag_ms={"p99": 5.0}),
        GeneratorHealth(clock="kernel", receive_lag_ms={"p99": 4.9}, merged_share=0.9),
        GeneratorHealth(clock="kernel", receive_lag_ms={"p99": 50.0}, merged_share=0.01),
        GeneratorHealth(gc_pauses=9, gc_longest_ms=5.0),
    ],
)
def test_late_reads_the_kernel_stamped_and_short_pauses_spoil_nothing(health):
    assert bottleneck(health, 100.0) is None


def test_a_healthy_generator_is_not_accused():
    assert bottleneck(GeneratorHealth(), 1.0) is None


def test_dropped_arrivals_that_the_engine_forgives_are_no_bottleneck():
    """Too few to matter, by its own word: see load.merge.saturation."""
    assert bottleneck(GeneratorHealth(dropped=3), 100.0, 90.0) is None


def test_a_server_slower_than_the_rate_is_not_excused():
    """No connection was free as it had not answered: over its limit it fails, within it nothing is known."""
    why = "dropped 40 of 60 arrivals: too many requests were unanswered at once"
    health = GeneratorHealth(dropped=40, crowded=40, saturated=why, remedy=SLOWER_OR_WIDER)
    assert bottleneck(health, 100.0, 500.0) is None
    assert bottleneck(health, 100.0, 90.0) == (
        f"the load was not sent as planned ({why});"
        " the server is slower than the rate: lower the rate, or raise max_concurrency="
    )
    late_too = GeneratorHealth(dropped=41, crowded=40, saturated=why, remedy=SLOWER_OR_WIDER)
    assert bottleneck(late_too, 100.0, 500.0) is not None


@pytest.mark.parametrize(
    ("lag_ms", "merged_share", "limit_ms", "found_ms", "accused"),
    [
        (5.1, 0.02, 100.0, 90.0, True),
        (5.1, 0.02, 100.0, 103.0, True),
        (5.1, 0.02, 100.0, 106.0, False),
        (5.1, 0.01, 100.0, 90.0, False),
        (5.0, 0.02, 100.0, 90.0, False),
        (9.0, 0.02, 1000.0, 990.0, False),
        (11.0, 0.02, 1000.0, 990.0, True),
        (11.0, 0.02, 1000.0, 2000.0, False),
    ],
)
def test_events_read_together_count_by_what_they_may_falsify(
    lag_ms, merged_share, limit_ms, found_ms, accused
):
    """By less than a hundredth of the limit, or far over it, they excuse nobody."""
    health = GeneratorHealth(clock="kernel", receive_lag_ms={"p99": lag_ms}, merged_share=merged_share)
    why = f"answers were read {lag_ms:.1f} ms late (p99), 2% of events together with others"
    assert bottleneck(health, limit_ms, found_ms) == (said(why) if accused else None)

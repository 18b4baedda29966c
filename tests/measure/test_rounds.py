"""Short runs put together: one load that goes on, its stamps without a gap."""

from __future__ import annotations

import msgspec
import pytest

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.measured import measurement_of
from pytest_llmserve.checks.no_degradation import NoDegradation
from pytest_llmserve.domain.marks import nonce, turn_id, turn_of
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import RequestRecord, Step
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult
from pytest_llmserve.domain.samples import ResourceSample, ResourceWindow
from pytest_llmserve.domain.units import NS_PER_MS, NS_PER_S
from pytest_llmserve.measure.rounds import joined, round_plan

PLAN = LoadPlan(users=2, requests=100, warm_up_ns=NS_PER_S, seed=7, salt="00000001")


def record(number, sent_ms, e2e_ms, **more):
    end_ns = (sent_ms + e2e_ms) * NS_PER_MS
    return RequestRecord(
        **{
            "id": number,
            "scheduled_ns": sent_ms * NS_PER_MS,
            "sent_ns": sent_ms * NS_PER_MS,
            "first_byte_ns": end_ns - 2 * NS_PER_MS,
            "end_ns": end_ns,
            "token_ns": (end_ns - 2 * NS_PER_MS, end_ns),
            "status": 200,
            "outcome": "ok",
            "error": None,
            "input_chars": 1,
            "output_chars": 1,
            "output_tokens": 2,
            "tokens_from": "usage",
            "finish_reason": "stop",
            **more,
        }
    )


def a_round(begin_s, **health):
    """One user, an answer every 100 ms through a second; the last ends 50 ms after its window."""
    begin_ms = begin_s * 1000
    measured = [record(i + 2, begin_ms + i * 100 + (50 if i == 9 else 0), 100) for i in range(10)]
    warm = [record(i, begin_ms - 200 + i * 100, 100, warm_up=True) for i in range(2)]
    sample = ResourceSample(at_ns=begin_s * NS_PER_S, processes=1, rss_bytes=begin_s)
    return LoadResult(
        LoadPlan(users=1, requests=10, warm_up_ns=200 * NS_PER_MS),
        [*warm, *measured],
        GeneratorHealth(**{"clock": "kernel", **health}),
        (begin_s * NS_PER_S, (begin_s + 1) * NS_PER_S),
        ResourceWindow(samples=(sample,)),
        prompts="abc",
    )


def test_rounds_are_parts_of_the_whole():
    """Requests, seconds and warm-up; the first round has the whole warm-up."""
    plan = LoadPlan(users=2, requests=10, duration_ns=8 * NS_PER_S, warm_up_ns=4 * NS_PER_S)
    plans = [round_plan(plan, number, 4, number) for number in range(4)]
    assert [p.requests for p in plans] == [3, 3, 2, 2]
    assert {p.duration_ns for p in plans} == {2 * NS_PER_S}
    assert [p.warm_up_ns // NS_PER_S for p in plans] == [4, 1, 1, 1]
    assert {p.users for p in plans} == {2}


def test_rounds_draw_their_prompts_and_nonces_anew():
    """No nonce of one block comes again in another; the same block has the same ones."""
    first, second = round_plan(PLAN, 0, 4, 0), round_plan(PLAN, 1, 4, 1)
    assert first.seed != second.seed
    nonces = [{nonce(p.salt, i) for i in range(5000)} for p in (first, second)]
    assert not nonces[0] & nonces[1]
    assert round_plan(PLAN, 1, 4, 1) == second
    assert round_plan(LoadPlan(requests=4), 1, 4, 1).salt is None


def test_joined_rounds_follow_each_other_without_a_gap():
    """What lay between them, the other side's turn, is in no figure."""
    found = joined(PLAN, [a_round(10), a_round(20), a_round(35)])
    assert len(found.requests) == 30
    assert found.steady_ns == (10 * NS_PER_S, 13 * NS_PER_S)
    sent_ms = sorted(r.sent_ns // NS_PER_MS for r in found.requests)
    assert sent_ms[:10] == [10_000 + i * 100 for i in range(9)] + [10_950]
    assert sent_ms[10:12] == [11_000, 11_100]
    assert found.duration_s == pytest.approx(3.05)


def test_latencies_are_those_of_the_rounds():
    """Only instants are moved, all stamps of a request by the same."""
    found = joined(PLAN, [a_round(10), a_round(20)])
    assert {r.e2e_ms for r in found.requests} == {100.0}
    assert {r.ttft_ms for r in found.requests} == {98.0}
    assert {tuple(r.token_ns.gaps_ns) for r in found.requests} == {(2 * NS_PER_MS,)}
    assert all(r.first_byte_ns == r.first_token_ns for r in found.requests)


def test_the_steps_of_a_request_move_with_it():
    """The order of an answer lies as long before its fetch as it did."""
    at_ns = 9 * NS_PER_S
    step = Step(sent_ns=at_ns, first_byte_ns=at_ns + 1, end_ns=at_ns + 2, status=200)
    one = a_round(10)
    ordered = [msgspec.structs.replace(r, steps=(step,), sent_ns=at_ns) for r in one.everything]
    second = LoadResult(one.plan, ordered, one.generator, one.steady_ns, one.resources)
    moved = joined(PLAN, [a_round(30), second]).requests[-1]
    assert moved.sent_ns != at_ns
    assert [(s.sent_ns, s.first_byte_ns, s.end_ns, s.status) for s in moved.steps] == [
        (moved.sent_ns, moved.sent_ns + 1, moved.sent_ns + 2, 200)
    ]


def test_throughput_is_that_of_a_load_that_goes_on():
    """10 requests in each second of window: what ends after a window ends in the next one."""
    found = joined(PLAN, [a_round(begin) for begin in (10, 20, 30, 40)])
    assert found.throughput.requests_per_s == pytest.approx(10, rel=0.05)
    assert sum(measurement_of(found).rates["requests_per_s"]) / 8 == pytest.approx(10, rel=0.05)


def test_warm_ups_lie_before_all_windows():
    """One after the other, as long as they were together, and in no figure."""
    found = joined(PLAN, [a_round(10), a_round(20)])
    assert len(found.warm_up) == 4
    assert found.plan.warm_up_ns == 400 * NS_PER_MS
    assert found.start_ns == 9_600 * NS_PER_MS
    assert [r.sent_ns // NS_PER_MS for r in found.warm_up] == [9_600, 9_700, 9_800, 9_900]
    assert found.stages[0]["label"] == "warm-up"
    assert found.stages[0]["requests_per_s"] == pytest.approx(7.5, abs=2.6)


def test_no_two_requests_have_one_id():
    """Of all rounds together: the last try of each request is found by it."""
    found = joined(PLAN, [a_round(10), a_round(20)])
    assert len({r.id for r in found.everything}) == 24


def test_the_servers_samples_of_all_rounds_are_there():
    """And the prompts' hash."""
    found = joined(PLAN, [a_round(10), a_round(20)])
    assert [s.rss_bytes for s in found.resources.samples] == [10, 20]
    assert found.prompts == "abc"


def test_counts_are_added_and_delays_weighed():
    """One late round among four does not make all late; the longest delay is told."""
    lag = {"p50": 1.0, "p99": 2.0, "max": 3.0}
    late = {"p50": 1.0, "p99": 6.0, "max": 9.0}
    rounds = [a_round(i, send_lag_ms=late if i == 2 else lag, chunks=10, resent=1) for i in (1, 2, 3, 4)]
    found = joined(PLAN, rounds).generator
    assert found.send_lag_ms == {"p50": 1.0, "p99": 3.0, "max": 9.0}
    assert (found.chunks, found.resent, found.clock) == (40, 4, "kernel")
    assert found.saturated is None


def test_a_generator_that_was_late_throughout_says_so():
    """By the rule of a single run."""
    lag = {"p50": 1.0, "p99": 8.0, "max": 9.0}
    found = joined(PLAN, [a_round(i, send_lag_ms=lag, late_share=0.1) for i in (1, 2)]).generator
    assert found.saturated == "requests were sent 8.0 ms late (p99)"


def test_a_round_that_ended_early_is_told():
    """And a server that was gone in it."""
    health = {"ended": "gave up", "server_gone": "from 2 s on"}
    found = joined(PLAN, [a_round(1), a_round(2, **health)]).generator
    assert (found.ended, found.server_gone) == ("gave up", "from 2 s on")


def test_fewer_rounds_than_planned_say_why():
    """Even where each of them was whole; without a single one there is an empty run."""
    assert joined(PLAN, [a_round(1)], "b was gone").generator.ended == "b was gone"
    none = joined(PLAN, [], "b was gone")
    assert (none.requests, none.generator.ended) == ([], "b was gone")


def test_a_joined_run_says_of_how_many_rounds_it_is():
    """What reads records and samples together must know; a run of its own says None."""
    assert joined(PLAN, [a_round(10), a_round(20)]).rounds == 2
    assert joined(PLAN, [], "b was gone").rounds == 0
    assert a_round(10).rounds is None


@pytest.mark.parametrize(("slower_ms", "verdict"), [(0, "pass"), (5, "fail")])
def test_quarters_of_a_joined_run_are_in_the_order_of_time(slower_ms, verdict):
    """A server that is 5 ms slower in each of 8 rounds is found; a steady one not."""
    rounds = []
    for number in range(8):
        begin_ms = 10_000 * (number + 1)
        each = [record(i, begin_ms + i * 10, 20 + number * slower_ms + i % 3) for i in range(100)]
        window_ns = (begin_ms * NS_PER_MS, (begin_ms + 1000) * NS_PER_MS)
        rounds.append(LoadResult(PLAN, each, GeneratorHealth(), window_ns))
    found = joined(PLAN, rounds)
    p50 = NoDegradation(percent=20).judge(Evidence(runs=(found,)))[0]
    assert p50.verdict == verdict, p50.sentence


def test_conversations_of_several_rounds_stay_apart():
    """Whatever the turns they came to: only the low half of an id tells conversations apart."""
    rounds = [a_round(10), a_round(20)]
    for run in rounds:
        ids = [turn_id(2, 3), turn_id(17, 1), turn_id(20, 1)]
        run.requests[-1:] = [record(each, 10_500, 5, turn=turn_of(each)) for each in ids]
    found = joined(PLAN, rounds).requests
    assert len({r.id for r in found}) == len(found)
    assert len({r.conversation for r in found} - {None}) == 6

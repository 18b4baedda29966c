"""What counts of a load that goes on: the requests begun up to an instant, the slow ones among them."""

from __future__ import annotations

from array import array

import pytest

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.load.job import Strain
from pytest_llmserve.load.shard import ShardWriter
from pytest_llmserve.load.so_far import Prefix, SoFar

BEGIN_NS = 1000


def record(request_id, at_ns=None, outcome="ok", **given):
    rest = dict.fromkeys(RequestRecord.__struct_fields__)
    del rest["texts"]
    at_ns = 10 * request_id if at_ns is None else at_ns
    rest |= {"id": request_id, "scheduled_ns": at_ns, "sent_ns": at_ns, "end_ns": at_ns + 5, "token_ns": ()}
    rest |= {"outcome": outcome, "input_chars": 0, "output_chars": 0, "warm_up": False, "attempt": 1}
    rest |= {"stage": 0, "from_schedule": False, "steps": (), "turn": 0}
    return RequestRecord(**{**rest, **given})


def ids(prefix):
    return [r.id for r in prefix.records_until(10**9)]


def test_a_request_under_way_holds_back_all_that_began_after_it():
    """However many of those have ended: it is the slow ones that would be missing."""
    prefix = Prefix(index=0, step=1)
    prefix.add([record(0), record(1), *(record(n) for n in range(3, 50))])
    assert (ids(prefix), prefix.until_ns) == ([0, 1], 10)
    prefix.add([record(2, end_ns=10**6)])
    assert (ids(prefix), prefix.until_ns) == (list(range(50)), 490)


def test_a_worker_has_every_so_manieth_number():
    prefix = Prefix(index=1, step=3)
    prefix.add([record(7), record(1), record(10)])
    assert ids(prefix) == [1]
    prefix.add([record(4)])
    assert ids(prefix) == [1, 4, 7, 10]


@pytest.mark.parametrize("last", [record(1, 500, attempt=3, outcome="reset"), record(1, 500, attempt=2)])
def test_a_request_that_will_be_tried_again_is_not_over(last):
    """It is with its last try, or a good one; all its tries then count where its first was due."""
    prefix = Prefix(index=0, step=1, retries=2)
    tries = [record(1, outcome="reset"), record(1, 200, attempt=2, outcome="http_5xx"), last]
    prefix.add([record(0), record(2)])
    for each in tries[: last.attempt - 1]:
        prefix.add([each])
        assert ids(prefix) == [0]
    prefix.add([last])
    assert ids(prefix) == [0, *[1] * last.attempt, 2]
    assert prefix.measured_until(10) == len({r.id for r in prefix.records_until(10)}) == 2
    assert len(prefix.records_until(10)) == 1 + last.attempt


def test_an_arrival_that_was_dropped_is_over():
    """Nobody tries it again, though retries are allowed."""
    prefix = Prefix(index=0, step=1, retries=2)
    prefix.add([record(0, outcome="dropped", sent_ns=None), record(1)])
    assert ids(prefix) == [0, 1]


def test_turns_that_were_due_out_of_order_do_not_hide_each_other():
    """Two answers that came together: the later request was due a moment before the earlier."""
    prefix = Prefix(index=0, step=1)
    prefix.add([record(0, 100), record(1, 99), record(2, 200)])
    assert [r.id for r in prefix.records_until(99)] == []
    assert [r.id for r in prefix.records_until(100)] == [0, 1]


@pytest.fixture
def writers(tmp_path):
    """Two workers' shards."""
    made = [ShardWriter(str(tmp_path / f"shard-{index}")) for index in range(2)]
    yield made
    for writer in made:
        writer.close()


@pytest.fixture
def so_far(writers, tmp_path):
    """``so_far(users=2)``: what is known of a run by these workers."""

    def make(**plan):
        plan = LoadPlan(workers=2, duration_ns=10**9, until="decided", **plan)
        return SoFar(plan, [str(tmp_path / f"shard-{index}") for index in range(2)], BEGIN_NS)

    return make


def write(writer, *records):
    for each in records:
        writer.add(each)
    writer.flush()


def test_all_workers_count_up_to_the_instant_the_last_of_them_has_reached(writers, so_far):
    """Else one worker's slow time would be missing while another's quick time counts."""
    known = so_far(users=2)
    write(writers[0], *(record(n, 2000 + n) for n in range(0, 40, 2)))
    assert known.count() == 0
    write(writers[1], record(1, 2001), record(3, 2011), record(5, 2030))
    assert known.count() == 16 + 3
    result = known.result()
    assert [r.scheduled_ns for r in result.requests] == sorted(
        [*(2000 + n for n in range(0, 31, 2)), 2001, 2011, 2030]
    )
    assert (result.start_ns, result.steady_ns, result.plan.until) == (BEGIN_NS, (BEGIN_NS, 2030), "decided")
    assert (result.generator.ended, result.generator.saturated) == ("complete", None)


def test_warm_up_is_known_and_not_counted(writers, so_far):
    known = so_far(users=2, warm_up_ns=100, ramp_up_ns=300)
    for index, writer in enumerate(writers):
        write(writer, record(index, 1010, warm_up=True), record(index + 2, 1500), record(index + 4, 1600))
    assert known.count() == 4
    result = known.result()
    assert (len(result.warm_up), len(result.requests), result.steady_ns) == (2, 4, (BEGIN_NS + 300, 1600))


def test_nothing_known_is_an_empty_result(so_far):
    known = so_far(users=2, warm_up_ns=100)
    assert (known.count(), known.result().requests) == (0, [])
    assert known.result().steady_ns == (1100, 1100)


def test_what_has_been_read_is_not_read_again(writers, so_far, monkeypatch):
    """A look costs what is new, not what is known."""
    known, read = so_far(users=2), []
    add = Prefix.add
    monkeypatch.setattr(Prefix, "add", lambda self, new: (read.append(len(new)), add(self, new)))
    for number in range(0, 20, 2):
        write(writers[0], record(number, 2000 + number))
        write(writers[1], record(number + 1, 2001 + number))
        assert known.count() == number + 1
    assert sum(read) == 20


def strain(lag_ms=(), cpu_percent=10, crowded=0):
    delays = array("q", (round(ms * 1_000_000) for ms in lag_ms))
    elapsed_ns = 2_000_000_000
    cpu_ns = elapsed_ns * cpu_percent // 100
    return Strain(elapsed_ns=elapsed_ns, cpu_ns=cpu_ns, crowded=crowded, send_lag_ns=delays.tobytes())


def test_late_sends_are_known_while_the_load_runs_and_may_be_outlived(writers, so_far):
    """One late moment among few requests leaves a verdict open; among many it is no more than that."""
    known = so_far(rate=50.0)
    for index, writer in enumerate(writers):
        write(writer, *(record(n, 2000 + n) for n in range(index, 1000, 2)))
    known.hear(0, strain([0.1] * 50 + [20.0]))
    known.hear(1, strain([0.1] * 50))
    known.count()
    health = known.result().generator
    assert (health.saturated, health.send_lag_ms["max"]) == ("requests were sent 20.0 ms late (p99)", 20)
    known.hear(1, strain([0.1] * 5000))
    assert known.result().generator.saturated is None


def test_a_busy_core_is_known_while_the_load_runs(writers, so_far):
    known = so_far(users=2)
    known.hear(0, strain(cpu_percent=20))
    known.hear(1, strain(cpu_percent=95))
    assert known.result().generator.saturated == "a load worker used 95 % of a core"
    known.hear(1, strain(cpu_percent=60))
    assert (known.result().generator.saturated, known.result().generator.cpu_percent) == (None, 60)


@pytest.mark.parametrize(
    ("crowded", "dropped", "why"),
    [
        (0, 4, "dropped 4 of 20 arrivals: they could not be sent when they were due"),
        (4, 4, "dropped 4 of 20 arrivals: too many requests were unanswered at once"),
        (9, 4, "dropped 4 of 20 arrivals: too many requests were unanswered at once"),
        (9, 0, None),
    ],
)
def test_dropped_arrivals_are_known_while_the_load_runs(crowded, dropped, why, writers, so_far):
    """Of those crowded out, some are not among the known records yet."""
    known = so_far(rate=50.0)
    for index, writer in enumerate(writers):
        outcomes = ["dropped" if n < dropped else "ok" for n in range(20)]
        write(writer, *(record(n, 2000, outcomes[n]) for n in range(index, 20, 2)))
        known.hear(index, strain(crowded=crowded if index else 0))
    known.count()
    generator = known.result().generator
    assert (generator.dropped, generator.saturated) == (dropped, why)

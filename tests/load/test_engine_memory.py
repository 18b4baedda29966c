"""What the engine keeps does not grow with the length of a run, and what it hands over is small."""

import gc
import time
import tracemalloc
from collections import Counter
from types import SimpleNamespace

import msgspec
import pytest

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.latency import Latency
from pytest_llmserve.domain.addresses import addresses_of
from pytest_llmserve.domain.exchange import COMPLETE, Ending
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.samples import ResourceWindow
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.load import loop as room
from pytest_llmserve.load.flight import Flight, Landed, Recorder
from pytest_llmserve.load.http import Answer
from pytest_llmserve.load.job import Job
from pytest_llmserve.load.loop import LoadLoop
from pytest_llmserve.load.merge import merge
from pytest_llmserve.load.shard import ShardWriter, read_shard

CHUNKS = 100


@pytest.fixture
def loop_in_this_process(tmp_path):
    """``make(url, users=8, requests=200)`` -> a worker's loop that has not run, writing to `tmp_path`."""
    writers = []

    def make(url, **plan):
        target = msgspec.structs.replace(target_from_url(url), api="openai-chat", model="mock")
        job = Job(
            target=target,
            plan=LoadPlan(**{"salt": "5eed0000", **plan}),
            prompts_json=b'["Say something."]',
            tasks=[],
            address=addresses_of(target)[0],
            index=0,
            shard=str(tmp_path / "shard"),
        )
        writers.append(ShardWriter(job.shard))
        return LoadLoop(job, Recorder(target, writers[-1]))

    yield make
    for writer in writers:
        writer.close()


@pytest.fixture
def _without_collector():
    """As in a worker while it measures."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def ours():
    """Number of living objects of each class of the package."""
    kinds = (type(each) for each in gc.get_objects())
    return Counter(kind.__name__ for kind in kinds if str(kind.__module__).startswith("pytest_llmserve"))


@pytest.mark.usefixtures("_without_collector")
@pytest.mark.parametrize(
    "faults",
    [(), ("--fail-every", 3), ("--truncate-after", 2), ("--error-in-stream", 1)],
    ids=["healthy", "errors", "cut off", "errors in streams"],
)
def test_a_request_that_is_over_leaves_nothing_behind(mock_server, loop_in_this_process, faults):
    """No circle for the collector, which is off, and no object kept beside its record."""
    server = mock_server("--ttft-ms", 1, "--itl-ms", 0, "--tokens", 3, *faults)
    kept, garbage = [], []
    for requests in (100, 1500):
        loop = loop_in_this_process(server.url, users=8, requests=requests)
        loop.run(time.monotonic_ns())
        loop.decode_rest()
        assert loop.landed == requests
        kept.append(ours())
        garbage.append(gc.collect())
        del loop
        gc.collect()
    assert garbage[1] <= garbage[0] + 20, "circles that only the collector would find"
    assert {kind: count for kind, count in (kept[1] - kept[0]).items() if count > 20} == {}


def test_answers_to_decode_do_not_pile_up(loop_in_this_process):
    """However many end in each turn of a loop that finds no pause."""
    loop = loop_in_this_process("http://127.0.0.1:9", users=1, requests=1)
    seen = []

    def land_three(timeout_s):
        seen.append(loop.recorder.waiting_bytes)
        if len(seen) == 60:
            loop.cut("enough")
        for number in range(3):
            answer = Answer()
            answer.status, answer.stamps, answer.pieces = 200, [5], [b"x" * 1_000_000]
            answer.release()
            flight = Flight(number, b"", 0, None, False)
            loop.recorder.keep(Landed(flight, answer, Ending(COMPLETE), 9))
        return True, False

    def nothing(*_):
        return None

    loop.transport.close()
    loop.transport = SimpleNamespace(
        wait=land_three, carry=nothing, expire=nothing, next_limit_ns=nothing, close=nothing, under_way=list
    )
    loop.run(time.monotonic_ns())
    assert max(seen) <= room._MOST_BACKLOG_BYTES
    assert min(seen[10:]) >= room._BACKLOG_BYTES, "a burst is not decoded before its time"


@pytest.fixture
def shard_of(tmp_path):
    """``shard_of(20_000)`` -> the prefix of a shard with so many answers of 100 chunks."""

    def make(count):
        writer = ShardWriter(str(tmp_path / f"of-{count}"))
        stamps = tuple(10**15 + 20_000_000 * chunk for chunk in range(CHUNKS))
        fields = {"status": 200, "outcome": "ok", "error": None, "input_chars": 500, "output_chars": 600}
        fields |= {"output_tokens": CHUNKS, "tokens_from": "usage", "finish_reason": "stop"}
        for number in range(count):
            start_ns = 10**15 + number
            times = {"scheduled_ns": start_ns, "sent_ns": start_ns + 1, "first_byte_ns": start_ns + 2}
            times |= {"end_ns": stamps[-1] + number, "token_ns": stamps}
            writer.add(RequestRecord(id=number, text_at=writer.add_text("a"), **times, **fields))
        writer.close()
        return str(tmp_path / f"of-{count}")

    return make


@pytest.fixture
def traced():
    """Bytes that a function's result takes, and took at most: ``traced(make) -> (result, now, peak)``."""

    def measure(make):
        tracemalloc.start()
        try:
            found = make()
            return (found, *tracemalloc.get_traced_memory())
        finally:
            tracemalloc.stop()

    return measure


def test_a_record_of_a_hundred_chunks_takes_a_kilobyte(shard_of, traced):
    """As plain numbers it would take five, a long run a gigabyte. Its stamps take 400 bytes of it."""
    shard = shard_of(5_000)
    records, now, peak = traced(lambda: list(read_shard(shard)))
    assert len(records) == 5_000
    assert now / 5_000 < 1_150
    assert peak - now < 1_000_000, "the file is read as a stream"


def test_records_are_no_business_of_the_collector(shard_of):
    """Hundreds of thousands of objects that it knew of would be walked through at each of its rounds."""
    shard = shard_of(2_000)
    gc.collect()
    before = len(gc.get_objects())
    records = list(read_shard(shard))
    assert len(gc.get_objects()) - before < 50
    assert not gc.is_tracked(records[0])
    assert not gc.is_tracked(records[0].token_ns)


def test_words_of_records_are_shared(shard_of):
    records = list(read_shard(shard_of(3)))
    for name in ("outcome", "tokens_from", "finish_reason", "texts"):
        assert len({id(getattr(record, name)) for record in records}) == 1


def test_merging_takes_time_by_the_record(shard_of, summary):
    """Eight times as many records take about eight times as long: CPU time of this process, best of three."""
    took = []
    for count in (2_000, 16_000):
        shard, tries = shard_of(count), []
        for _ in range(3):
            began = time.process_time()
            result = merge(LoadPlan(users=1, duration_ns=1), [shard], [summary()])
            tries.append(time.process_time() - began)
            assert len(result.requests) == count
        took.append(min(tries))
    assert took[1] < 24 * took[0]


def test_figures_and_verdicts_of_gaps_take_bytes_not_objects(shard_of, summary, traced):
    """A float of its own would take 32 bytes a gap, four times over; all together are allowed 16."""
    check = Latency(itl_p99_ms=25, itl_p50_ms=25, itl_mean_ms=25, itl_max_ms=25)

    def figures(result):
        evidence = Evidence((result,), ResourceWindow(missing="not watched"), None)
        return result.itl_ms.summary(), check.judge(evidence)

    few, many = (merge(LoadPlan(users=1), [shard_of(count)], [summary()]) for count in (600, 10_000))
    figures(few)  # what is imported for it is not counted
    (found, verdicts), now, peak = traced(lambda: figures(many))
    gaps = 10_000 * (CHUNKS - 1)
    assert (found["n"], found["p99"], [v.verdict for v in verdicts]) == (gaps, 20.0, ["pass"] * 4)
    assert peak < 16 * gaps + 8_000_000, "blocks take a few megabytes, however many gaps there are"
    assert now < 6 * gaps

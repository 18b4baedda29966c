"""The diagnosis on literal figures: it speaks where they show a shortage, and nowhere else."""

from __future__ import annotations

import itertools
import random

import msgspec
import pytest

from pytest_llmserve.checks.diagnosis import diagnose, memory
from pytest_llmserve.domain.liveness import Fate
from pytest_llmserve.domain.log import LogWindow
from pytest_llmserve.domain.plan import LoadPlan, Stage
from pytest_llmserve.domain.result import GeneratorHealth
from pytest_llmserve.domain.samples import GpuSample, ResourceSample, ResourceWindow
from pytest_llmserve.domain.units import BYTES_PER_MB, NS_PER_MS, NS_PER_S
from pytest_llmserve.domain.verdict import Verdict
from pytest_llmserve.observe.log_patterns import DEFAULTS

L4_MB = 24_000
NAMES = {0: "GPU 0 (NVIDIA L4)", 1: "GPU 1 (NVIDIA L4)"}


def gpu(memory_percent=None, percent=None, index=0, **more):
    memory = None if memory_percent is None else round(memory_percent * L4_MB * 10_000)
    total = None if memory is None else L4_MB * BYTES_PER_MB
    return GpuSample(index=index, memory_bytes=memory, total_bytes=total, percent=percent, **more)


def watched(seconds=10, cores=4, **fields):
    """A sample a second; a list gives each reading, anything else stands for all of them."""

    def at(value, second):
        return value[second] if isinstance(value, list) else value

    samples = tuple(
        ResourceSample(at_ns=second * NS_PER_S, **{name: at(value, second) for name, value in fields.items()})
        for second in range(seconds + 1)
    )
    return ResourceWindow(samples=samples, gpu_names=NAMES, cores=cores)


def course(*values, seconds=10):
    """Readings that go evenly through `values`, the last one at the end."""
    return [
        values[min(second * len(values) // (seconds + 1), len(values) - 1)] for second in range(seconds + 1)
    ]


def whats(window, *runs):
    return [found.what for found in diagnose(runs, window)]


def only(window, *runs):
    (found,) = diagnose(runs, window)
    return found


def failing(make, failed, of=1000):
    """A run of which so many requests timed out; sent every 10 ms."""
    return make.run_of([*["timed_out"] * failed, *[1000.0] * (of - failed)])


HEALTHY = {
    "rss_bytes": 1_880 * BYTES_PER_MB,
    "swap_bytes": 0,
    "cpu_percent": 250.0,
    "busiest_percent": 250.0,
    "gpus": (gpu(61.0, 70.0, temperature_c=64.0, throttled=""),),
    "cgroup_bytes": 2_000 * BYTES_PER_MB,
    "cgroup_limit_bytes": 8_000 * BYTES_PER_MB,
    "oom_kills": 3,
    "throttled_ns": 77 * NS_PER_S,
    "running": 4.0,
    "waiting": 0.0,
    "kv_cache_percent": 55.0,
    "host_cpu_percent": 66.0,
    "host_available_bytes": 6_000 * BYTES_PER_MB,
}
"""Counters that were high before the test say nothing of it."""


def test_nothing_is_said_of_a_healthy_run(make):
    """All figures are told, and a test may fail for another reason."""
    assert diagnose([make.run_of([100.0] * 200)], watched(**HEALTHY)) == []
    assert diagnose([failing(make, 500)], watched(**HEALTHY)) == []
    assert diagnose([], watched(**HEALTHY)) == []


def test_nothing_is_said_without_figures(make):
    """No samples, no requests, a single sample of every alarm."""
    assert diagnose([], ResourceWindow(missing="not watched")) == []
    assert diagnose([make.run_of([])], ResourceWindow()) == []
    alarms = {"cpu_percent": 400.0, "gpus": (gpu(99.9, 99.0),), "waiting": 50.0, "kv_cache_percent": 100.0}
    assert diagnose([failing(make, 30)], watched(seconds=0, **alarms)) == []
    two = [sample for sample in watched(**alarms).samples if sample.at_ns in {0, 10 * NS_PER_S}]
    assert diagnose([], ResourceWindow(samples=tuple(two), cores=4)) == []


def test_memory_bound_as_in_the_field(make):
    """50 users on a 24 GB GPU: 2.3 % of requests fail, memory up to 23.8 GB, the GPU 68 % busy."""
    window = watched(gpus=[(gpu(100 * gb / 24, 68.0),) for gb in course(4.2, 6.1, 9.3, 23.8)])
    found = only(window, failing(make, 23))
    assert found.what == "memory-bound"
    assert found.sentence == (
        "GPU 0 (NVIDIA L4) was up to 99.2% full, but busy only 68.0% of the time, and 2.3% of requests"
        " failed: memory ran short before compute did; lower max_tokens or the context length, allow fewer"
        " requests at once, quantize the model or its KV cache, or use a GPU with more memory"
    )
    assert found.figures == {
        "gpu": "GPU 0 (NVIDIA L4)",
        "gpu_memory_percent": 99.17,
        "gpu_percent": 68.0,
        "failed_percent": 2.3,
    }
    assert found.as_json() == {"what": found.what, "sentence": found.sentence, "figures": found.figures}


@pytest.mark.parametrize(
    ("memory", "percent", "failed", "more", "word"),
    [
        pytest.param(95.0, 79.9, 10, {}, "memory-bound", id="at every threshold"),
        pytest.param(94.9, 68.0, 10, {}, None, id="memory is left"),
        pytest.param(99.0, 80.0, 10, {}, None, id="the GPU is busy enough"),
        pytest.param(99.0, 68.0, 9, {}, None, id="reserved from the start, and few requests fail"),
        pytest.param(99.0, 68.0, 0, {"waiting": 1.0}, "memory-bound", id="requests wait"),
        pytest.param(99.0, 68.0, 99, {"kv_cache_percent": 89.0}, None, id="reserved, with room in the cache"),
    ],
)
def test_memory_bound_at_its_thresholds(memory, percent, failed, more, word, make):
    """Memory that a server reserves in advance is no shortage."""
    found = whats(watched(gpus=(gpu(memory, percent),), **more), failing(make, failed))
    assert [what for what in found if what != "queueing"] == ([word] if word else [])


def test_memory_that_grows_until_it_is_full_is_a_shortage_without_failures(make):
    grown = watched(gpus=[(gpu(percent, 60.0),) for percent in course(96.9, 99.0)])
    assert whats(grown, make.run_of([100.0] * 50)) == ["memory-bound"]
    level = watched(gpus=[(gpu(percent, 60.0),) for percent in course(97.1, 99.0)])
    assert whats(level, make.run_of([100.0] * 50)) == []


@pytest.mark.parametrize(("percent", "word"), [(90.0, ["compute-bound"]), (89.9, [])])
def test_a_busy_gpu_is_compute_bound(percent, word, make):
    """The busiest one is named; an idle neighbour makes it no less busy."""
    window = watched(gpus=(gpu(50.0, 3.0), gpu(61.0, percent, index=1)))
    assert whats(window, make.run_of([100.0] * 50)) == word
    if word:
        assert only(window, make.run_of([100.0] * 50)).sentence == (
            "GPU 1 (NVIDIA L4) was busy 90.0% of the time, its memory up to 61.0% full: send it less at once,"
            " generate fewer tokens, take a smaller or quantized model, or add a GPU"
        )


def test_a_gpu_is_judged_by_its_mean_over_time():
    """Readings close together at the start weigh no more than their time."""
    times = [*range(0, 1_000, 25), *range(1_000, 11_000, 1_000)]
    samples = tuple(
        ResourceSample(at_ns=ms * NS_PER_MS, gpus=(gpu(50.0, 100.0 if ms < 1_000 else 85.0),)) for ms in times
    )
    assert whats(ResourceWindow(samples=samples)) == []


@pytest.mark.parametrize(
    ("reason", "share", "word"),
    [
        ("thermal, power cap", 3, ["throttled GPU"]),
        ("thermal", 2, []),
        ("power brake", 11, ["throttled GPU"]),
        ("power cap", 11, []),
    ],
)
def test_a_gpu_that_holds_its_clocks_down(reason, share, word):
    """A quarter of the time; a power cap is how a loaded GPU keeps to its rating."""
    gpus = [
        (gpu(50.0, 70.0, temperature_c=91.0, throttled=reason if at < share else ""),) for at in range(11)
    ]
    window = watched(gpus=gpus)
    assert whats(window) == word
    if word and share == 3:
        assert only(window).sentence == (
            "GPU 0 (NVIDIA L4) held its clocks down for 27.3% of the time (thermal, at up to"
            " 91 °C): see to its cooling and power supply, or it will be slower the longer it works"
        )


@pytest.mark.parametrize(("percent", "cores", "word"), [(360.0, 4, True), (359.0, 4, False), (90.0, 1, True)])
def test_all_cores_busy_is_compute_bound(percent, cores, word, make):
    """A 0.5B model on 4 cores without a GPU."""
    window = watched(cpu_percent=percent, cores=cores)
    assert whats(window, make.run_of([1390.0] * 50)) == (["compute-bound"] if word else [])
    if percent == 360.0:
        assert only(window).sentence == (
            "the server used 3.60 of the 4 cores it may use: send it less at once, generate fewer tokens,"
            " take a smaller or quantized model, or give it more cores or a GPU"
        )


def test_cores_that_are_not_known_are_told_by_the_machine():
    assert whats(watched(cores=None, cpu_percent=380.0, host_cpu_percent=95.0)) == ["compute-bound"]
    assert whats(watched(cores=None, cpu_percent=380.0, host_cpu_percent=94.9)) == []
    assert whats(watched(cores=None, cpu_percent=380.0)) == []


@pytest.mark.parametrize(
    ("changes", "speaks"),
    [
        ({}, True),
        ({"busiest_percent": 89.0}, False),
        ({"busiest_percent": 111.0}, False),
        ({"host_cpu_percent": 76.0}, False),
        ({"cores": 1}, False),
        ({"cpu_percent": 241.0}, False),
        ({"gpus": (gpu(50.0, 60.0),)}, False),
        ({"gpu_bytes": 10}, False),
    ],
)
def test_one_process_at_the_end_of_its_core(changes, speaks):
    """While others idle; never beside a GPU, for which programs wait in busy loops."""
    figures = {"cores": 4, "busiest_percent": 98.0, "cpu_percent": 104.0, "host_cpu_percent": 31.0}
    window = watched(**figures | changes)
    assert ("one worker saturated" in whats(window)) == speaks
    if speaks:
        assert only(window).sentence == (
            "one of the server's processes used 98.0% of a core, all it can with one thread at work, while"
            " the machine was 31.0% busy: start more workers (--workers) or threads (--threads), or move"
            " work off the event loop"
        )


@pytest.mark.parametrize(
    ("used", "machine", "more", "speaks"),
    [
        (80.0, 97.0, {}, True),
        (80.0, 94.0, {}, False),
        (220.0, 97.0, {}, False),
        (25.0, 97.0, {}, True),
        (24.0, 97.0, {}, False),
        (80.0, 97.0, {"gpus": (gpu(50.0, 60.0),)}, False),
    ],
)
def test_a_machine_that_others_keep_busy(used, machine, more, speaks, make):
    """The load generator's own share, here 0.2 cores, is not theirs; a server at rest is not held up."""
    run = make.run_of([9_000.0], healthy=GeneratorHealth(cpu_s=1.8))
    window = watched(cpu_percent=used, host_cpu_percent=machine, **more)
    assert whats(window, run) == (["busy machine"] if speaks else [])
    if used == 80.0 and speaks:
        assert only(window, run).sentence == (
            "the machine was 97.0% busy, but the server had only 0.80 of 4 cores and the load generator 0.20:"
            " other programs took the rest; end them, or test on a machine of its own"
        )


@pytest.mark.parametrize(("seconds", "word"), [(1.0, ["throttled CPU"]), (0.99, [])])
def test_a_quota_that_denies_cpu(seconds, word):
    """A tenth of the time; what was denied before the test does not count."""
    window = watched(throttled_ns=course(50 * NS_PER_S, round((50 + seconds) * NS_PER_S)))
    assert whats(window) == word
    if word:
        assert only(window).sentence == (
            "the server's control group waited 1.00 s for CPU in 10.0 s, denied by its quota: raise the quota"
            " (docker --cpus, resources.limits.cpu), or start no more threads than it allows"
        )


@pytest.mark.parametrize(("grown", "word"), [(100, ["swapping"]), (99, [])])
def test_memory_that_is_swapped_out(grown, word):
    """What lay there before the test does not count."""
    window = watched(swap_bytes=course(500 * BYTES_PER_MB, (500 + grown) * BYTES_PER_MB))
    assert whats(window) == word
    if word:
        assert only(window).sentence.startswith("100 MB of the server's memory were swapped out under load: ")


@pytest.mark.parametrize(("left", "word"), [(255, ["memory of the machine short"]), (256, [])])
def test_a_machine_without_memory(left, word):
    window = watched(
        host_available_bytes=course(900 * BYTES_PER_MB, left * BYTES_PER_MB), rss_bytes=7 * 10**9
    )
    assert whats(window) == word
    if word:
        assert only(window).sentence.startswith(
            "the machine had 255 MB of memory left at the least, of which the server had up to 7000 MB (RSS):"
        )


def test_a_kill_for_want_of_memory():
    """As the control group counts them; first, whatever else is seen."""
    window = watched(
        oom_kills=course(2, 3),
        cgroup_bytes=3_990 * BYTES_PER_MB,
        cgroup_limit_bytes=4_000 * BYTES_PER_MB,
        cpu_percent=400.0,
    )
    first, second = diagnose([], window)
    assert first.sentence == (
        "the kernel ended a process of the server's control group for want of memory (peak 3990 MB, limit"
        " 4000 MB): raise the limit, load a smaller or quantized model, lower max_tokens or the context,"
        " or allow fewer requests at once"
    )
    assert (first.what, second.what) == ("out of memory", "compute-bound")


def test_how_busy_something_was_explains_nothing_of_a_test_without_a_load():
    """Want of memory does."""
    window = watched(oom_kills=course(2, 3), cpu_percent=400.0, host_cpu_percent=100.0)
    assert [told.what for told in diagnose([], window, loaded=False)] == ["out of memory"]


@pytest.mark.parametrize(
    ("error", "what"),
    [
        ("500: CUDA out of memory. Tried to allocate 20.00 MiB", ["out of memory"]),
        ("500: ggml failed to allocate buffer", ["out of memory"]),
        ("500: [Errno 24] Too many open files: '/tmp/x'", ["too many open files"]),
        ("500: out of slots", []),
    ],
)
def test_errors_that_name_their_cause(error, what, make):
    """The server's word for it; the error itself, which may hold a prompt, is not repeated."""
    records = [make.record(n, 100.0) for n in range(9)] + [make.record(9, "http_5xx", error=error)]
    found = diagnose([make.run(records)], watched(open_files=1021))
    assert [one.what for one in found] == what
    assert all(
        "1 of 10 requests failed with an error that says so, first id 9" in one.sentence for one in found
    )
    assert error not in str(found)


_LESS = "load a smaller or quantized model, lower max_tokens or the context, or allow fewer requests at once"


@pytest.mark.parametrize(
    ("counts", "what", "sentence"),
    [
        (
            {"out of memory": 73},
            "out of memory",
            f"73 lines of the server's log tell of memory that could not be had: {_LESS}",
        ),
        (
            {"killed for want of memory": 1, "out of memory": 2},
            "out of memory",
            "1 line of the server's log tells of a process that was killed for want of memory: raise the"
            f" limit, {_LESS}",
        ),
        (
            {"KV cache full": 12},
            "KV cache full",
            "12 lines of the server's log tell of requests for which it had no room: give the cache more"
            " memory (--gpu-memory-utilization), quantize it (--kv-cache-dtype fp8), lower max_tokens or the"
            " context length, or allow fewer requests at once",
        ),
    ],
)
def test_what_the_log_says_is_a_cause(counts, what, sentence, make):
    """Told once, of the whole test, however many runs it has; also of a server that ended."""
    runs, ended = [make.run_of([100.0] * 20)] * 2, Fate("the server's process ended", True)
    (found,) = diagnose(runs, watched(**HEALTHY), log=LogWindow(counts=counts))
    assert (found.what, found.sentence) == (what, sentence)
    assert found.figures == {"log_lines": next(iter(counts.values()))}
    told = diagnose(runs, watched(**HEALTHY), fate=ended, log=LogWindow(counts=counts))
    assert [one.what for one in told] == (["out of memory"] if what == "out of memory" else [])
    assert diagnose(runs, watched(**HEALTHY), log=LogWindow(counts={"traceback": 9, "answer 5xx": 9})) == []


def test_what_the_log_says_is_called_as_its_patterns_are():
    names = {pattern.name for pattern in DEFAULTS}
    assert {memory.KILLED, memory.OUT, memory.CACHE} <= names


@pytest.mark.parametrize(
    ("percents", "word"),
    [
        (course(50.0, 99.0), True),
        ([94.9] * 11, False),
        ([95.0, *[90.0] * 10], False),
        ([95.0, 95.0, *[90.0] * 9], True),
    ],
)
def test_a_full_kv_cache(percents, word):
    """Full for a tenth of the time, not once."""
    window = watched(kv_cache_percent=percents, waiting=0.5)
    assert whats(window) == (["KV cache full"] if word else [])


def test_a_full_kv_cache_tells_the_queue():
    sentence = only(watched(kv_cache_percent=98.0, waiting=[0.0, 7.0, *[0.0] * 9])).sentence
    assert sentence == (
        "95% or more of the server's KV cache was in use for 100% of the time, and up to 7 requests waited:"
        " give the cache more memory (--gpu-memory-utilization), quantize it (--kv-cache-dtype fp8),"
        " lower max_tokens or the context length, or allow fewer requests at once"
    )


@pytest.mark.parametrize(("waiting", "word"), [(1.0, ["queueing"]), (0.9, [])])
def test_a_queue_that_the_server_tells(waiting, word, make):
    """On average over the time: a queue that forms and dissolves is none."""
    level = watched(waiting=waiting, running=4.0)
    assert whats(level, make.run_of([100.0] * 50)) == word
    comes_and_goes = watched(waiting=[2 * waiting, *[2 * waiting, 0.0] * 5], running=4.0)
    assert whats(comes_and_goes, make.run_of([100.0] * 50)) == word
    if word:
        assert only(level).sentence == (
            "requests wait before the server begins them: 1.00 requests on average, 1 at most, waited in its"
            " queue beside 4.00 in work: let it work on more at once if it has room (--max-num-seqs,"
            " --parallel), add a replica, or send less"
        )


def staged(make, low_ms, high_ms, gaps_ms=(10.0, 10.0), each=40, plan=None, **more):
    """Two stages of 2 and 20 users; TTFT and the gaps between tokens of each."""
    stages = (Stage(2, 2, NS_PER_S), Stage(20, 20, NS_PER_S))
    records = [
        make.streamed(number, ttft_ms, [gap_ms] * 4, stage=stage)
        for stage, (ttft_ms, gap_ms) in enumerate(zip((low_ms, high_ms), gaps_ms, strict=True))
        for number in range(stage * each, (stage + 1) * each)
    ]
    return make.run(records, plan=plan or LoadPlan(stages=stages), **more)


def test_first_tokens_that_come_later_with_more_users(make):
    """While those after them do not: they wait for a slot, not for a slower server."""
    found = only(ResourceWindow(), staged(make, 80.0, 1192.0, (14.0, 14.8)))
    assert found.sentence == (
        "requests wait before the server begins them: TTFT p50 rose from 80.0 ms at 2 users to 1192 ms at 20"
        " users, while ITL p50 stayed (14.0 ms, 14.8 ms): let it work on more at once if it has room"
        " (--max-num-seqs, --parallel), add a replica, or send less"
    )
    assert (found.what, found.figures["ttft_p50_ms"]) == ("queueing", 1192.0)


@pytest.mark.parametrize(
    "quiet",
    [
        pytest.param(lambda make: staged(make, 200.0, 399.0), id="not twice as late"),
        pytest.param(lambda make: staged(make, 20.0, 119.0), id="late by less than 100 ms"),
        pytest.param(lambda make: staged(make, 80.0, 900.0, (10.0, 12.6)), id="tokens are slower too"),
        pytest.param(lambda make: staged(make, 80.0, 900.0, each=19), id="too few answers"),
        pytest.param(
            lambda make: staged(make, 80.0, 900.0, healthy=GeneratorHealth(saturated="busy", crowded=1)),
            id="the load was not as planned",
        ),
        pytest.param(
            lambda make: staged(make, 80.0, 900.0, plan=LoadPlan(users=20)), id="the load was always the same"
        ),
    ],
)
def test_first_tokens_that_show_no_queue(quiet, make):
    assert "queueing" not in whats(ResourceWindow(), quiet(make))


def test_a_rate_that_piles_up(make):
    """In open loop first tokens of the last quarter are held against those of the first."""
    run = make.run(
        [make.streamed(n, 80.0 + 10.0 * n, [10.0] * 4) for n in range(200)], plan=LoadPlan(rate=5.0)
    )
    assert "TTFT p50 rose from 320 ms in the first quarter of the run to 1820 ms in the last, while" in (
        only(ResourceWindow(), run).sentence
    )


def test_the_field_report_of_four_cores_is_no_queue(make):
    """2, 8, 16 and 20 users: the median goes from 1280 to 1390 ms. Healthy."""
    stages = tuple(Stage(users, users, NS_PER_S) for users in (2, 8, 16, 20))
    records = [
        make.streamed(n, p50 / 4, [p50 / 4] * 3, stage=n // 50)
        for n, p50 in enumerate(
            itertools.chain.from_iterable([p] * 50 for p in (1280.0, 1310.0, 1350.0, 1390.0))
        )
    ]
    memory = [round(mb * BYTES_PER_MB) for mb in course(1850, 1870, 1880, 1890)]
    window = watched(rss_bytes=memory, cpu_percent=310.0, host_cpu_percent=80.0)
    assert diagnose([make.run(records, plan=LoadPlan(stages=stages))], window) == []


def lengths(make, chars, ttft_of, noise_ms=0.0, **more):
    shaken = random.Random(7)
    records = [
        make.streamed(n, ttft_of(length) + shaken.uniform(0, noise_ms), [5.0] * 3, input_chars=length)
        for n, length in enumerate(make.spread_out(chars))
    ]
    return make.run(records, **more)


def test_first_tokens_that_come_later_for_longer_inputs(make):
    """0.4 ms a character, with noise."""
    run = lengths(make, range(200, 4_200, 20), lambda chars: 40 + 0.4 * chars, noise_ms=100.0)
    found = only(ResourceWindow(), run)
    assert found.what == "prefill-bound"
    assert found.sentence.startswith("TTFT grows with the length of the input: p50 ")
    assert 380 < found.figures["ms_per_1000_chars"] < 420
    assert (
        f"{found.figures['ttft_p50_short_ms']:.0f} ms for its shortest quarter (about 690" in found.sentence
    )


def test_a_cliff_over_the_length_is_found(make):
    """Inputs of 15 to 45 characters take 1.3 s, those over 60 more than 3 s."""
    chars = [*range(15, 45)] * 2 + [*range(61, 121)]
    run = lengths(make, chars, lambda length: 1_300 if length <= 60 else 3_100, noise_ms=200.0)
    assert whats(ResourceWindow(), run) == ["prefill-bound"]


@pytest.mark.parametrize(
    "quiet",
    [
        pytest.param(
            lambda make: lengths(make, range(2_000, 3_000, 5), lambda chars: chars - 1_900), id="no spread"
        ),
        pytest.param(lambda make: lengths(make, range(200, 4_200, 20), lambda _: 300.0, 900.0), id="no law"),
        pytest.param(
            lambda make: lengths(make, range(200, 4_200, 20), lambda chars: 20 + 0.03 * chars),
            id="under 100 ms",
        ),
        pytest.param(
            lambda make: lengths(make, range(200, 4_200, 20), lambda chars: 500 + 0.1 * chars), id="not twice"
        ),
        pytest.param(
            lambda make: lengths(
                make, range(200, 4_200, 20), lambda chars: 20 + 0.2 * chars + 9_000 * (chars % 140 == 0)
            ),
            id="lengths explain little",
        ),
        pytest.param(
            lambda make: lengths(make, range(200, 4_100, 100), lambda chars: chars), id="39 answers"
        ),
        pytest.param(
            lambda make: make.run(
                [make.record(n, 100.0 + 20 * n, input_chars=100 * n) for n in make.spread_out(range(1, 200))]
            ),
            id="answers that came in one piece",
        ),
    ],
)
def test_lengths_that_explain_nothing(quiet, make):
    assert diagnose([quiet(make)], ResourceWindow()) == []


def test_a_long_run_is_thinned_evenly(make):
    """The end of it counts as much as the beginning."""
    run = lengths(make, [200 + n % 4_000 for n in range(12_000)], lambda chars: 40 + 0.4 * chars, 50.0)
    found = only(ResourceWindow(), run)
    assert (found.what, round(found.figures["ms_per_1000_chars"], -1)) == ("prefill-bound", 400)


def test_a_generator_that_was_the_bottleneck_comes_first(make):
    health = GeneratorHealth(saturated="a load worker used 97 % of a core", cpu_percent=97.0)
    run, busy = make.run_of([100.0], healthy=health), watched(cpu_percent=400.0)
    first, second = diagnose([run], busy, [limit("undecided", spoiled=True)])
    assert (first.what, second.what) == ("generator-bound", "compute-bound")
    assert whats(busy, run) == ["compute-bound"]
    assert first.sentence == (
        "the load generator may have been the bottleneck (a load worker used 97 % of a core): what is slow"
        " may not be the server; add --llm-load-workers"
    )


@pytest.mark.parametrize(
    ("late_share", "said"), [(0.099, []), (0.1, ["generator-bound"]), (None, ["generator-bound"])]
)
def test_late_sends_that_explain_little_are_not_told(late_share, said, make):
    """24 ms late where answers take seconds: the verdict is careful, and the server is what is slow."""
    late = {"saturated": "requests were sent 24.5 ms late (p99)", "late_share": late_share}
    run = make.run_of([2000.0], healthy=GeneratorHealth(cpu_percent=3.0, **late))
    assert [found.what for found in diagnose([run], ResourceWindow())] == said
    busy = make.run_of([2000.0], healthy=GeneratorHealth(cpu_percent=95.0, **late))
    assert [found.what for found in diagnose([busy], ResourceWindow())] == ["generator-bound"]


LATE = GeneratorHealth(saturated="requests were sent 5.8 ms late (p99)", cpu_percent=9.0)


def limit(verdict="fail", check="latency", estimate=900.0, **more):
    """A limit that was judged."""
    fields = {"limit": 500.0, "interval": None, "confidence": 0.95, "n": 24, "sentence": "", "what": ""}
    return Verdict(check=check, verdict=verdict, estimate=estimate, **fields, **more)


@pytest.mark.parametrize(
    ("verdicts", "failed", "said"),
    [
        pytest.param([], [], True, id="the test's own assert"),
        pytest.param([limit("pass")], [], True, id="the test's own assert, beside a limit that is kept"),
        pytest.param([limit("undecided", spoiled=True)], [], True, id="a limit says so"),
        pytest.param([limit(check="no_leak")], [], False, id="a leak"),
        pytest.param([limit("undecided", "no_leak")], [], False, id="perhaps a leak"),
        pytest.param([limit()], [], False, id="over the limit by more than sends were late"),
        pytest.param([limit(check="error_rate")], ["refused"], False, id="refused"),
        pytest.param([], ["refused"], False, id="refused, and the test's own assert"),
    ],
)
def test_the_generator_is_accused_only_of_what_it_can_break(verdicts, failed, said, make):
    """It fails no request and fills no memory; and a limit that it could break has asked it."""
    run = make.run_of([100.0, *failed], healthy=LATE)
    found = diagnose([run], ResourceWindow(), verdicts)
    assert [told.what for told in found] == (["generator-bound"] if said else [])


def test_a_server_that_is_gone_accuses_no_client(make):
    """Whether it ended, is silent, or was gone for the load."""
    own = [limit("undecided", spoiled=True)]
    for health in (LATE, GeneratorHealth(saturated="dropped", crowded=1)):
        run, gone = (
            make.run_of(["refused"], healthy=msgspec.structs.replace(health, server_gone=since))
            for since in (None, "from 483 ms on")
        )
        assert len(diagnose([run], ResourceWindow(), own)) == 1
        for fatal in (True, False):
            assert diagnose([run], ResourceWindow(), own, Fate("the server is silent", fatal)) == []
        assert diagnose([gone], ResourceWindow(), own) == []


def test_of_a_server_that_ended_only_what_it_may_have_died_of_is_told(make):
    """How busy it was before is no cause."""
    window = watched(cpu_percent=400.0, waiting=9.0, swap_bytes=course(0, 10**9), oom_kills=course(2, 3))
    ended, silent = Fate("the server's process ended", True), Fate("had not answered", False)
    run = make.run_of([100.0] * 20)
    assert [told.what for told in diagnose([run], window, (), ended)] == ["out of memory", "swapping"]
    assert [told.what for told in diagnose([run], window, (), silent)][2] == "compute-bound"


def test_arrivals_without_a_connection_are_the_servers(make):
    """It is slower than the rate, and the generator is not accused."""
    health = GeneratorHealth(saturated="dropped 2 of 3 arrivals", crowded=2, dropped=2)
    plan = LoadPlan(rate=100.0, max_concurrency=8)
    found = only(ResourceWindow(), make.run_of([100.0, "dropped", "dropped"], healthy=health, plan=plan))
    assert found.what == "slower than the rate"
    assert found.sentence.startswith("2 of 3 arrivals were not sent, as 8 requests were unanswered at once: ")


def test_no_more_than_three_are_told_causes_first(make):
    window = watched(
        kv_cache_percent=99.0,
        waiting=9.0,
        swap_bytes=course(0, 10**9),
        gpus=(gpu(99.0, 60.0),),
        cpu_percent=400.0,
    )
    assert whats(window, failing(make, 100)) == ["KV cache full", "memory-bound", "swapping"]


def test_of_several_runs_the_worst_is_asked_first(make):
    """And named."""
    calm, busy = watched(waiting=0.0), watched(waiting=5.0)
    runs = [
        make.run_of([100.0] * 20, resources=calm),
        make.run_of([900.0] * 20, resources=busy),
        make.run_of([200.0] * 20, resources=watched(waiting=3.0)),
    ]
    assert only(calm, *runs).sentence.endswith("or send less (run 2 of 3)")
    assert "5.00 requests on average" in only(calm, *runs).sentence


def test_only_the_time_under_load_counts(make):
    """Idle before and after: the GPU was busy while it had work."""
    gpus = [(gpu(50.0, 99.0 if 3 <= second <= 7 else 0.0),) for second in range(21)]
    window = watched(seconds=20, gpus=gpus)
    assert whats(window, make.run_of([100.0] * 20, window_ns=(3 * NS_PER_S, 7 * NS_PER_S))) == [
        "compute-bound"
    ]
    assert whats(window) == []

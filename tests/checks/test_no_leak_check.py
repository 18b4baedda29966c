"""The leak check."""

from __future__ import annotations

import re

import msgspec
import pytest

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.no_leak import NoLeak
from pytest_llmserve.domain.errors import MarkerError
from pytest_llmserve.domain.keywords import build
from pytest_llmserve.domain.samples import CountChange, ResourceSample, ResourceWindow
from pytest_llmserve.domain.units import NS_PER_S

BEFORE = [412.0] * 7
READINGS = 40


def course(make, levels, **changes):
    """A run of one request a second that ends with each reading of memory, in MB."""
    samples = tuple(
        ResourceSample(
            at_ns=(second + 1) * NS_PER_S,
            processes=1,
            rss_bytes=round((mb + 30) * 1e6),
            uss_bytes=round(mb * 1e6),
            swap_bytes=0,
        )
        for second, mb in enumerate(levels)
    )
    records = [make.record(n, 5.0, sent_ns=(n + 1) * NS_PER_S - 5_000_000) for n in range(len(levels))]
    return make.run(records, resources=ResourceWindow(samples=samples), **changes)


def rising(make, after, before=412.0, **changes):
    """Memory that rose evenly from before the run to what was read after it."""
    last = sorted(after)[len(after) // 2]
    levels = [before + (last - before) * (i + 1) / READINGS for i in range(READINGS)]
    changes = {"memory": make.memory(BEFORE, after)} | changes
    return course(make, levels, **changes)


def filled(make, share, to=553.0, **changes):
    """Memory that rose in the first `share` of the run and stayed."""
    levels = [412 + (to - 412) * min(1.0, (i + 1) / READINGS / share) for i in range(READINGS)]
    return course(make, levels, memory=make.memory(BEFORE, [to] * 7), **changes)


def only(check: NoLeak, *runs):
    (verdict,) = check.judge(Evidence(runs=runs))
    return verdict


@pytest.mark.parametrize(
    ("after", "verdict", "holds"),
    [
        ([400.0] * 7, "pass", True),
        ([511.0] * 7, "pass", True),
        ([512.0] * 7, "pass", True),
        ([513.0] * 7, "fail", False),
        ([510, 511, 511.5, 512, 512.5, 513, 514], "undecided", True),
        ([510, 511, 511.5, 512.1, 512.5, 513, 514], "undecided", False),
    ],
)
def test_retained_memory_is_judged_under_at_and_over_the_limit(after, verdict, holds, make):
    found = only(NoLeak(mb=100), rising(make, after))
    assert (found.verdict, found.holds, found.n) == (verdict, holds, 14)


@pytest.mark.parametrize(
    ("after", "sentence"),
    [
        (
            [543, 544, 544, 544, 544, 544, 545],
            (
                "memory retained 132 MB > 100 MB (USS + swap, 412 -> 544 MB, still growing when the run"
                " ended, settled 5 s after the load, 95% interval 131-133 MB, n=14 readings)"
            ),
        ),
        (
            [413.2] * 7,
            (
                "memory retained 1.20 MB <= 100 MB (USS + swap, 412 -> 413 MB, settled 5 s after the load,"
                " 95% interval 1.20-1.20 MB, n=14 readings)"
            ),
        ),
        (
            [500, 505, 508, 510, 513, 515, 520],
            (
                "memory retained 98.0 MB <= 100 MB, undecided (USS + swap, 412 -> 510 MB, settled 5 s after"
                " the load, 95% interval 88.0-108 MB, n=14 readings):"
                " the readings differ among themselves by more than is left to the limit"
            ),
        ),
    ],
    ids=["fail", "pass", "undecided"],
)
def test_it_says_so_in_words(after, sentence, make):
    assert only(NoLeak(mb=100), rising(make, after)).sentence == sentence


@pytest.mark.parametrize(
    ("before", "after", "verdict", "said"),
    [
        (7, 7, "fail", "95% interval"),
        (6, 6, "fail", "93% interval"),
        (5, 5, "undecided", "87% interval"),
        (1, 1, "undecided", "0% interval"),
    ],
)
def test_fewer_than_6_readings_a_side_give_no_verdict(before, after, verdict, said, make):
    """5 readings all lie on one side of their median in 1 case of 32: both sides, 6 %."""
    memory = make.memory([412.0] * before, [600.0] * after)
    found = only(NoLeak(mb=100), rising(make, [600.0] * after, memory=memory))
    assert (found.verdict, found.holds) == (verdict, False)
    assert said in found.sentence
    if verdict == "undecided":
        assert found.sentence.endswith(": 6 readings before and 6 after are needed")


def test_the_measure_is_named(make):
    memory = make.memory(BEFORE, [600.0] * 7, measure="RSS", settled_after_ns=NS_PER_S * 3 // 2)
    found = only(NoLeak(mb=100), make.run_of([1.0], memory=memory))
    assert "(RSS, 412 -> 600 MB, settled 1.5 s after the load," in found.sentence
    assert found.verdict == "undecided"


@pytest.mark.parametrize(("after", "verdict"), [([412.0] * 7, "pass"), ([412.1] * 7, "fail")])
def test_a_limit_of_nothing_is_a_limit(after, verdict, make):
    assert only(NoLeak(mb=0), rising(make, after)).verdict == verdict


@pytest.mark.parametrize(
    ("latencies", "memory_missing", "sentence"),
    [
        (
            [1.0],
            "the server's process 123 ended",
            "memory retained: no evidence, the server's process 123 ended",
        ),
        (["refused"], None, "memory retained: no evidence, no request of the run was answered"),
        ([], None, "memory retained: no evidence, no request of the run was answered"),
    ],
)
def test_what_was_not_measured_is_no_evidence(latencies, memory_missing, sentence, make):
    """An idle server leaks nothing: a run without an answer shows nothing either."""
    memory = make.memory(BEFORE, [] if memory_missing else BEFORE, missing=memory_missing)
    found = only(NoLeak(mb=100), make.run_of(latencies, memory=memory))
    assert (found.verdict, found.estimate, found.holds) == ("undecided", None, None)
    assert found.sentence == sentence


@pytest.mark.parametrize("empty", ["before", "after"])
def test_one_side_alone_is_no_evidence(empty, make):
    memory = make.memory(BEFORE, BEFORE, **{empty: ()})
    assert only(NoLeak(mb=100), make.run_of([1.0], memory=memory)).sentence == (
        "memory retained: no evidence, memory was not read"
    )


def test_an_unwatched_server_is_no_evidence_and_the_reason_is_passed_on(make):
    run = make.run_of([1.0], resources=ResourceWindow(missing="10.0.0.5 is not this machine"))
    assert only(NoLeak(mb=100), run).sentence == (
        "memory retained: no evidence, 10.0.0.5 is not this machine"
    )


@pytest.mark.parametrize(
    "limits", [{"mb": 1000}, {"mb": 1000, "per": "hour"}, {"gpu_mb": 1000}, {"open_files": 50}]
)
def test_memory_of_two_processes_is_not_compared(limits, make):
    """What the new one holds less hides what the old one kept."""
    run = rising(make, [412.0] * 7)
    run.resources = msgspec.structs.replace(run.resources, renewed_ns=(NS_PER_S,))
    verdict = only(NoLeak(**limits), run)
    assert (verdict.verdict, verdict.estimate) == ("undecided", None)
    assert verdict.sentence.endswith(": no evidence, the server was restarted during the run")


@pytest.mark.parametrize("per", ["run", "hour", "1000 requests"])
def test_rounds_of_a_comparison_are_no_evidence(per, make):
    """Their stamps are moved together and the samples' are not: a rate of both would be a fraction."""
    verdict = only(NoLeak(mb=1000, per=per), rising(make, [412.0] * 7, rounds=8))
    assert (verdict.verdict, verdict.estimate) == ("undecided", None)
    assert verdict.sentence.endswith(
        ": no evidence, a comparison is not read for leaks: use a load of its own"
    )


def test_each_run_is_judged_on_its_own(make):
    runs = [rising(make, [mb] * 7) for mb in (412.0, 600.0)]
    found = NoLeak(mb=100).judge(Evidence(runs=tuple(runs)))
    assert [(v.verdict, v.what) for v in found] == [
        ("pass", "memory retained (run 1 of 2)"),
        ("fail", "memory retained (run 2 of 2)"),
    ]


@pytest.mark.parametrize(
    ("keywords", "fault"),
    [
        (
            {},
            (
                "no_leak: needs mb or gpu_mb, the growth of memory in MB that is allowed, such as mb=100,"
                " or open_files or threads, how many more may be left after a run"
            ),
        ),
        ({"mb": -1}, "no_leak: mb: -1 is below 0"),
        ({"gpu_mb": "much"}, "no_leak: gpu_mb: 'much' is not a number"),
        (
            {"mb": 1, "per": "day"},
            "no_leak: per: 'day' is not known: write \"run\", the memory kept after each run,"
            ' or the growth per "hour" or "1000 requests"',
        ),
        ({"open_files": 1.5}, "no_leak: open_files: 1.5 is not a whole number of 0 or more"),
        (
            {"open_files": 5, "threads": 0, "per": "hour"},
            "no_leak: open_files and threads can be counted for each run only, not per='hour':"
            " give them in a no_leak of another test, or leave out per",
        ),
    ],
)
def test_a_faulty_marker_is_refused(keywords, fault):
    with pytest.raises(MarkerError) as caught:
        build(NoLeak, "no_leak", (), keywords)
    assert str(caught.value) == fault


def test_settling_is_5_seconds_unless_said_otherwise():
    assert NoLeak(mb=1).settle == 5 * NS_PER_S
    assert build(NoLeak, "no_leak", (), {"mb": 1, "settle": "500ms"}).settle == NS_PER_S // 2


def test_growth_that_came_to_rest_is_no_leak(make):
    """What a run as long would add is what is judged then."""
    found = only(NoLeak(mb=100), filled(make, 0.38))
    assert (found.verdict, found.holds) == ("pass", True)
    assert found.estimate == pytest.approx(0, abs=0.5)
    assert found.sentence == (
        "memory grew by 141 MB and then stayed flat for 62% of the run (USS + swap, 412 -> 553 MB,"
        " settled 5 s after the load, a run as long adds at most 0 MB <= 100 MB)"
    )


def test_a_rest_too_short_to_be_one_is_undecided_and_says_how_long_a_run_tells(make):
    found = only(NoLeak(mb=100), filled(make, 0.9))
    assert (found.verdict, found.holds) == ("undecided", False)
    assert found.sentence == (
        "memory retained 141 MB > 100 MB, undecided (USS + swap, 412 -> 553 MB, settled 5 s after the load,"
        " 95% interval 141-141 MB, n=14 readings): whether it had come to rest is not known: memory changed"
        " its course 90% into the run, too late to tell what came of it: run for 70 s"
    )


def test_too_few_readings_are_undecided_and_say_how_long_a_run_tells(make):
    levels = [412.0 + 20 * i for i in range(9)]
    found = only(NoLeak(mb=100), course(make, levels, memory=make.memory(BEFORE, [600.0] * 7)))
    assert (found.verdict, found.holds) == ("undecided", False)
    assert found.sentence.endswith(
        ": whether it had come to rest is not known: 9 readings were taken while the run was steady,"
        " 12 are needed: run for 16 s"
    )


def test_a_cache_that_filled_hides_no_leak(make):
    """It filled, and then 60 MB came on top."""
    levels = [412 + 140 * min(1.0, i / 8) + 2 * max(0, i - 8) + 0.1 * (i % 3) for i in range(READINGS)]
    found = only(NoLeak(mb=100), course(make, levels, memory=make.memory(BEFORE, [levels[-1]] * 7)))
    assert found.verdict == "fail"
    assert ", still growing in the last 7" in found.sentence


def test_memory_that_rose_after_the_load_is_not_called_at_rest(make):
    """Flat readings under load tell nothing of what came later."""
    run = course(make, [412.0] * READINGS, memory=make.memory(BEFORE, [600.0] * 7))
    found = only(NoLeak(mb=100), run)
    assert (found.verdict, found.holds) == ("undecided", False)
    assert found.sentence.endswith(
        ": it had grown by 188 MB after the load, so whether it rests is not known"
    )


def stairs(make, places, height=60.0, **changes):
    """Memory that rose by so much at each of the readings named; the server's noise is 0.1 MB."""
    levels = [412 + height * sum(i >= at for at in places) + 0.1 * (i * 7 % 3) for i in range(READINGS)]
    return course(make, levels, memory=make.memory(BEFORE, [levels[-1]] * 7), **changes)


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (NoLeak(mb=100), "a run about 2 times as long tells"),
        (NoLeak(mb=20, per="1000 requests"), "a run about 2 times as long (78 s) tells"),
        (NoLeak(mb=100, per="hour"), "a run about 2 times as long (78 s) tells"),
    ],
)
def test_a_staircase_is_not_called_at_rest_between_two_rises(check, said, make):
    """The second rise came 20 s after the first, and that was 16 s ago."""
    found = only(check, stairs(make, [4, 24]))
    assert found.verdict == "undecided"
    assert found.sentence.endswith(
        f" it rose in steps and has not rested longer than between them before: {said}"
    )


@pytest.mark.parametrize("places", [[4, 14], [14], [23]])
def test_a_rest_longer_than_any_pause_before_is_one(places, make):
    assert only(NoLeak(mb=40), stairs(make, places)).verdict == "pass"


def test_a_saw_tooth_over_the_limit_is_undecided_and_says_why(make):
    levels = [412 + 80 * ((i / READINGS + 0.6) % 1) + 0.3 * (i % 2) for i in range(READINGS)]
    found = only(NoLeak(mb=5), course(make, levels, memory=make.memory(BEFORE, [levels[-1]] * 7)))
    assert (found.verdict, found.holds) == ("undecided", False)
    assert found.sentence.endswith(
        " MB during the run and may do so again: a run of several such cycles tells"
    )


@pytest.mark.parametrize(
    ("per", "mb", "verdict", "sentence"),
    [
        (
            "1000 requests",
            100,
            "fail",
            (
                "memory growth per 1000 requests 500 MB > 100 MB (USS + swap, 95% interval 500-500 MB,"
                " n=40 readings over 39 requests)"
            ),
        ),
        (
            "1000 requests",
            600,
            "pass",
            (
                "memory growth per 1000 requests 500 MB <= 600 MB (USS + swap, 95% interval 500-500 MB,"
                " n=40 readings over 39 requests)"
            ),
        ),
        (
            "hour",
            1799,
            "fail",
            (
                "memory growth per hour 1800 MB > 1799 MB (USS + swap, 95% interval 1799-1801 MB,"
                " n=40 readings over 39 s)"
            ),
        ),
        (
            "hour",
            1801,
            "pass",
            (
                "memory growth per hour 1800 MB <= 1801 MB (USS + swap, 95% interval 1799-1801 MB,"
                " n=40 readings over 39 s)"
            ),
        ),
    ],
)
def test_a_rate_is_judged_over_work_or_time(per, mb, verdict, sentence, make):
    """Half a MB a request, a request a second: 500 MB for 1000 of them, 1800 MB an hour."""
    run = course(make, [400 + 0.5 * i for i in range(READINGS)])
    found = only(NoLeak(mb=mb, per=per), run)
    assert (found.verdict, found.sentence) == (verdict, sentence)


def test_an_unsure_rate_says_how_long_a_run_tells(make):
    levels = [400 + 0.5 * i + 8 * ((7 * i) % 5 - 2) for i in range(READINGS)]
    found = only(NoLeak(mb=1500, per="hour"), course(make, levels))
    assert (found.verdict, found.holds) == ("undecided", False)
    assert re.search(r": a run about \S+ times as long \(\d+ (s|min)\) tells$", found.sentence)


def test_a_rate_needs_twelve_readings(make):
    found = only(NoLeak(mb=1, per="hour"), course(make, [400.0] * 8))
    assert (found.verdict, found.holds) == ("undecided", None)
    assert found.sentence == (
        "memory growth per hour: no evidence, 8 readings were taken while the run was steady, 12 are needed:"
        " run for 16 s"
    )


def test_a_rate_over_no_request_is_no_evidence(make):
    """One answer of an hour: nothing ended between the readings."""
    run = course(make, [400.0] * READINGS)
    run.requests[:] = [make.record(0, 40_500.0, sent_ns=0)]
    assert only(NoLeak(mb=1, per="1000 requests"), run).sentence == (
        "memory growth per 1000 requests: no evidence, no request ended between the readings"
    )


def test_a_rate_tells_from_when_on_it_was_judged(make):
    found = only(NoLeak(mb=50, per="1000 requests"), filled(make, 0.4))
    assert found.verdict == "pass"
    assert found.sentence.endswith(": judged from 41% of the run on, when memory had changed its course")


@pytest.mark.parametrize("per", ["run", "hour", "1000 requests"])
@pytest.mark.parametrize("mb", [100.1, 412.3, 523.07692, 877.3])
def test_exactly_flat_memory_passes_a_limit_of_nothing(per, mb, make):
    gpu = make.memory([8000.0] * 7, [8000.0] * 7, measure="GPU memory of the server's processes")
    run = with_gpu(course(make, [mb] * READINGS, memory=make.memory([mb] * 7, [mb] * 7, gpu=gpu)), 0)
    found = NoLeak(mb=0, gpu_mb=0, per=per).judge(Evidence(runs=(run,)))
    assert [(v.verdict, v.estimate) for v in found] == [("pass", 0.0)] * 2


def test_readings_outside_the_steady_window_do_not_count(make):
    """Ramp-up takes memory for each connection."""
    levels = [100.0 * i for i in range(10)] + [1000.0] * READINGS
    run = course(make, levels, window_ns=(11 * NS_PER_S, 60 * NS_PER_S))
    found = only(NoLeak(mb=1, per="hour"), run)
    assert (found.verdict, found.n) == ("pass", READINGS)


def test_a_server_swapped_out_did_not_shrink(make):
    """USS falls, swap rises: memory is both."""
    run = course(make, [400.0] * READINGS)
    moved = tuple(
        msgspec.structs.replace(s, uss_bytes=s.uss_bytes - i * 5_000_000, swap_bytes=i * 5_000_000)
        for i, s in enumerate(run.resources.samples)
    )
    run.resources = msgspec.structs.replace(run.resources, samples=moved)
    found = only(NoLeak(mb=1, per="1000 requests"), run)
    assert (found.verdict, found.estimate) == ("pass", pytest.approx(0, abs=1e-6))


def with_shared(run, step_mb):
    """Shared memory that grows by so much at each reading, beside what is there."""
    shared = [round((50 + step_mb * i) * 1e6) for i in range(READINGS)]
    samples = tuple(
        msgspec.structs.replace(s, shared_bytes=size, held_bytes=s.uss_bytes + size)
        for s, size in zip(run.resources.samples, shared, strict=True)
    )
    run.resources = msgspec.structs.replace(run.resources, samples=samples)
    return run


def test_shared_memory_that_grows_is_found_and_named(make):
    """USS does not see it: two processes have it mapped."""
    found = only(NoLeak(mb=100, per="1000 requests"), with_shared(course(make, [400.0] * READINGS), 0.5))
    assert found.sentence == (
        "memory growth per 1000 requests 500 MB > 100 MB (anonymous + shared + swap, 95% interval 500-500 MB,"
        " n=40 readings over 39 requests): shared memory grew by 19.5 MB"
    )


def test_retained_shared_memory_is_named(make):
    memory = make.memory(BEFORE, [544.0] * 7, measure="anonymous + shared + swap")
    found = only(NoLeak(mb=100), with_shared(rising(make, [412.0] * 7, memory=memory), 3.3))
    assert found.verdict == "fail"
    assert found.sentence.startswith(
        "memory retained 132 MB > 100 MB (anonymous + shared + swap, 412 -> 544 MB,"
    )
    assert found.sentence.endswith(" n=14 readings): shared memory grew by 129 MB")


@pytest.mark.parametrize("step_mb", [0.0, 1.0])
def test_growth_that_is_mostly_not_shared_is_not_called_so(step_mb, make):
    """40 MB of 132 are."""
    memory = make.memory(BEFORE, [544.0 + 39 * step_mb] * 7, measure="anonymous + shared + swap")
    found = only(NoLeak(mb=100), with_shared(rising(make, [544.0] * 7, memory=memory), step_mb))
    assert found.verdict == "fail"
    assert "shared memory grew" not in found.sentence


def test_pages_that_are_no_longer_shared_are_no_growth(make):
    """A worker ends: what it shared with another is that one's alone."""
    levels = [400.0] * 10 + [450.0] * (READINGS - 10)
    run = course(make, levels)
    samples = tuple(msgspec.structs.replace(s, held_bytes=450_000_000) for s in run.resources.samples)
    run.resources = msgspec.structs.replace(run.resources, samples=samples)
    found = only(NoLeak(mb=1, per="1000 requests"), run)
    assert (found.verdict, found.estimate) == ("pass", pytest.approx(0, abs=1e-6))


def test_one_measure_is_judged_through_a_run(make):
    """Where what is held was not told each time, what was is judged."""
    run = with_shared(course(make, [400.0] * READINGS), 0.0)
    samples = list(run.resources.samples)
    samples[20] = msgspec.structs.replace(samples[20], held_bytes=None)
    run.resources = msgspec.structs.replace(run.resources, samples=tuple(samples))
    found = only(NoLeak(mb=1, per="1000 requests"), run)
    assert found.verdict == "pass"
    assert "(USS + swap, 95% interval" in found.sentence


def counted(make, **counts):
    """A quiet run; figure=(readings before, readings after)."""
    changes = tuple(CountChange(figure=f, before=b, after=a) for f, (b, a) in counts.items())
    return rising(make, [412.0] * 7, memory=make.memory(BEFORE, [412.0] * 7, counts=changes))


@pytest.mark.parametrize(
    ("after", "verdict", "sentence"),
    [
        ((21,), "pass", "open files left behind 9 <= 10 (12 before the run, 21 after it)"),
        ((22,), "pass", "open files left behind 10 <= 10 (12 before the run, 22 after it)"),
        ((40, 23, 24), "fail", "open files left behind 11 > 10 (12 before the run, 23 after it)"),
        ((9,), "pass", "open files left behind -3 <= 10 (12 before the run, 9 after it)"),
    ],
)
def test_open_files_are_judged_under_at_and_over_the_limit(after, verdict, sentence, make):
    """The fewest on both sides: a connection that happens to be open is not kept."""
    found = only(NoLeak(open_files=10), counted(make, open_files=((13, 12, 12), after)))
    assert (found.verdict, found.sentence) == (verdict, sentence)


def test_each_kind_of_leak_has_a_verdict_of_its_own(make):
    run = counted(make, open_files=((12,), (12,)), threads=((4,), (44,)))
    found = NoLeak(mb=1, open_files=0, threads=0).judge(Evidence(runs=(run,)))
    assert [(v.what, v.verdict) for v in found] == [
        ("memory retained", "pass"),
        ("open files left behind", "pass"),
        ("threads left behind", "fail"),
    ]


def test_what_was_not_counted_is_no_evidence(make):
    """And so never a pass."""
    gone = make.memory([], [], missing="the server's process 12 ended")
    untold = CountChange(figure="open_files", before=(3,), missing="the server's process 12 ended")
    for memory, said in [
        (gone, "the server's process 12 ended"),
        (None, "they were not counted"),
        (make.memory(BEFORE, BEFORE, counts=(untold,)), "the server's process 12 ended"),
    ]:
        found = only(NoLeak(open_files=1), rising(make, [412.0] * 7, memory=memory))
        assert (found.verdict, found.sentence) == (
            "undecided",
            f"open files left behind: no evidence, {said}",
        )
    nothing = NoLeak(threads=1).judge(Evidence())
    assert [v.sentence for v in nothing] == [
        "threads left behind: no evidence, no load ran in this test: call llm_load()"
    ]


def test_where_uss_is_not_told_rss_is_judged_and_named(make):
    run = course(make, [400 + 0.5 * i for i in range(READINGS)])
    plain = tuple(msgspec.structs.replace(s, uss_bytes=None) for s in run.resources.samples)
    run.resources = msgspec.structs.replace(run.resources, samples=plain)
    assert "(RSS, 95% interval 500-500 MB" in only(NoLeak(mb=1, per="1000 requests"), run).sentence


def with_gpu(run, step_mb, **window):
    samples = tuple(
        msgspec.structs.replace(s, gpu_bytes=round((8000 + step_mb * i) * 1e6))
        for i, s in enumerate(run.resources.samples)
    )
    fields = {"gpu": "GPU memory of the server's processes"} | window
    run.resources = msgspec.structs.replace(run.resources, samples=samples, **fields)
    return run


def test_gpu_memory_is_judged_beside_memory(make):
    run = with_gpu(course(make, [400.0] * READINGS), 2)
    found = NoLeak(mb=10, gpu_mb=10, per="1000 requests").judge(Evidence(runs=(run,)))
    assert [(v.what, v.verdict) for v in found] == [
        ("memory growth per 1000 requests", "pass"),
        ("GPU memory growth per 1000 requests", "fail"),
    ]
    assert found[1].sentence == (
        "GPU memory growth per 1000 requests 2000 MB > 10 MB (GPU memory of the server's processes,"
        " 95% interval 2000-2000 MB, n=40 readings over 39 requests)"
    )


@pytest.mark.parametrize(("step_mb", "after", "verdict"), [(0, 8000, "pass"), (5, 8200, "fail")])
def test_gpu_memory_retained_is_judged_alone(step_mb, after, verdict, make):
    gpu = make.memory([8000.0] * 7, [after] * 7, measure="GPU memory of the server's processes")
    memory = make.memory(BEFORE, [900.0] * 7, gpu=gpu)
    run = with_gpu(course(make, [412.0] * READINGS, memory=memory), step_mb)
    found = only(NoLeak(gpu_mb=100), run)
    assert (found.what, found.verdict) == ("GPU memory retained", verdict)
    assert "GPU memory of the server's processes, 8000 -> " in found.sentence


@pytest.mark.parametrize("per", ["run", "hour"])
def test_gpu_memory_that_cannot_be_read_is_no_evidence(per, make):
    why = (
        "GPU memory is not available, because nvidia-ml-py is not installed:"
        " pip install 'pytest-llmserve[gpu]'"
    )
    run = course(make, [412.0] * READINGS, memory=make.memory(BEFORE, BEFORE))
    run.resources = msgspec.structs.replace(run.resources, absent={"gpu": why})
    found = only(NoLeak(gpu_mb=100, per=per), run)
    assert (found.verdict, found.holds) == ("undecided", None)
    assert (
        found.sentence
        == f"GPU memory {'retained' if per == 'run' else 'growth per hour'}: no evidence, {why}"
    )


@pytest.mark.parametrize(
    ("per", "what"),
    [
        ("run", "memory retained"),
        ("hour", "memory growth per hour"),
        ("1000 requests", "memory growth per 1000 requests"),
    ],
)
def test_without_a_run_there_is_a_verdict_for_each_limit(per, what):
    found = NoLeak(mb=1, gpu_mb=1, per=per).judge(Evidence())
    assert [v.what for v in found] == [what, f"GPU {what}"]
    assert found[0].sentence == f"{what}: no evidence, no load ran in this test: call llm_load()"


def test_a_verdict_on_some_of_several_replicas_says_so(make):
    """Retained, per hour, and what is left open."""
    parts = {"process": "of 1 of 2 replicas: why"}
    counts = (CountChange(figure="threads", before=(4,), after=(4,)),)
    for check in (NoLeak(mb=100), NoLeak(mb=5000, per="hour"), NoLeak(threads=3)):
        run = rising(make, [420.0] * 7)
        run.memory = msgspec.structs.replace(run.memory, counts=counts)
        run.resources = msgspec.structs.replace(run.resources, parts=parts)
        found = check.judge(Evidence(runs=(run,)))
        assert any("of 1 of 2 replicas: why" in verdict.sentence for verdict in found), check

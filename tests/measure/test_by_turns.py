"""Two sides asked by turns: never both at once, with the same requests, and what stays when it ends early."""

from __future__ import annotations

import itertools
import threading

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.plan import LoadPlan, Stage
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.measure.compare import Contender, alike, by_turns, check_rounds, with_a_request_a_round
from pytest_llmserve.measure.probes import Watched
from pytest_llmserve.measure.run import Stopped
from pytest_llmserve.measure.watch import Watch
from pytest_llmserve.serve.ready import wait_ready

QUICK = ("--ttft-ms", 2, "--itl-ms", 1, "--tokens", 3)


@pytest.fixture
def contender(mock_server):
    """``contender(server, plan)`` of a running mock server."""
    opened = []

    def make(server, plan):
        endpoint = wait_ready(target_from_url(server.url), limit_ns=30 * NS_PER_S)
        opened.append(endpoint)
        watch = Watch(Watched(pid=None, why="not watched"))
        return Contender(name=server.url, target=endpoint.target, plan=plan, watch=watch)

    yield make
    for endpoint in opened:
        endpoint.close()


@pytest.fixture
def compare(tmp_path):
    """``compare(a, b, rounds, **more)`` -> (what was kept, what was returned or raised)."""
    folders = iter(range(1000))

    def run(a, b, rounds=2, prompts=("one", "two", "three"), **more):
        kept = []
        try:
            return kept, by_turns(
                a, b, prompts, rounds, lambda: tmp_path / f"run-{next(folders)}", kept.append, **more
            )
        except (Stopped, KeyboardInterrupt, ZeroDivisionError) as error:
            return kept, error

    return run


def asked(server):
    """The requests of the load in a server's log; the one that opened it carries no nonce."""
    return [row for row in server.log_rows() if row["nonce"] is not None]


def test_each_side_is_asked_for_all_its_requests(mock_server, contender, compare):
    """In `rounds` rounds, kept once, as one run a side."""
    a, b = mock_server(*QUICK), mock_server(*QUICK)
    plan = LoadPlan(users=2, requests=21, seed=1, salt="00000001")
    kept, found = compare(contender(a, plan), contender(b, plan), rounds=4)
    assert kept == [found]
    assert (len(found.a.ok), len(found.b.ok)) == (21, 21)
    assert (len(asked(a)), len(asked(b))) == (21, 21)
    assert (found.rounds, found.planned, found.ended) == (4, 4, None)
    assert found.names == (a.url, b.url)
    assert found.a.prompts == found.b.prompts is not None


def test_the_sides_take_turns_and_are_never_asked_at_once(mock_server, contender, compare):
    """a b b a a b b a, by the servers' own clocks."""
    a, b = mock_server(*QUICK), mock_server(*QUICK)
    plan = LoadPlan(users=2, requests=20, salt="00000001")
    compare(contender(a, plan), contender(b, plan), rounds=4)
    rows = [(row["received_ns"], row["end_ns"], name) for name, s in (("a", a), ("b", b)) for row in asked(s)]
    rows.sort()
    turns = "".join(name for place, (*_, name) in enumerate(rows) if place == 0 or rows[place - 1][2] != name)
    assert turns == "ababa"  # of a b|b a|a b|b a: two rounds in a row look like one
    for (_, ended_ns, earlier), (received_ns, _, later) in itertools.pairwise(rows):
        assert earlier == later or ended_ns <= received_ns


def test_both_sides_get_the_same_requests(mock_server, contender, compare):
    """The same nonces, so the same texts; none of them twice."""
    a, b = mock_server(*QUICK), mock_server(*QUICK)
    plan = LoadPlan(users=1, requests=12, seed=3, salt="00000001")
    compare(contender(a, plan), contender(b, plan), rounds=4)
    nonces = [[row["nonce"] for row in asked(server)] for server in (a, b)]
    assert sorted(nonces[0]) == sorted(nonces[1])
    assert len(set(nonces[0])) == 12


def test_one_server_asked_in_two_ways_gets_no_nonce_twice(mock_server, contender, compare):
    """Else the second would find its prompts in the cache."""
    server = mock_server(*QUICK)
    plan = LoadPlan(users=1, requests=12, seed=3, salt="00000001")
    compare(contender(server, plan), contender(server, plan), rounds=4)
    nonces = [row["nonce"] for row in asked(server)]
    assert len(set(nonces)) == len(nonces) == 24


def test_sides_that_differ_in_their_fields_ask_with_them(mock_server, contender, compare):
    """Each with its own plan; seed and nonces are the other's."""
    server = mock_server(*QUICK[:4])
    short = LoadPlan(users=1, requests=6, seed=3, salt="00000001", params={"max_tokens": 2})
    long = alike(LoadPlan(users=1, requests=6, seed=9, params={"max_tokens": 5}), short)
    assert (long.seed, long.salt) == (3, "00000001")
    _, found = compare(contender(server, short), contender(server, long))
    assert {r.output_tokens for r in found.a.ok} == {2}
    assert {r.output_tokens for r in found.b.ok} == {5}


@pytest.mark.parametrize(("sick", "turn"), [("a", 0), ("b", 1)])
def test_a_server_that_is_gone_ends_the_comparison(
    sick, turn, mock_server, contender, compare, soon_given_up
):
    """No further round begins, the message names it, and what was measured before is kept."""
    healthy, dying = mock_server(*QUICK), mock_server(*QUICK, "--refuse-after", 20)
    plan = LoadPlan(users=2, requests=40, salt="00000001")
    sides = [contender(healthy, plan), contender(healthy, plan)]
    sides[turn] = contender(dying, plan)
    kept, found = compare(*sides, rounds=4)
    assert kept == [found]
    assert found.ended.startswith(f"{dying.url} was gone in round ")
    assert found.rounds < 4
    assert getattr(found, sick).generator.server_gone is not None
    other = found.b if sick == "a" else found.a
    assert other.generator.server_gone is None
    # A reference is no worse for the end of what it is compared with.
    assert other.generator.ended == (found.ended if sick == "b" else "complete")


def test_what_was_measured_stays_when_it_is_stopped(mock_server, contender, compare):
    """From another thread, as a cancelled `acompare` does."""
    server = mock_server(*QUICK)
    plan = LoadPlan(users=1, duration_ns=120 * NS_PER_S, salt="00000001")
    stop = threading.Event()

    def watch(now):
        if now.ended > 10:
            stop.set()

    kept, raised = compare(contender(server, plan), contender(server, plan), stop=stop, progress=watch)
    assert isinstance(raised, Stopped)
    assert len(kept[0].a.ok) > 10
    assert kept[0].b.requests == []
    assert (kept[0].ended, kept[0].rounds) == ("the comparison was cut short", 0)


def test_what_progress_raises_ends_it(mock_server, contender, compare):
    """As in a single run."""
    server = mock_server(*QUICK)
    plan = LoadPlan(users=1, duration_ns=120 * NS_PER_S, salt="00000001")
    kept, raised = compare(contender(server, plan), contender(server, plan), progress=lambda now: 1 / 0)
    assert isinstance(raised, ZeroDivisionError)
    assert len(kept) == 1


@pytest.mark.parametrize(
    ("plan", "rounds", "fault"),
    [
        (
            LoadPlan(until="decided", duration_ns=NS_PER_S),
            4,
            'until="decided" cannot be cut into rounds: give requests= or duration=',
        ),
        (
            LoadPlan(requests=9),
            3,
            "rounds=3 is not an even number of 2 or more: each side begins half of them",
        ),
        (
            LoadPlan(requests=9),
            "4",
            "rounds='4' is not an even number of 2 or more: each side begins half of them",
        ),
        (
            LoadPlan(requests=9),
            0,
            "rounds=0 is not an even number of 2 or more: each side begins half of them",
        ),
        (
            LoadPlan(requests=3),
            4,
            "3 requests cannot be cut into 4 rounds: give more, or fewer rounds=",
        ),
        (
            LoadPlan(stages=(Stage(1, 1, NS_PER_S),), ramp_up_ns=1),
            4,
            "stages=, rate_stages= and trace= cannot be cut into rounds: give users= or rate=;"
            " ramp_up= would come again in every round: give warm_up=",
        ),
        (
            LoadPlan(trace="x.jsonl"),
            4,
            "stages=, rate_stages= and trace= cannot be cut into rounds: give users= or rate=",
        ),
    ],
)
def test_a_load_that_cannot_be_cut_is_refused(plan, rounds, fault):
    """Every fault at once, with what to give."""
    with pytest.raises(SetupError) as told:
        check_rounds(plan, rounds)
    assert str(told.value) == f"llm_load.compare: {fault}"


def test_a_load_that_can_be_cut_is_not(mock_server):
    """By users or by rate."""
    assert check_rounds(LoadPlan(requests=8), 8) == 8
    assert check_rounds(LoadPlan(rate=5.0, duration_ns=NS_PER_S), 2) == 2


@pytest.mark.parametrize(("requests", "rounds"), [(3, 2), (7, 6), (8, 8), (100, 8)])
def test_a_scaled_load_is_cut_into_as_many_rounds_as_fit(requests, rounds):
    """An even number; without --llm-scale it was the user who asked for too few requests."""
    assert check_rounds(LoadPlan(requests=requests, scale=0.1), 8) == rounds
    if rounds < 8:
        with pytest.raises(SetupError, match=f"{requests} requests cannot be cut into 8 rounds"):
            check_rounds(LoadPlan(requests=requests), 8)


def test_a_single_request_that_scaling_has_left_becomes_one_a_round():
    assert with_a_request_a_round(LoadPlan(requests=1, scale=0.1)).requests == 2
    assert with_a_request_a_round(LoadPlan(requests=1)).requests == 1
    assert with_a_request_a_round(LoadPlan(requests=5, scale=0.1)).requests == 5

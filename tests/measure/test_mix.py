"""What a mix sends, and how its answers are judged."""

from dataclasses import replace

import msgspec
import pytest

from pytest_llmserve import Task
from pytest_llmserve.domain.entry import Conversation
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.marks import nonce, turn_id
from pytest_llmserve.domain.mix import Aborted
from pytest_llmserve.domain.plan import LoadPlan, Stage
from pytest_llmserve.domain.record import NOT_KEPT, RequestRecord
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.measure.mix import judged, leaving_clients, mixed
from pytest_llmserve.measure.tasks import ready
from pytest_llmserve.serve.reply import OneText

PLAN = LoadPlan(users=8, requests=200, salt="5eed0000", params={"max_tokens": 64}, ramp_up_ns=5, workers=3)
TAKEN = {"temperature": 0, "max_tokens": 16}
TASKS = (Task("a", ["a1", "a2"], check="red"), Task("b", "b1", check="blue", params={"top_p": 1}))


def mix(tasks=TASKS, plan=PLAN, taken=TAKEN, streams=True, **options):
    return mixed(plan, ready(tasks), taken, streams=streams, **options)


def changed(**fields):
    return msgspec.structs.replace(PLAN, **fields)


def test_tasks_and_canaries_take_turns():
    """At temperature 0 where the server takes it; canaries with a short answer."""
    found = mix()
    assert found.asked.tasks[:3] == ["a", "b", "canary"]
    assert all(sorted(found.asked.tasks[at : at + 3]) == ["a", "b", "canary"] for at in (3, 6))
    assert list(found.tasks) == ["a", "b", "canary"]
    assert (found.together.in_order, found.together.params) == (True, {"temperature": 0, "max_tokens": 64})
    assert found.asked.manners["b"].params == {"top_p": 1}
    assert found.asked.manners["canary"].params == {"max_tokens": 24}
    assert found.repeatable
    assert list(mix(canaries=False).tasks) == ["a", "b"]


def test_what_the_user_or_the_server_wants_otherwise_holds():
    """A temperature of one's own, none at all, the newer name of max_tokens, a path that all share."""
    own = mix(plan=changed(params={"temperature": 0.7, "max_completion_tokens": 9}))
    assert own.together.params == {"temperature": 0.7, "max_completion_tokens": 9}
    assert own.asked.manners["canary"].params == {"max_completion_tokens": 24}
    assert not own.repeatable
    assert not mix((Task("a", "x", params={"temperature": 1}),)).repeatable
    bare = mix(plan=changed(params={}), taken={})
    assert (bare.together.params, bare.repeatable) == ({}, False)
    assert "canary" not in bare.asked.manners
    paths = mix((Task("a", "x", path="/p"), Task("b", "x", path="/p")))
    assert paths.asked.manners["canary"].path == "/p"
    assert mix((Task("a", "x", path="/p"), Task("b", "x"))).asked.manners["canary"].path is None


@pytest.mark.parametrize(
    ("options", "plan", "alone"),
    [
        ({}, PLAN, 60),
        ({"alone": 5}, PLAN, 15),
        ({"alone": 5, "canaries": False}, PLAN, 10),
        ({}, changed(requests=7), 7),
        ({}, changed(requests=None, duration_ns=9), 60),
        ({}, changed(scale=0.1), 6),
    ],
)
def test_the_first_requests_are_asked_alone_by_one_user(options, plan, alone):
    """The very same: salt, order and fields are those of the whole."""
    found = mix(plan=plan, **options)
    assert found.alone.requests == alone
    assert (found.alone.users, found.alone.workers, found.alone.ramp_up_ns) == (1, 1, 0)
    for name in ("salt", "in_order", "params", "timeout_ns", "stream"):
        assert getattr(found.alone, name) == getattr(found.together, name)


def test_nothing_is_asked_alone_where_that_is_not_wanted():
    assert mix(alone=False).alone is None
    assert mix(alone=0).alone is None


def test_clients_leave_where_answers_are_streamed():
    assert mix().leaving == 0.1
    assert mix(streams=False).leaving == mix(plan=changed(stream=False)).leaving == 0
    assert (mix(aborts=0.5).leaving, mix(aborts=0).leaving) == (0.5, 0)


@pytest.mark.parametrize(
    ("plan", "clients"),
    [
        ({"users": 8}, 4),
        ({"users": 1}, 1),
        ({"stages": (Stage(2, 2, 9), Stage(2, 40, 9))}, 20),
        ({"users": 1, "rate": 12.0}, 6),
        ({"users": 1, "rate": 5000.0}, 32),
    ],
)
def test_the_load_says_how_many_clients_leave_at_a_time(plan, clients):
    """A share of its users at the fullest, or of the requests of a second."""
    assert leaving_clients(changed(**plan), 0.5) == clients


def test_only_those_that_left_while_the_load_ran_are_counted():
    """Whose marks count all the same."""
    together = result(record(100, "a", "red"), record(200, "a", "red"))
    gone = tuple(Aborted(mark="f" * 8, sent_ns=1, left_ns=at) for at in (50, 150, 202, 203))
    found = replace(judged(mix(), None, together, None), aborted=gone)
    assert [one.left_ns for one in found.left_meanwhile] == [150, 202]
    assert "2 left in the middle" in repr(found)


def test_all_faults_of_a_call_are_told_at_once():
    with pytest.raises(SetupError) as told:
        mix(plan=changed(trace="t.jsonl", salt=None), alone=-1, canaries=2, aborts=3)
    assert str(told.value) == (
        "alone=-1: give True, False, or how many requests of each task are asked alone first;"
        " canaries=2 is not True or False;"
        " aborts=3 is not a share of the requests from 0 to 1, such as 0.1;"
        " trace= has prompts of its own: give users= or rate=;"
        " nonce=False leaves no marks to tell whose answer one is: leave it out"
    )
    with pytest.raises(SetupError) as told:
        mix(streams=False, aborts=0.1)
    assert str(told.value) == (
        "aborts=0.1: answers are not streamed here, so nobody can leave in the middle of one"
    )


def record(number, task, text, **changes):
    fields = {
        "id": number,
        "scheduled_ns": number,
        "sent_ns": number,
        "first_byte_ns": number + 1,
        "end_ns": number + 2,
        "token_ns": (number + 1,),
        "status": 200,
        "outcome": "ok",
        "error": None,
        "input_chars": 1,
        "output_chars": len(text),
        "output_tokens": 1,
        "tokens_from": "usage",
        "finish_reason": "stop",
        "task": task,
        "text_at": 0,
        "texts": OneText(text),
    }
    return RequestRecord(**fields | changes)


def result(*records):
    return LoadResult(PLAN, list(records), GeneratorHealth())


def test_every_answer_is_held_against_its_own_check():
    """Of answered requests whose text is there; a canary is right with its own mark."""
    mine, other = nonce(PLAN.salt, 2), nonce(PLAN.salt, 3)
    together = result(
        record(0, "a", "red"),
        record(1, "b", "red"),
        record(2, "canary", f"it is {mine}"),
        record(3, "a", "blue"),
        record(5, "canary", other),
        record(6, "a", "red", outcome="cut_off"),
        record(7, "b", "blue", text_at=NOT_KEPT),
        record(8, "c", "x"),
        record(9, "b", "neither"),
        record(10, "a", "red", warm_up=True),
    )
    found = judged(mix(), result(record(0, "a", "no")), together, None)
    assert found.right_together == {0: True, 1: False, 2: True, 3: False, 5: False, 9: False, 10: True}
    assert found.right_alone == {0: False}
    assert found.like == {1: ("a",), 3: ("b",)}
    assert (found.share_right("a"), found.share_right("b"), found.share_right("canary")) == (2 / 3, 0, 0.5)
    assert (found.right, found.share_right("a", alone=True)) == (0.4, 0)
    assert repr(found) == (
        "TaskMix(8 users: 9 requests, 1 failed; a 67% right (n=3), 0% alone (n=1);"
        " b 0% right (n=2); canary 50% right (n=2))"
    )
    with pytest.raises(ValueError, match=r"^no task 'c' in this mix: its tasks are a, b, canary$"):
        found.share_right("c")


def test_a_check_that_raises_is_never_a_wrong_answer():
    """But on the answers of other tasks it may: it does not hold there."""
    tasks = (Task("a", "x", check=lambda text: {"1": True}[text]), Task("b", "x", check="2"))
    fine = judged(
        mix(tasks), None, result(record(0, "a", "1"), record(1, "b", "1"), record(4, "b", "9")), None
    )
    assert fine.like == {1: ("a",)}
    with pytest.raises(SetupError, match=r"^the check of task 'a' raised KeyError: '2' at test_mix\.py"):
        judged(mix(tasks), None, result(record(3, "a", "2")), None)


def test_turns_of_a_conversation_are_prompts_of_their_own():
    """The same for every conversation of one entry, unlike the turns before them and any other entry's."""
    talks = (Task("a", [Conversation(["Hi", "Why?"])], check="red"), Task("b", ["b1"], check="blue"))
    ids = {"a": (0, 4), "b": (1, 3)}  # the first turn of all: entries by turns, a b a b ...
    found = mix(talks, canaries=False)
    assert found.asked.tasks == ["a", "b"]
    records = [record(n, "a", "red", turn=1) for n in ids["a"]] + [record(n, "b", "blue") for n in ids["b"]]
    records += [record(turn_id(n, 2), "a", "red", turn=2) for n in ids["a"]]
    prompt_of = judged(found, None, result(*records), None).prompt_of
    first, second, other = (
        {prompt_of[turn_id(n, turn)] for n in ids[of]} for of, turn in (("a", 1), ("a", 2), ("b", 1))
    )
    assert (len(first), len(second), len(other)) == (1, 1, 1)
    assert len(first | second | other) == 3


def test_clients_that_leave_ask_what_begins_a_conversation():
    talks = (Task("a", [Conversation(["Hi", "Why?"])], check="red"),)
    with mix(talks, canaries=False).leavers(target_from_url("http://127.0.0.1:9")) as leavers:
        assert leavers._asked[0][0] == [{"role": "user", "content": "Hi"}]

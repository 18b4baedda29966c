"""Prompts of several tasks."""

import msgspec
import pytest

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.load.prompt_list import PromptList
from pytest_llmserve.load.prompt_sets import as_prompt_set, in_turns


def test_tasks_take_turns():
    """One with fewer prompts begins again: every task has as many requests."""
    found = in_turns({"a": ["a1", "a2", "a3"], "b": ["b1"], "c": ["c1", "c2"]})
    assert found.prompts == ["a1", "b1", "c1", "a2", "b1", "c2", "a3", "b1", "c1"]
    assert found.tasks == ["a", "b", "c"] * 3


def test_turns_with_a_seed_have_orders_of_their_own():
    """Each task once in each turn, with its next prompt, and not always behind the same neighbour."""
    own = {name: [f"{name}{number}" for number in range(30)] for name in "abc"}
    found = in_turns(own, seed=5)
    turns = [tuple(found.prompts[at : at + 3]) for at in range(0, 90, 3)]
    assert all(sorted(turn) == [f"{name}{n}" for name in "abc"] for n, turn in enumerate(turns))
    assert len({tuple(found.tasks[at : at + 3]) for at in range(0, 90, 3)}) == 6
    assert in_turns(own, seed=5) == found != in_turns(own, seed=6)


def test_a_dict_is_prompts_by_task_and_anything_else_has_no_tasks():
    assert as_prompt_set({"a": "one text", "b": [[{"role": "user", "content": "x"}]]}).tasks == ["a", "b"]
    assert (as_prompt_set(["x", "y"]).prompts, as_prompt_set("x").tasks) == (["x", "y"], ())


def test_the_plan_tells_where_prompts_came_from():
    """The names of their files and how many there are, of several tasks too; nothing of others."""
    plan, file = LoadPlan(users=2, requests=9), PromptList(["x", "y"], "q.jsonl")
    assert as_prompt_set(file).told(plan).describe() == "2 users, 9 requests, 2 prompts of q.jsonl"
    one = msgspec.structs.replace(plan, prompts_from="q.jsonl", prompt_count=1)
    assert one.describe() == "2 users, 9 requests, 1 prompt of q.jsonl"
    both = as_prompt_set({"a": file, "b": ["z"], "c": PromptList(["z"], "r.csv")}).told(plan)
    assert (both.prompts_from, both.prompt_count) == ("q.jsonl, r.csv", 6)
    assert as_prompt_set(["x"]).told(plan) == plan


def test_all_that_is_wrong_is_told_at_once():
    """By the task it is wrong of."""
    with pytest.raises(ValueError, match="chat bot") as told:
        as_prompt_set({"chat bot": [], "b": 5, "c": ["fine"], "d": None})
    assert str(told.value) == (
        "task 'chat bot': the name 'chat bot' is not of letters, digits, \"-\" and \"_\" alone, at most 64 of"
        " them; prompts is empty: give a text, or a list of texts or of chat message lists;"
        " task 'b': prompts is 5: give a text, or a list of texts or of chat message lists;"
        " task 'd': prompts is empty: give a text, or a list of texts or of chat message lists"
    )
    with pytest.raises(ValueError, match="prompts is empty: give a text, a list, or "):
        as_prompt_set({})

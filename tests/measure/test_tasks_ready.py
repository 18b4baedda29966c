"""Tasks as a user writes them."""

import re

import pytest

from pytest_llmserve import Task
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.task import Manner
from pytest_llmserve.measure.tasks import check_fault, judge_of, ready

MARK = "0f3c9a21"


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (lambda text: "paris" in text, "in paris", "in Paris"),
        ("^Par.s$", "Paris", "in Paris"),
        ("Paris|Lutetia", "Lutetia it is", "paris"),
        (re.compile("paris", re.IGNORECASE), "PARIS.", "Rome"),
        ({"Positive", "negative"}, " POSITIVE \n", "positive."),
        (["yes"], "Yes", ""),
    ],
)
def test_a_check_may_be_a_function_a_pattern_or_a_list_of_answers(check, right, wrong):
    """None of them sees the mark that a model repeats before its answer; in its middle it stays."""
    judge = judge_of(check)
    for told in (right, f"[{MARK}] {right}", f" [{MARK}]{right}"):
        assert judge(told, MARK) is True
    for told in (wrong, f"[{MARK}] {wrong}", f"[fffffff0] {wrong}"):
        assert judge(told, MARK) is False


def test_what_a_check_returns_counts_as_true_or_false():
    assert judge_of(lambda text: re.match("a", text))("abc", MARK) is True
    assert judge_of(lambda text: None)("abc", MARK) is False
    assert judge_of(None) is None


def test_a_sound_task_is_taken_as_it_is():
    (task,) = ready([Task("chat-1", "one text", params={"temperature": 1}, path="/v1/emotion")])
    assert (task.name, task.prompts, task.judge) == ("chat-1", ["one text"], None)
    assert task.manner == Manner({"temperature": 1}, "/v1/emotion")


def test_all_faults_of_all_tasks_are_told_at_once():
    """Each with the place and name of its task."""
    tasks = [
        Task("two words", [], check="(", params=["temperature"], path="v1"),
        "chat",
        Task("canary", "x", check=5),
        Task("chat", None, check=[]),
        Task("chat", "x", check=re.compile(b"x")),
    ]
    with pytest.raises(SetupError) as told:
        ready(tasks)
    forms = (
        "give a function of the answer's text, a regular expression, or a list of the answers allowed; None ="
        " any answer will do"
    )
    assert str(told.value).replace(forms, "...") == "; ".join(
        [
            "task 1 ('two words'): the name 'two words' is not of letters, digits, \"-\" and \"_\" alone, at"
            " most 64 of them",
            "task 1 ('two words'): prompts is empty: give a text, or a list of texts or of chat message"
            " lists",
            "task 1 ('two words'): check: '(' is not a regular expression: missing ), unterminated subpattern"
            " at position 0",
            "task 1 ('two words'): params: ['temperature'] is not a dict of request fields such as"
            ' {"temperature": 0}',
            "task 1 ('two words'): path: 'v1' is not a path such as \"/v1/emotion\"",
            "task 2 is 'chat': give Task(name, prompts, check)",
            "task 3 ('canary'): canary is the name of the built-in task: choose another",
            "task 3 ('canary'): check: 5 cannot be called: ...",
            "task 4 ('chat'): prompts is empty: give a text, or a list of texts or of chat message lists",
            "task 4 ('chat'): check: [] is not a list of the answers allowed, at least one text: ...",
            "task 5 ('chat'): check: re.compile(b'x') is of bytes: write it as text",
            "task 5 ('chat'): another task has this name: give each its own",
        ]
    )


def test_no_task_is_told_with_an_example():
    with pytest.raises(SetupError) as told:
        ready([])
    assert str(told.value) == (
        'no tasks: give one or more, such as Task("capitals", ["What is the capital of France?"],'
        ' check="Paris")'
    )


def test_a_check_that_raises_is_told_with_its_place():
    """Where in the user's code, and on which answer."""

    def check(text):
        return text["label"]

    try:
        check("x")
    except TypeError as error:
        told = check_fault("emotion", 12, error)
        line = error.__traceback__.tb_next.tb_lineno
    assert told == (
        "the check of task 'emotion' raised TypeError: string indices must be integers, not 'str' at"
        f" test_tasks_ready.py:{line} on the answer to request 12: a check takes an answer's text and returns"
        " whether it is right, whatever the text"
    )

"""Which inputs a failure is about: those that its frames hold."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.survival import Survival
from pytest_llmserve.plugin.raised import harmed_lines


def harmed(name):
    return Survival(
        what=f"it answered 500: {name}", faults=("x",), outcome="http_5xx", evidence=(f"sent: {name}",)
    )


A, B = harmed("a"), harmed("b")
LINES_OF_A = ["it answered 500: a", "  sent: a"]
LINES_OF_B = ["it answered 500: b", "  sent: b"]
WELL = Survival(what="fine", outcome="ok")


def raised(held=None, text="no"):
    def fail(survival, well):
        raise AssertionError(text)

    with pytest.raises(AssertionError) as error:
        fail(held, WELL)
    return error.value


def test_the_reported_input_is_told_though_another_came_later():
    assert harmed_lines(raised(A), B) == LINES_OF_A


def test_each_input_of_a_group_is_told_once():
    group = ExceptionGroup("several", [raised(A), ExceptionGroup("more", [raised(B), raised(A)])])
    assert harmed_lines(group, B) == [*LINES_OF_A, *LINES_OF_B]


def test_where_no_frame_holds_one_the_last_is_told_as_such():
    assert harmed_lines(raised(), B) == ["the last input that was not survived:", *LINES_OF_B]
    assert harmed_lines(None, B) == ["the last input that was not survived:", *LINES_OF_B]
    assert harmed_lines(raised(), None) == []


def test_what_the_error_says_itself_is_not_said_again():
    told = "\n".join(LINES_OF_A)
    assert harmed_lines(raised(A, text=told), A) == []
    assert harmed_lines(raised(text=f"gone since\n{told}"), A) == []

"""Which request runs out of time next."""

from pytest_llmserve.load.limits import Limits


def test_the_first_due_is_told_and_taken_first():
    limits = Limits()
    assert limits.next_ns() is None
    limits.set("a", 10)
    limits.set("b", 20)
    limits.set("c", 30)
    assert limits.next_ns() == 10
    assert list(limits.take_due(9)) == []
    assert list(limits.take_due(20)) == ["a", "b"]
    assert limits.next_ns() == 30


def test_one_set_anew_is_due_later():
    """A user's next request has a limit of its own."""
    limits = Limits()
    limits.set("a", 10)
    limits.set("b", 20)
    limits.set("a", 30)
    assert list(limits.take_due(20)) == ["b"]
    assert limits.next_ns() == 30


def test_one_that_ended_in_time_is_not_due():
    limits = Limits()
    limits.set("a", 10)
    limits.drop("a")
    limits.drop("a")
    assert limits.next_ns() is None
    assert list(limits.take_due(99)) == []


def test_what_is_taken_may_be_set_again_meanwhile():
    """A user that ran out of time begins its next request at once."""
    limits = Limits()
    limits.set("a", 10)
    limits.set("b", 20)
    for whose in limits.take_due(15):
        limits.set(whose, 40)
    assert limits.next_ns() == 20


def test_another_thread_may_ask_what_is_due_first():
    """In the middle of a change it gets no answer, never an error."""
    limits = Limits()
    assert limits.first_ns() is None
    limits.set("a", 5)
    limits.set("b", 7)
    assert limits.first_ns() == 5

    class Changing(Limits):
        def next_ns(self):
            raise RuntimeError("OrderedDict mutated during iteration")

    assert Changing().first_ns() is None

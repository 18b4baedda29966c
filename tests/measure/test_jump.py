"""What memory rises by in one case: cheap readings, and a full one only where they rise."""

from __future__ import annotations

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.measure.jump import Jump

MB = 1_000_000


class Memory:
    """Tells what it is told to: RSS, and what is held."""

    tells_held = True

    def __init__(self, rss, held):
        self.rss, self.held = rss, held
        self.full_readings = 0
        self.gone = False

    def memory_bytes(self, full):
        if self.gone:
            raise ProbeLost("the server has ended")
        self.full_readings += full
        return self.held if full else self.rss


def no_sleep(seconds):
    pass


def test_a_jump_is_told_once():
    """The next case begins with what is there."""
    memory = Memory(100 * MB, 80 * MB)
    jump = Jump(memory, None)
    jump.before()
    memory.rss, memory.held = 400 * MB, 380 * MB
    assert jump.after(256 * MB, no_sleep) == 300 * MB
    jump.before()
    assert jump.after(256 * MB, no_sleep) == 0


def test_a_small_rise_costs_no_full_reading():
    memory = Memory(100 * MB, 80 * MB)
    jump = Jump(memory, None)
    before = memory.full_readings
    for _ in range(3):
        jump.before()
        memory.rss += MB
        assert jump.after(256 * MB, no_sleep) == MB
    assert memory.full_readings == before


def test_what_has_only_been_mapped_is_no_jump():
    """Weights that are read for the first time are in RSS, and nobody holds them."""
    memory = Memory(100 * MB, 80 * MB)
    jump = Jump(memory, None)
    jump.before()
    memory.rss, memory.held = 900 * MB, 90 * MB
    assert jump.after(256 * MB, no_sleep) == 10 * MB


def test_what_goes_back_in_a_moment_is_no_jump():
    memory = Memory(100 * MB, 80 * MB)
    jump = Jump(memory, None)
    jump.before()
    memory.rss = 900 * MB

    def given_back(seconds):
        memory.rss = 101 * MB

    assert jump.after(256 * MB, given_back) == MB


def test_memory_that_cannot_be_read_is_not_known_and_says_why():
    """From the beginning, or once the server has ended."""
    unknown = Jump(None, "the server is on another machine")
    unknown.before()
    assert unknown.after(MB) is None
    assert unknown.missing == "the server is on another machine"
    memory = Memory(100 * MB, 80 * MB)
    jump = Jump(memory, None)
    jump.before()
    memory.gone = True
    assert jump.after(MB) is None
    assert jump.missing == "the server has ended"

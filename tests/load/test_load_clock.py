"""The offset between two clocks, and the ring of delays: with clocks made of lists."""

from array import array
from itertools import pairwise

import pytest

from pytest_llmserve.load import clock
from pytest_llmserve.load.clock import clock_offset
from pytest_llmserve.load.health import Lateness, joined

US = 1000


@pytest.fixture
def clocks(monkeypatch):
    """``clocks(widths)``: each try takes so long, real time is 1,000,000 us ahead; returns tries made."""

    class Time:
        """Monotonic stands still but for the widths; an interruption comes after reading real time."""

        now, tries, widths, within = 0, 0, (), False

        def monotonic_ns(self):
            if self.within:
                self.now += self.widths[min(self.tries, len(self.widths) - 1)]
                self.tries += 1
            self.within = not self.within
            return self.now

        def time_ns(self):
            return self.now + 1_000_000 * US

    fake = Time()
    monkeypatch.setattr(clock, "time", fake)

    def start(*widths):
        fake.widths = widths
        return fake

    return start


def test_a_quick_reading_is_taken_at_once(clocks):
    fake = clocks(200)
    assert clock_offset() == 1_000_000 * US - 100
    assert fake.tries == 1


def test_an_interrupted_reading_is_made_again(clocks):
    """Four milliseconds lost between two readings do not become four milliseconds of latency."""
    fake = clocks(4_000 * US, 200)
    assert clock_offset() == 1_000_000 * US - 100
    assert fake.tries == 2


def test_the_offset_before_is_kept_when_every_reading_is_interrupted(clocks):
    fake = clocks(4_000 * US)
    assert clock_offset(previous=123_456_789) == 123_456_789
    assert fake.tries == 4


def test_a_step_of_the_wall_clock_is_followed_even_then(clocks):
    clocks(4_000 * US)
    assert clock_offset(previous=-5_000_000 * US) == 1_000_000 * US - 2_000 * US


def test_without_an_offset_before_the_narrowest_reading_counts(clocks):
    clocks(40 * US, 20 * US, 60 * US)
    assert clock_offset() == 1_000_000 * US - 10 * US


def test_lateness_keeps_the_greatest_and_no_negative():
    lateness = Lateness()
    for delay_ns in (5, -3, 9, 1):
        lateness.add(delay_ns)
    assert lateness.sample() == [5, 0, 9, 1, 9]
    assert lateness.most_ns == 9


def test_lateness_keeps_when_delays_were_long(monkeypatch):
    """A tenth of a second or more; those less than a second apart are one stretch; thirty at most."""
    lateness, ms = Lateness(), 1_000_000
    for now_ms, delay_ms in ((1_000, 99), (2_000, 100), (2_500, 300), (9_000, 250)):
        monkeypatch.setattr("pytest_llmserve.load.health.time.monotonic_ns", lambda at=now_ms: at * ms)
        lateness.add(delay_ms * ms)
    assert lateness.stalls == [(1_900 * ms, 2_500 * ms), (8_750 * ms, 9_000 * ms)]
    assert joined([(6_000 * ms, 7_000 * ms), *lateness.stalls])[1:] == [
        (6_000 * ms, 7_000 * ms),
        (8_750 * ms, 9_000 * ms),
    ]
    assert len(joined((second * 5_000 * ms, second * 5_000 * ms) for second in range(40))) == 30


def test_lateness_without_a_delay_has_no_sample():
    assert Lateness().sample() == []


def test_the_news_of_a_lateness_are_told_once(monkeypatch):
    """Also when it has thinned out meanwhile: nothing is told twice, and not all of it is left out."""
    lateness = Lateness()
    for delay_ns in (5, 3):
        lateness.add(delay_ns)
    assert list(array("q", lateness.news())) == [5, 3]
    lateness.add(9)
    assert list(array("q", lateness.news())) == [9]
    assert lateness.news() == b""
    monkeypatch.setattr("pytest_llmserve.load.health._KEPT", 8)
    for delay_ns in range(100, 120):
        lateness.add(delay_ns)
    told = list(array("q", lateness.news()))
    assert 1 <= len(told) < 8
    assert told == sorted(set(told))
    assert min(told) >= 100


def test_lateness_keeps_evenly_fewer_of_a_long_run(monkeypatch):
    """What was late in its first minute is not forgotten in its eighth hour; the room stays the same."""
    monkeypatch.setattr("pytest_llmserve.load.health._KEPT", 8)
    lateness = Lateness()
    for delay_ns in range(40):
        lateness.add(delay_ns)
    sample = lateness.sample()
    assert sample[-1] == 39, "the greatest is kept apart"
    assert len(sample) <= 9
    kept = sample[:-1]
    assert kept[0] == 0
    assert max(b - a for a, b in pairwise(kept)) <= 16
    assert kept[-1] >= 24, "and the end is not forgotten either"


def test_lateness_samples_evenly():
    lateness = Lateness()
    for delay_ns in range(1000):
        lateness.add(delay_ns)
    sample = lateness.sample(most=100)
    assert sample == [*range(0, 1000, 10), 999]

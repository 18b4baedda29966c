"""When a load says that its server is gone."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.exchange import COMPLETE, TIME_LIMIT, Ending
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.load.flight import NO_CONNECTION
from pytest_llmserve.load.gone import Presence, gone_for_all
from pytest_llmserve.load.presences import Presences

REFUSED = Ending(NO_CONNECTION, "Connection refused")
LATE = Ending(TIME_LIMIT, "no full answer within 30 s")
DONE = Ending(COMPLETE)


class Ends:
    """Ends of requests at seconds of the load, of a server heard last at a second; 0 = never."""

    def __init__(self, timeout_s: float = 30, under_way: int = 0, alone: bool = True) -> None:
        self.presence = Presence(100 * NS_PER_S, round(timeout_s * NS_PER_S), alone=alone)
        self._timeout_s, self._under_way = timeout_s, under_way

    def __call__(self, ending: Ending, at_s: float, heard_s: float = 0) -> bool:
        """A request that was sent as long before as it may take."""
        sent_ns, at_ns, heard_ns = (
            round((100 + second) * NS_PER_S) for second in (at_s - self._timeout_s, at_s, heard_s)
        )
        heard_ns = heard_ns if heard_s else 0
        return self.presence.ended(ending, sent_ns, at_ns, heard_ns, lambda: self._under_way)


def test_a_server_that_takes_no_connection_for_seconds_is_given_up():
    end = Ends()
    assert not end(REFUSED, 60, heard_s=59)
    assert not end(REFUSED, 65, heard_s=59)
    assert end.presence.gone is None
    assert end(REFUSED, 65.1, heard_s=59)
    assert end.presence.gone == "from 1 min on, no connection for 5 s (Connection refused)"


@pytest.mark.parametrize(("under_way", "heard_s", "between"), [(1, 0, None), (0, 63, None), (0, 0, DONE)])
def test_one_that_still_does_something_is_not(under_way, heard_s, between):
    """A request with it, a byte from it, or an answer since."""
    end = Ends(under_way=under_way)
    end(REFUSED, 60)
    if between is not None:
        end(between, 62)
    assert not end(REFUSED, 66, heard_s=heard_s)
    assert end.presence.gone is None


def test_a_server_that_says_no_byte_for_a_whole_time_limit_is_gone():
    """Told when the load ends so; given up after twice that time."""
    end = Ends(timeout_s=30)
    assert not end(LATE, 90, heard_s=60)
    assert end.presence.gone is None
    assert not end(LATE, 91, heard_s=60)
    assert end.presence.gone == "from 1 min on, not a byte in 31 s of waiting, 2 requests ran out of time"
    assert end.presence.since_ns == 160 * NS_PER_S
    assert not end(LATE, 119, heard_s=60)
    assert end(LATE, 120, heard_s=60)
    assert end.presence.gone == "from 1 min on, not a byte in 1 min of waiting, 4 requests ran out of time"


def test_beside_other_workers_none_gives_up_for_silence():
    """They may be answered."""
    end = Ends(timeout_s=30, alone=False)
    assert not any(end(LATE, 90 + 10 * n, heard_s=60) for n in range(10))
    assert end.presence.gone is not None


def test_a_server_that_nobody_asks_is_not_silent():
    """One user who thinks for longer than a request may take: two slow answers in a row are two failures."""
    end = Ends(timeout_s=3)
    assert not any(end(LATE, 14 + 14 * n, heard_s=1) for n in range(3))
    assert end.presence.gone is None
    end(LATE, 56, heard_s=1)
    assert end.presence.gone == "from 1 s on, not a byte in 12 s of waiting, 4 requests ran out of time"


def test_a_server_that_speaks_again_is_not_gone():
    end = Ends(timeout_s=30)
    end(LATE, 90, heard_s=60)
    end(LATE, 91, heard_s=60)
    end(DONE, 92, heard_s=92)
    assert (end.presence.gone, end.presence.since_ns) == (None, 0)
    end(LATE, 122, heard_s=92)
    end(LATE, 123, heard_s=122)
    assert end.presence.gone is None


def test_short_time_limits_and_servers_that_never_spoke_say_nothing_of_its_end():
    """Slow answers under a limit of 1 s, and a server that failed every request: the checks see these."""
    slow, mute = Ends(timeout_s=1), Ends(timeout_s=30)
    for second in range(9):
        slow(LATE, 60.5 + second, heard_s=59.5)
        mute(LATE, 60 + 30 * second)
    assert (slow.presence.gone, mute.presence.gone) == (None, None)
    slow(LATE, 69.5, heard_s=59.5)
    assert slow.presence.gone == "from 59.5 s on, not a byte in 10 s of waiting, 10 requests ran out of time"


@pytest.mark.parametrize(("answered_ns", "said"), [(60, ("from 60 ns on", 60)), (61, (None, None))])
def test_a_server_that_answers_another_worker_is_not_gone(answered_ns, said):
    assert gone_for_all([(None, 0), ("from 60 ns on", 60)], answered_ns) == said
    assert gone_for_all([(None, 0), (None, 0)], answered_ns) == (None, None)


def test_one_of_several_that_is_gone_is_not_all():
    """Refused by one for however long, or silent at the end: the other was answered."""
    for ending in (REFUSED, LATE):
        several = Presences(2, 0, 30 * NS_PER_S)

        def ended(server, how, at_s, several=several):
            sent_ns = (at_s - 30) * NS_PER_S
            return several.ended(server, how, sent_ns, at_s * NS_PER_S, 50 * NS_PER_S, lambda: 0)

        assert not ended(1, DONE, 50)
        assert [ended(0, ending, at_s) for at_s in (60, 80, 120, 200)] == [False] * 4
        assert (several.gone, several.since_ns) == (None, 0)


def test_all_that_are_gone_are_told_since_the_last_one_went():
    several = Presences(2, 0, 30 * NS_PER_S)

    def refused(server, at_s):
        return several.ended(server, REFUSED, None, at_s * NS_PER_S, 0, lambda: 0)

    assert [refused(0, 60), refused(0, 66), refused(1, 120), refused(1, 125)] == [False] * 4
    assert refused(1, 126)
    assert several.gone == "from 2 min on, no connection for 5 s (Connection refused)"
    assert several.since_ns == 120 * NS_PER_S

"""The mark of a request, and the way back from it."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.marks import first_of, nonce, request_behind, salt_after, turn_id, turn_of


@pytest.mark.parametrize("salt", ["00000000", "0badcafe", "ffffffff"])
def test_a_mark_leads_back_to_its_request(salt):
    for number in (0, 1, 17, 4_000_000, 2**32 - 1):
        assert request_behind(salt, nonce(salt, number)) == number
    assert request_behind(salt, nonce(salt_after(salt, 5), 2)) == 7


def test_a_mark_copied_badly_is_that_of_no_request_of_a_run():
    """One wrong digit, or two neighbours exchanged, leads over five million requests away."""
    mark, number = nonce("0badcafe", 1000), 1000
    copies = {f"{mark[:at]}{digit}{mark[at + 1 :]}" for at in range(8) for digit in "0123456789abcdef"}
    copies |= {f"{mark[:at]}{mark[at + 1]}{mark[at]}{mark[at + 2 :]}" for at in range(7)}
    away = [(request_behind("0badcafe", copy) - number) % 2**32 for copy in copies - {mark}]
    assert len(away) > 120
    assert min(min(steps, 2**32 - steps) for steps in away) > 5_000_000


def test_turns_have_ids_of_their_own_and_the_mark_of_the_first():
    """Which leads back to it."""
    ids = [turn_id(7, turn) for turn in (1, 2, 3)]
    assert ids[0] == 7
    assert len({*ids, *(turn_id(8, turn) for turn in (1, 2, 3))}) == 6
    assert ([first_of(each) for each in ids], [turn_of(each) for each in ids]) == ([7, 7, 7], [1, 2, 3])
    assert {nonce("0badcafe", each) for each in ids} == {nonce("0badcafe", 7)}

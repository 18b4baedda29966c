"""The mark of a request, and the way back from it."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.marks import nonce, request_behind, salt_after


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

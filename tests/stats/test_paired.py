"""Whether the same questions were answered worse a second time."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest, fisher_exact

from pytest_llmserve.stats.paired import Stratum, least_lost, p_of_drop, p_of_drop_within


@pytest.mark.parametrize(("lost", "gained"), [(12, 0), (18, 3), (3, 18), (5, 5)])
def test_pairs_are_judged_by_the_exact_sign_test(lost, gained):
    expected = binomtest(lost, lost + gained, 0.5, alternative="greater").pvalue
    assert p_of_drop(lost, gained) == pytest.approx(expected)


def test_nothing_lost_is_nothing_seen():
    assert p_of_drop(0, 0) == p_of_drop(0, 9) == 1.0


@pytest.mark.parametrize(
    ("gained", "level", "least"), [(0, 0.05, 5), (0, 0.025, 6), (1, 0.05, 7), (3, 0.05, 10)]
)
def test_the_least_loss_that_is_seen(gained, level, least):
    """One fewer would be chance."""
    assert least_lost(gained, level) == least
    assert p_of_drop(least, gained) <= level < p_of_drop(least - 1, gained)


def test_one_question_is_judged_by_fishers_test():
    expected = fisher_exact([[18, 2], [40, 40]], alternative="greater").pvalue
    assert p_of_drop_within([Stratum(18, 20, 40, 80)]) == pytest.approx(expected)


def test_one_answer_on_each_side_is_mcnemars_test():
    pairs = [Stratum(1, 1, 0, 1)] * 9 + [Stratum(0, 1, 1, 1)] * 2 + [Stratum(1, 1, 1, 1)] * 30
    assert p_of_drop_within(pairs) == pytest.approx(p_of_drop(9, 2))


def test_a_hard_question_asked_only_afterwards_tells_nothing():
    """All together, 20 of 20 before and 20 of 40 after would be a drop; question by question it is none."""
    easy, hard = Stratum(20, 20, 20, 20), Stratum(0, 0, 0, 20)
    assert p_of_drop_within([easy, hard]) == pytest.approx(1.0)
    assert p_of_drop_within([Stratum(20, 20, 20, 40)]) < 0.001


def test_more_right_answers_than_answers_are_refused():
    with pytest.raises(ValueError, match="is not a count of right answers"):
        p_of_drop_within([Stratum(3, 2, 0, 1)])

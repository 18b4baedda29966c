"""A line through pairs, on cases worked by hand."""

from __future__ import annotations

import pytest

from pytest_llmserve.stats.line import line_through


def test_an_exact_line_is_explained_whole():
    line = line_through([1, 2, 3, 4, 5], [3, 5, 7, 9, 11])
    assert (line.per_x, line.explained) == (pytest.approx(2), pytest.approx(1))
    assert line.low == pytest.approx(2)


def test_what_x_does_not_explain_lowers_it():
    """y = x with +1 and -1 in turn over 1..8: slope 78/84 (by hand), and the low end lies below it."""
    x = [1, 2, 3, 4, 5, 6, 7, 8]
    line = line_through(x, [2, 1, 4, 3, 6, 5, 8, 7])
    middle = sum((a - 4.5) * (b - 4.5) for a, b in zip(x, [2, 1, 4, 3, 6, 5, 8, 7], strict=True))
    assert line.per_x == pytest.approx(middle / 42)
    assert line.explained == pytest.approx((middle / 42) ** 2)
    assert 0 < line.low < line.per_x


def test_a_level_is_explained_by_nothing():
    assert line_through([1, 2, 3], [5, 5, 5]).explained == 0


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1, 2]), ([3, 3, 3], [1, 2, 3]), ([1, 2, 3], [1, 2])])
def test_what_is_no_line_is_refused(x, y):
    with pytest.raises(ValueError, match="at least three pairs of several x are needed"):
        line_through(x, y)

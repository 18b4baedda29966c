"""The picture of a verdict: where limit, estimate and interval stand."""

from __future__ import annotations

import pytest

from pytest_llmserve.reports.html.bar import Places, places, verdict_bar


def verdict(limit, estimate, interval, word="pass", check="latency"):
    return {"limit": limit, "estimate": estimate, "interval": interval, "verdict": word, "check": check}


@pytest.mark.parametrize(
    ("found", "placed"),
    [
        # From nothing to 15 % beyond the farthest.
        (verdict(100.0, 50.0, (40.0, 60.0)), Places(0.8696, 0.4348, 0.3478, 0.5217)),
        (verdict(100.0, 200.0, (150.0, 250.0)), Places(0.3478, 0.6957, 0.5217, 0.8696)),
        # An end that is not known, or far away, runs out of the picture.
        (verdict(100.0, 50.0, (None, 60.0)), Places(0.8696, 0.4348, 0.0, 0.5217)),
        (verdict(100.0, 50.0, (40.0, None)), Places(0.8696, 0.4348, 0.3478, 1.0)),
        (verdict(100.0, 50.0, (40.0, 900.0)), Places(0.8696, 0.4348, 0.3478, 1.0)),
        # Failed requests reach the quantile, or nothing was measured.
        (verdict(100.0, None, (80.0, None)), Places(0.8696, None, 0.6957, 1.0)),
        (verdict(100.0, None, None), Places(0.8696, None, None, None)),
        # A difference may be below nothing.
        (verdict(0.1, -0.1, (-0.2, 0.0)), Places(0.9565, 0.3768, 0.087, 0.6667)),
        # Nothing is allowed, and nothing was found.
        (verdict(0.0, 0.0, None), Places(0.0, 0.0, None, None)),
    ],
)
def test_places_on_the_line(found, placed):
    told = places(found)
    for name in ("limit", "estimate", "low", "high"):
        assert getattr(told, name) == pytest.approx(getattr(placed, name), abs=1e-4)


def test_order_on_the_line_is_that_of_the_figures():
    """Below nothing too."""
    told = places(verdict(0.1, -0.1, (-0.2, 0.0)))
    assert 0 <= told.low < told.estimate < told.high < told.limit <= 1


@pytest.mark.parametrize(("check", "begin"), [("latency", 'x="0.0"'), ("throughput", 'x="208.7"')])
def test_what_is_allowed_lies_on_its_side_of_the_limit(check, begin):
    """Under a ceiling, above a floor."""
    drawn = verdict_bar(verdict(100.0, 50.0, None, check=check))
    (allowed,) = [part for part in drawn.split("<") if 'class="allowed"' in part]
    assert begin in allowed


def test_an_estimate_without_end_is_an_arrow():
    """Unlike one that is not known, of which nothing is drawn."""
    assert '<path d="M230 7l9 7l-9 7z" class="estimate">' in verdict_bar(
        verdict(1.0, None, (1.0, None), "fail")
    )
    assert 'class="estimate"' not in verdict_bar(verdict(1.0, None, None, "undecided"))
    assert '<circle cx="104.4" cy="14.0" r="5" class="estimate">' in verdict_bar(verdict(1.0, 0.5, None))


def test_picture_is_kept_from_screen_readers():
    """The sentence beside it says the same."""
    assert 'aria-hidden="true"' in verdict_bar(verdict(1.0, 0.5, None))

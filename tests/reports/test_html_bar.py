"""The picture of a verdict: where limit, estimate and interval stand."""

from __future__ import annotations

import pytest

from pytest_llmserve.reports.html.bar import Places, places, verdict_bar


def verdict(limit, estimate, interval, word="pass", said="p95 TTFT 50 ms <= 100 ms"):
    told = {"limit": limit, "estimate": estimate, "interval": interval, "verdict": word}
    return told | {"what": "p95 TTFT", "sentence": said}


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
        # What the sentence tells no interval of has none.
        (verdict(100.0, None, (80.0, None), "fail"), Places(0.8696, None, None, None)),
        (verdict(100.0, 50.0, (None, None)), Places(0.8696, 0.4348, None, None)),
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


@pytest.mark.parametrize(
    ("said", "limit", "estimate", "begin", "width"),
    [
        ("p95 TTFT 50 ms <= 100 ms (n=300)", 100.0, 50.0, 0.0, 208.7),
        ("p95 TTFT 200 ms > 100 ms, undecided", 100.0, 200.0, 0.0, 104.4),
        ("p95 TTFT 5 requests/s >= 4 requests/s", 4.0, 5.0, 167.0, 73.0),
        # A floor below nothing: what is allowed lies between it and the right end.
        ("p95 TTFT -65% < -50% (145 -> 51.2 requests/s)", -50.0, -65.0, 70.3, 169.7),
        # A name with a sign in it, before the words.
        ("test_a[x > 3]: p95 TTFT 60% >= 50%", 0.5, 0.6, 173.9, 66.1),
    ],
)
def test_what_is_allowed_lies_on_the_side_that_the_sentence_says(said, limit, estimate, begin, width):
    """Under a ceiling, above a floor: of throughput against an earlier run too, and of a share of answers."""
    drawn = verdict_bar(verdict(limit, estimate, None, said=said))
    (allowed,) = [part for part in drawn.split("<") if 'class="allowed"' in part]
    assert f'x="{begin}"' in allowed
    assert f'width="{width}"' in allowed


@pytest.mark.parametrize(
    "said",
    [
        "chat: 100% right alone, 84% at 8 users (n=19 alike, p=0.2)",
        "isolation: 13 of 130 answers carried another request's mark",
        "p95 TTFT: no evidence, no request was sent",
    ],
)
def test_what_is_held_against_no_limit_has_no_picture(said):
    """Its estimate and its limit lie on no scale of its sentence."""
    assert verdict_bar(verdict(0.0, 0.16, None, said=said)) is None


def test_an_estimate_without_end_is_an_arrow():
    """Failed requests reach the quantile, whether that breaks the limit for certain or not."""
    arrow = '<path d="M230 7l9 7l-9 7z" class="estimate">'
    never = "p95 TTFT never (failed) > 1 ms"
    for word, interval in (("fail", (1.0, None)), ("undecided", (0.5, None)), ("fail", (None, None))):
        assert arrow in verdict_bar(verdict(1.0, None, interval, word, never))
    assert '<circle cx="104.4" cy="14.0" r="5" class="estimate">' in verdict_bar(verdict(1.0, 0.5, None))


def test_picture_is_kept_from_screen_readers():
    """The sentence beside it says the same."""
    assert 'aria-hidden="true"' in verdict_bar(verdict(1.0, 0.5, None))

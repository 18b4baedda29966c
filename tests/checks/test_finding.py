"""From findings to verdicts: the marker's certainty, and the shape of sentences."""

from __future__ import annotations

import math

import pytest

from pytest_llmserve.checks.finding import (
    Finding,
    conclude,
    counted,
    holm_threshold,
    no_evidence,
    telling,
)

UNDECIDED = "p99 e2e latency 2000 ms <= 2200 ms, undecided (95% interval 1900-2100 ms, n=812): "


def finding(**changes) -> Finding:
    fields = {
        "check": "latency",
        "what": "p99 e2e latency",
        "limit": 2200.0,
        "estimate": 2000.0,
        "interval": (1900.0, 2100.0),
        "n": 812,
        "holds": True,
        "head": "p99 e2e latency 2000 ms <= 2200 ms",
        "basis": "95% interval 1900-2100 ms, n=812",
        "doubt": "send more requests",
    }
    return Finding(**fields | changes)


@pytest.mark.parametrize(
    ("p_values", "threshold"),
    [
        ([], -1.0),
        ([0.05], 0.05),
        ([0.051], -1.0),
        ([0.04, 0.03], -1.0),
        ([0.04, 0.025], 0.04),
        ([0.01, 0.02, 0.03], 0.03),
        ([0.01, 0.03, 0.03], 0.01),
    ],
)
def test_holm_rejects_step_by_step(p_values, threshold):
    assert holm_threshold(p_values, 0.05) == threshold


def test_holm_by_hand():
    """0.005 <= 0.05/4, 0.01 <= 0.05/3, 0.03 > 0.05/2: two are rejected, and 0.04 <= 0.05/1 helps no more.

    0.016 <= 0.05/3 is rejected as well, which 0.05/4 for each would not do.
    """
    assert holm_threshold([0.01, 0.04, 0.03, 0.005], 0.05) == 0.01
    assert holm_threshold([0.016, 0.04, 0.03, 0.005], 0.05) == 0.016


@pytest.mark.parametrize(
    ("p_within", "p_beyond", "word"),
    [(0.049, 0.99, "pass"), (0.05, 0.99, "pass"), (0.051, 0.99, "undecided"), (0.99, 0.04, "fail")],
)
def test_a_single_limit_is_judged_at_95_percent(p_within, p_beyond, word):
    (verdict,) = conclude([finding(p_within=p_within, p_beyond=p_beyond)])
    assert verdict.verdict == word


def test_failing_is_corrected_for_the_number_of_limits_and_passing_is_not():
    """Of 20 kept limits one would fail by chance; a marker passes only if all its limits pass."""
    almost = [finding(p_within=0.04), finding(p_beyond=0.04), finding(p_beyond=0.9)]
    assert [v.verdict for v in conclude(almost)] == ["pass", "undecided", "undecided"]
    clearly = [finding(p_within=0.04), finding(p_beyond=0.01), finding(p_beyond=0.9)]
    assert [v.verdict for v in conclude(clearly)] == ["pass", "fail", "undecided"]


def test_a_statement_about_the_sample_takes_no_share_of_the_correction():
    settled = finding(settled="pass", interval=None)
    verdicts = conclude([settled, settled, finding(p_beyond=0.05)])
    assert [v.verdict for v in verdicts] == ["pass", "pass", "fail"]
    assert [v.confidence for v in verdicts] == [1.0, 1.0, 0.95]


def test_verdicts_already_given_keep_their_place():
    given = no_evidence("latency", "p99 TTFT", 300.0, "no request was sent")
    assert conclude([finding(p_within=0.0), given])[1] is given


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"p_within": 0.0}, "p99 e2e latency 2000 ms <= 2200 ms (95% interval 1900-2100 ms, n=812)"),
        (
            {},
            UNDECIDED + "send more requests",
        ),
        (
            {"note": "3 of 812 requests failed (reset 3)"},
            UNDECIDED + "3 of 812 requests failed (reset 3); send more requests",
        ),
        (
            {"p_within": 0.0, "spoiled": "the load generator was the bottleneck (x); add --llm-load-workers"},
            UNDECIDED + "the load generator was the bottleneck (x); add --llm-load-workers",
        ),
        (
            {"estimate": math.inf, "settled": "fail", "head": "never", "note": "all 4 requests failed"},
            "never: all 4 requests failed",
        ),
    ],
)
def test_sentences_have_one_shape(changes, sentence):
    (verdict,) = conclude([finding(**changes)])
    assert verdict.sentence == sentence


GONE = "from 4 h on, no connection for 5 s (Connection refused)"


@pytest.mark.parametrize("changes", [{"p_within": 0.0}, {"settled": "pass"}, {"spoiled": "x"}, {}])
def test_a_server_that_is_gone_keeps_no_promise(changes):
    """Whatever it did before, and whatever the load generator did; and the sentence says since when."""
    (verdict,) = conclude([finding(note="36 of 28836 requests failed (refused 36)", gone=GONE, **changes)])
    assert (verdict.verdict, verdict.fails(strict=False)) == ("fail", True)
    assert verdict.sentence == (
        "p99 e2e latency 2000 ms <= 2200 ms (95% interval 1900-2100 ms, n=812):"
        " 36 of 28836 requests failed (refused 36);"
        " the server was gone: from 4 h on, no connection for 5 s (Connection refused)"
    )


def test_a_server_that_is_gone_takes_no_share_of_the_correction():
    verdicts = conclude([finding(gone=GONE), finding(p_beyond=0.05)])
    assert [v.verdict for v in verdicts] == ["fail", "fail"]


def test_a_spoiled_run_gives_no_verdict_whatever_it_shows():
    for settled in ("pass", "fail", None):
        (verdict,) = conclude([finding(settled=settled, p_within=0.0, spoiled="x")])
        assert (verdict.verdict, verdict.holds, verdict.spoiled) == ("undecided", True, True)
    gone, doubtful = conclude([finding(spoiled="x", gone="y"), finding()])
    assert not gone.spoiled
    assert not doubtful.spoiled


@pytest.mark.parametrize(
    ("limit", "p_below", "p_above", "shown"),
    [
        (150.0, 0.01, 1.0, (10.0, 100.0)),
        (100.0, 0.01, 1.0, (10.0, 100.0)),
        (95.0, 0.04, 1.0, (-math.inf, 90.0)),
        (15.0, 1.0, 0.04, (20.0, math.inf)),
        (50.0, 0.5, 0.5, (10.0, 100.0)),
    ],
)
def test_the_interval_never_seems_to_disagree_with_the_verdict(limit, p_below, p_above, shown):
    assert telling((10.0, 100.0), (20.0, 90.0), limit, p_below, p_above) == shown


def test_a_sample_that_dependence_halves_is_said_to_be_worth_less():
    assert counted(812, 1.4) == "n=812"
    assert counted(812, 4.0) == "n=812, worth 203 independent"
    assert counted(20, 90.0) == "n=20, worth 1 independent"

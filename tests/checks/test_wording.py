"""Figures in sentences."""

from __future__ import annotations

import math

import pytest

from pytest_llmserve.checks.wording import amount, compared, exactly, failures, percent, spread, sureness


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.4211, "0.42"), (38.14, "38.1"), (99.96, "100.0"), (2431.2, "2431")]
)
def test_amount_has_the_digits_that_matter(value, text):
    assert amount(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0"), (1, "100"), (0.5, "50"), (0.015, "1.5"), (0.002, "0.2"), (0.0005, "0.05"), (0.9995, "99.95")],
)
def test_percent_has_two_digits_on_the_scarce_side(share, text):
    """99.95 % never becomes 100 %."""
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2199.0, "2199 ms <= 2200 ms"),
        (2199.996, "2199.996 ms <= 2200 ms"),
        (2200.0, "2200 ms <= 2200 ms"),
        (2200.3, "2200.3 ms > 2200 ms"),
        (2431.0, "2431 ms > 2200 ms"),
        (math.inf, "never (failed) > 2200 ms"),
    ],
)
def test_found_and_promised_never_look_alike_when_they_are_not(value, text):
    assert compared(value, 2200.0, " ms") == text


@pytest.mark.parametrize(
    ("value", "text"), [(2.0, "2.00 /s < 3 /s"), (3.0, "3.00 /s >= 3 /s"), (4.0, "4.00 /s >= 3 /s")]
)
def test_a_floor_reads_the_other_way_round(value, text):
    assert compared(value, 3.0, " /s", at_least=True) == text


def test_rounding_never_puts_a_figure_on_the_other_side_of_its_limit():
    assert compared(500.5, 500.2, " ms") == "500.5 ms > 500.2 ms"
    assert compared(2199.8, 2199.9, " ms") == "2199.8 ms <= 2199.9 ms"


def test_shares_are_compared_in_percent():
    assert compared(0.00201, 0.002, "%", write=percent, scale=100) == "0.201% > 0.2%"


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (2290, 2610, "2290-2610 ms"),
        (1700, math.inf, "1700 ms and above"),
        (-math.inf, 1900, "up to 1900 ms"),
        (-math.inf, math.inf, "unbounded"),
        (math.inf, math.inf, "unbounded"),
        (-3.25, 4.5, "-3.25 to 4.50 ms"),
    ],
)
def test_every_kind_of_interval_can_be_read(low, high, text):
    assert spread(low, high, " ms") == text


def test_a_limit_stands_as_it_was_written():
    assert [exactly(2200.0), exactly(0.5), exactly(1234567.0)] == ["2200", "0.5", "1234567"]


def test_confidence_is_said_in_percent():
    assert [sureness(0.95), sureness(0.9), sureness(0.999)] == ["95%", "90%", "99.9%"]


def test_failures_are_counted_by_kind_most_frequent_first(make):
    records = make.run_of([100.0] * 28 + ["timed_out"] * 2 + ["http_5xx"] * 10).requests
    assert failures(records) == "12 of 40 requests failed (http_5xx 10, timed_out 2)"
    assert failures(records[28:]) == "all 12 requests failed (http_5xx 10, timed_out 2)"
    assert failures(records[:28]) is None

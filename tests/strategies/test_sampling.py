"""sampling_params(): in range, or out of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, seed, settings

from pytest_llmserve.strategies.sampling import ENDED_SERVERS, WRONG, sampling_params

RANGES = {
    "max_tokens": (1, 64),
    "temperature": (0, 2),
    "top_p": (0.05, 1),
    "seed": (0, 2**31 - 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}


def test_valid_ones_are_in_range(drawn):
    """Every field that OpenAI's API knows, within what it allows; max_tokens always."""
    found = drawn(sampling_params())
    assert all("max_tokens" in params for params in found)
    assert set().union(*found) == {*RANGES, "stop"}
    for params in found:
        for name, value in params.items():
            if name == "stop":
                assert 1 <= len(value) == len(set(value)) <= 4
                assert all(value)
            else:
                least, most = RANGES[name]
                assert least <= value <= most


def test_every_field_goes_wrong(drawn):
    """One to three at a time."""
    found = drawn(sampling_params(valid=False))
    assert {len(params) for params in found} == {1, 2, 3}
    assert set().union(*found) == set(WRONG)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top_k", 40.0),
        ("temperature", -1),
        ("top_p", math.inf),
        ("max_tokens", 999_999),
        ("max_tokens", 10**400),
        ("max_tokens", "1"),
        ("seed", None),
        ("n", 0),
        ("stop", ["", "a"]),
        ("logit_bias", {"999999999": 100}),
    ],
)
def test_what_broke_servers_is_in_the_table(name, value):
    """A float top_k, negative numbers, infinities, strings, nulls, n=0, empty stops."""
    assert any(type(known) is type(value) and known == value for known in WRONG[name])
    assert any(known != known for known in WRONG["temperature"])  # NaN


def test_no_wrong_value_is_in_range():
    """A number that a server must take would be no fault; but one that is too small to divide by may be."""
    for name, (least, most) in RANGES.items():
        whole = name in ("seed", "max_tokens")
        numbers = [v for v in WRONG[name] if type(v) is int or (type(v) is float and not whole)]
        assert [n for n in numbers if least <= n <= most] in ([], [5e-324]), name


def test_what_ended_servers_is_among_any_twenty():
    """As many as the profile draws: the float top_k first of all; the others in 95 of 100 runs and more."""
    runs = [_twenty(number) for number in range(40)]
    assert all(repr(ENDED_SERVERS[0]) in run for run in runs)
    assert sum(run >= set(map(repr, ENDED_SERVERS)) for run in runs) >= 38
    assert min(len(run) for run in runs) > len(ENDED_SERVERS)


def _twenty(number):
    found = set()

    @seed(number)
    @settings(max_examples=20, database=None, deadline=None)
    @given(params=sampling_params(valid=False))
    def draw(params):
        found.add(repr(params))

    draw()
    return found

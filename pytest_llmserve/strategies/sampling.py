"""Sampling parameters, by the names of OpenAI's API and of the servers that follow it."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

NONSENSE: tuple[Any, ...] = (
    None,
    "1",
    "",
    "text",
    [],
    [1],
    {},
    math.nan,
    math.inf,
    -math.inf,
    1e308,
    -1e308,
    2**31,
    2**63,
    2**64,
    -(2**63) - 1,
    10**400,
)
"""Fits no parameter that is a number."""

_COUNT = (-1, -999_999, 1.5, 0.1, 999_999, True)

WRONG: dict[str, tuple[Any, ...]] = {
    "temperature": (5e-324, -1, -0.001, 2.001, 1000, 999_999, -999_999, True, *NONSENSE),
    "top_p": (5e-324, -1, -0.001, 0, 1.001, 2, 999_999, True, *NONSENSE),
    "min_p": (-1, 1.001, 999_999, True, *NONSENSE),
    "top_k": (0.5, 40.0, -2, *_COUNT, *NONSENSE),
    "max_tokens": (0, *_COUNT, *NONSENSE),
    "n": (0, *_COUNT, *NONSENSE),
    "best_of": (0, *_COUNT, *NONSENSE),
    "seed": (1.5, 0.1, *NONSENSE),
    "logprobs": (-1, 1.5, 999_999, *NONSENSE),
    "top_logprobs": (-1, 1.5, 999_999, *NONSENSE),
    "presence_penalty": (-2.001, 2.001, 999_999, True, *NONSENSE),
    "frequency_penalty": (-2.001, 2.001, 999_999, True, *NONSENSE),
    "repetition_penalty": (0, -1, 999_999, True, *NONSENSE),
    "stream": ("true", 1, 0, -1, [], {}, math.nan, None),
    "stop": (
        "",
        [""],
        ["", "a"],
        [None],
        [1],
        [[]],
        ["a"] * 1000,
        ["\x00"],
        ["\ud800"],
        {},
        5,
        True,
        math.nan,
    ),
    "logit_bias": (
        {"-1": 1},
        {"999999999": 100},
        {"99999999999999999999": 1},
        {"a": 1},
        {"": 1},
        {"1": "x"},
        {"1": math.nan},
        {"1": None},
        {"1": 999_999},
        [1],
        [[-1, 1]],
        [[1, "x"]],
        "x",
        5,
        None,
    ),
}
"""Parameter -> values out of its range, of another type, or too small to divide by."""

ENDED_SERVERS: tuple[dict[str, Any], ...] = (
    {"top_k": 0.5},
    {"n": 0},
    {"max_tokens": -1},
    {"temperature": math.nan},
    {"max_tokens": 999_999},
)
"""What is known to have ended servers, one field each: a server refuses the first wrong field it reads."""


def sampling_params(*, valid: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    """Fields for a request, to be given as ``llm_endpoint.generate(prompt, **params)``.

    Args:
        valid: True = in range, of the fields that nearly every server knows, with max_tokens of 1 to 64.
            False = one to three fields that are out of range or of the wrong type; nulls and nonsense that
            some servers take for a default are among them. Three of four are of `ENDED_SERVERS`, until all
            of these have been drawn.
    """
    return (
        _in_range()
        if valid
        else _out_of_range({name: st.sampled_from(values) for name, values in WRONG.items()})
    )


def _in_range() -> st.SearchStrategy[dict[str, Any]]:
    penalties = _twentieths(-2, 2)
    return st.fixed_dictionaries(
        {"max_tokens": st.integers(1, 64)},
        optional={
            "temperature": _twentieths(0, 2),
            "top_p": _twentieths(0.05, 1),
            "seed": st.integers(0, 2**31 - 1),
            "stop": st.lists(
                st.sampled_from(("\n", "END", "###", ". ")), min_size=1, max_size=4, unique=True
            ),
            "presence_penalty": penalties,
            "frequency_penalty": penalties,
        },
    )


def _twentieths(least: float, most: float) -> st.SearchStrategy[float]:
    """Numbers as people write them, where a plain float would be 2.3e-138."""
    return st.sampled_from([n / 20 for n in range(round(least * 20), round(most * 20) + 1)])


@st.composite
def _out_of_range(draw: st.DrawFn, wrong: dict[str, st.SearchStrategy[Any]]) -> dict[str, Any]:
    # hypothesis draws nothing twice that it can tell: of few alternatives all come soon.
    if draw(st.integers(0, 3)) < 3:
        return dict(draw(st.sampled_from(ENDED_SERVERS)))
    names = draw(st.lists(st.sampled_from(list(wrong)), min_size=1, max_size=3, unique=True))
    return {name: draw(wrong[name]) for name in names}

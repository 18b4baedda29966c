"""All hostile prompts."""

from __future__ import annotations

from hypothesis import strategies as st

from pytest_llmserve.strategies.empty import empty_prompts
from pytest_llmserve.strategies.markup import markup_prompts
from pytest_llmserve.strategies.oversized import Range, oversized_prompts
from pytest_llmserve.strategies.special import special_characters


def hostile_prompts(
    *,
    tokens: Range | None = None,
    bytes: Range | None = None,  # the word users know
) -> st.SearchStrategy[str]:
    """Empty prompts, special characters, markup, and prompts that are too long.

    Args:
        tokens: length of the long ones, see `oversized_prompts`.
        bytes: the same in bytes.

    Raises:
        SetupError: as `oversized_prompts`.
    """
    oversized = oversized_prompts(tokens=tokens, bytes=bytes)
    return _of_any((empty_prompts(), special_characters(), markup_prompts(), oversized))


@st.composite
def _of_any(draw: st.DrawFn, kinds: tuple[st.SearchStrategy[str], ...]) -> str:
    # one_of() would count each of the ways to be empty as much as all that is too long.
    return draw(draw(st.sampled_from(kinds)))

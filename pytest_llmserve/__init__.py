"""Acceptance tests of model servers as pytest tests.

This file imports nothing by itself: pytest imports it at every start, in every
project that has the plugin installed.
"""

__version__ = "0.1.0"


def __getattr__(name: str) -> type[Warning]:
    """The category of our warnings, where a filter names it: "ignore::pytest_llmserve.LlmServeWarning"."""
    if name != "LlmServeWarning":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pytest_llmserve.domain.errors import LlmServeWarning

    return LlmServeWarning

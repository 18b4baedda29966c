"""Acceptance tests of model servers as pytest tests.

This file imports nothing by itself: pytest imports it at every start, in every
project that has the plugin installed.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False  # as type checkers know it; typing itself is not imported here
if TYPE_CHECKING:
    from pytest_llmserve.domain.errors import LlmServeWarning as LlmServeWarning
    from pytest_llmserve.domain.task import Task as Task


def __getattr__(name: str) -> object:
    """What users import from here: the category of our warnings, which a filter names, and `Task`."""
    if name == "LlmServeWarning":
        from pytest_llmserve.domain.errors import LlmServeWarning

        return LlmServeWarning
    if name == "Task":
        from pytest_llmserve.domain.task import Task

        return Task
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""What a test that failed by itself ended with, and which inputs that is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from pytest_llmserve.domain.survival import Survival

LAST = "the last input that was not survived:"
MOST_CHARS = 400
PASSED = "XPASS(strict)"
"""What pytest says of a test that passed though it was expected to fail."""


def told_of(
    report: pytest.TestReport,
    error: pytest.ExceptionInfo[BaseException] | None,
    root: Path,
    redacted: Callable[[str], str] | None,
) -> dict[str, Any]:
    """What a phase of a test ended with, for the report: `type`, `file` and `line`, where they are known.

    Args:
        report: of the phase.
        error: the same; None = there was none, and it passed though it was expected to fail.
        root: that the file is named from; of one that lies elsewhere the name alone is told.
        redacted: takes secrets out of `text`, the first line of its message; None = without it, as it may
            hold prompts and answers.
    """
    crash = getattr(report.longrepr, "reprcrash", None)
    kind = PASSED if error is None else error.typename
    found: dict[str, Any] = {"type": kind, "file": None, "line": None}
    if crash is not None:
        path = Path(crash.path)
        inside = path.is_relative_to(root)
        found |= {"file": path.relative_to(root).as_posix() if inside else path.name, "line": crash.lineno}
    if redacted is None:
        return found
    message = str(report.longrepr if error is None else error.value if crash is None else crash.message)
    first = redacted(message).strip().partition("\n")[0]
    return found | {"text": first if len(first) <= MOST_CHARS else first[: MOST_CHARS - 3] + "..."}


def harmed_lines(error: BaseException | None, last: Survival | None) -> list[str]:
    """The evidence of the inputs that an error is about; what the error says itself is left out.

    The frames that it went through hold what they were about. hypothesis puts many inputs, and reports
    one of them or a group, in an order of its own. Where no frame holds one, that of the last is told.

    Args:
        error: that the test ended with; None = not known.
        last: of the inputs that were not survived; None = there was none.
    """
    errors = [] if error is None else list(_single(error))
    found = {id(held): held for each in errors for held in _held(each.__traceback__)}
    titled: list[tuple[str, Survival]] = [("", each) for each in found.values()]
    if not found and last is not None:
        titled = [(LAST, last)]
    said = [str(each) for each in errors]
    lines = []
    for title, survival in titled:
        if not any("\n".join(survival.lines) in text for text in said):
            lines += [*([title] if title else []), *survival.lines]
    return lines


def _single(error: BaseException) -> Iterator[BaseException]:
    """The errors of a group, however deep."""
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for each in error.exceptions:
        yield from _single(each)


def _held(traceback: TracebackType | None) -> Iterator[Survival]:
    """What was not survived, by the variables of the frames; an assertion's own are among them."""
    while traceback is not None:
        for value in traceback.tb_frame.f_locals.values():
            if isinstance(value, Survival) and not value:
                yield value
        traceback = traceback.tb_next

"""A file of prompts by its ending."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.load.prompt_list import PromptList
from pytest_llmserve.load.sharegpt import is_sharegpt
from pytest_llmserve.load.source_files import rows_of
from pytest_llmserve.load.sources import from_csv, from_jsonl, from_sharegpt, from_text

MOST = 10_000
"""Prompts that are taken of one file; each load worker holds them all."""


def from_file(path: Path, field: str | None = None, limit: int = MOST) -> PromptList:
    """The prompts of a file whose ending is in `ENDINGS`.

    Args:
        path: of the file; `.gz` may follow its ending.
        field: as of `from_jsonl`.
        limit: the most of them.

    Raises:
        SetupError: the file is wrong, or the ending is not known.
    """
    endings = [ending.lower() for ending in path.suffixes if ending.lower() != ".gz"]
    read = ENDINGS.get(endings[-1] if endings else "")
    if read is None:
        raise SetupError(f"prompts {path}: the ending must be one of {', '.join(ENDINGS)}")
    return read(path, field, limit)


def named_file(named: str) -> tuple[str, str | None]:
    """File and field of "FILE" or "FILE:FIELD", cut behind the first ending that is known."""
    found = _NAMED.match(named)
    return (named, None) if found is None else (found[1], found[2])


def _json(path: Path, field: str | None, limit: int) -> PromptList:
    if field is None:
        first = next((row for _, row in rows_of(path)), None)
        if is_sharegpt(first):
            return from_sharegpt(path, limit=limit)
    return from_jsonl(path, field, limit=limit)


def _table(path: Path, field: str | None, limit: int) -> PromptList:
    return from_csv(path, field, limit=limit)


def _text(path: Path, field: str | None, limit: int) -> PromptList:
    if field is not None:
        raise SetupError(f"prompts {path}: a text has no field {field!r}: leave it out")
    return from_text(path, limit=limit)


ENDINGS: dict[str, Callable[[Path, str | None, int], PromptList]] = {
    ".jsonl": _json,
    ".ndjson": _json,
    ".json": _json,
    ".csv": _table,
    ".tsv": _table,
    ".txt": _text,
}
"""Ending -> how such a file is read."""

_NAMED = re.compile(
    rf"(.*?(?:{'|'.join(map(re.escape, ENDINGS))})(?:\.gz)?):(.+)\Z", re.DOTALL | re.IGNORECASE
)

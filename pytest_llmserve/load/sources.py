"""Prompts out of files: one function a form."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_llmserve.domain.entry import Conversation, Entry
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.load.fields import NoField, reading
from pytest_llmserve.load.prompt_list import PromptList, check_limit, picked
from pytest_llmserve.load.sharegpt import conversation_of
from pytest_llmserve.load.source_files import fault, lines_of, rows_of

_DELIMITERS = (";", "\t", "|", ",")
_EMPTY = "check the path, or what the file was made from"
_SPLITS = ("line", "paragraph", "file")


def from_jsonl(
    path: str | Path, field: str | None = None, *, limit: int | None = None, seed: int | None = None
) -> PromptList:
    """Prompts out of a file of JSON lines, or of one JSON list; packed where it ends in `.gz`.

    Args:
        path: of the file.
        field: where the prompt lies, such as "question" or "data.0.text", or a template such as
            "{question} Is it {answer_a}?"; None = messages, prompt, question, text, input or instruction. A
            list of chat messages is sent as it is, but for the answer it ends with.
        limit: how many; the file is read no further.
        seed: draw them, from the whole file.

    Raises:
        SetupError: the file, a line or an argument is wrong; says which, and what is expected.
    """
    read = _reading("from_jsonl", field)
    return _gathered("from_jsonl", Path(path), lambda file: _read(file, rows_of(file), read), limit, seed)


def from_csv(
    path: str | Path,
    field: str | None = None,
    *,
    delimiter: str | None = None,
    limit: int | None = None,
    seed: int | None = None,
) -> PromptList:
    """Prompts out of a table, whose first row names its columns.

    Args:
        path: of the file.
        field: a column, or a template of them; None as of `from_jsonl`.
        delimiter: between cells; by default a comma, or a tab where the file ends in `.tsv`.
        limit: as of `from_jsonl`.
        seed: as of `from_jsonl`.

    Raises:
        SetupError: as of `from_jsonl`.
    """
    read, file = _reading("from_csv", field), Path(path)
    between = delimiter or ("\t" if ".tsv" in file.suffixes else ",")
    if len(between) != 1:
        raise SetupError(f"from_csv: delimiter is {delimiter!r}: give one character")
    return _gathered("from_csv", file, lambda file: _of_table(file, between, read), limit, seed)


def from_text(
    path: str | Path, split: str = "line", *, limit: int | None = None, seed: int | None = None
) -> PromptList:
    """Prompts out of a plain text.

    Args:
        path: of the file.
        split: "line": each line that is not blank is a prompt; "paragraph": what stands between blank
            lines; "file": all of it is one.
        limit: as of `from_jsonl`.
        seed: as of `from_jsonl`.

    Raises:
        SetupError: as of `from_jsonl`.
    """
    if split not in _SPLITS:
        raise SetupError(f"from_text: split is {split!r}: give one of {', '.join(_SPLITS)}")
    return _gathered("from_text", Path(path), lambda file: _texts(file, split), limit, seed)


def from_sharegpt(
    path: str | Path, turns: int | None = None, *, limit: int | None = None, seed: int | None = None
) -> PromptList:
    """Conversations out of a file of ShareGPT's shape, a JSON list or JSON lines.

    A row has "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", ...}], or "messages" with
    "role" and "content". What the user says is taken, and the system message; answers are the server's own.
    A row in which the user says nothing is left out.

    Args:
        path: of the file.
        turns: the most of each conversation; None = all.
        limit: as of `from_jsonl`.
        seed: as of `from_jsonl`.

    Raises:
        SetupError: as of `from_jsonl`.
    """
    if turns is not None and (isinstance(turns, bool) or not isinstance(turns, int) or turns < 1):
        raise SetupError(f"from_sharegpt: turns is {turns!r}: give a whole number from 1 on")

    silent: list[None] = []

    def read(row: Any) -> Conversation | None:
        found = conversation_of(row, turns)
        silent.extend([] if found else [None])
        return found

    def empty() -> str:
        one = "in its one conversation the user says nothing"
        told = (
            one if len(silent) == 1 else f"in none of its {len(silent)} conversations the user says anything"
        )
        return f"{told}: what counts is from human or user" if silent else _EMPTY

    def entries(file: Path) -> Iterator[Entry]:
        return _read(file, rows_of(file), read)

    return _gathered("from_sharegpt", Path(path), entries, limit, seed, empty)


def _gathered(
    call: str,
    path: Path,
    entries: Callable[[Path], Iterator[Entry]],
    limit: int | None,
    seed: int | None,
    empty: Callable[[], str] = lambda: _EMPTY,
) -> PromptList:
    check_limit(call, limit)
    found = picked(entries(path), limit, seed)
    if not found:
        raise fault(path, None, f"holds no prompt: {empty()}")
    return PromptList(found, path.name)


def _reading(call: str, field: str | None) -> Callable[[Any], Entry]:
    try:
        return reading(field)
    except ValueError as error:
        raise SetupError(f"{call}: {error}") from None


def _read(
    path: Path, rows: Iterator[tuple[int, Any]], read: Callable[[Any], Entry | None]
) -> Iterator[Entry]:
    for line, row in rows:
        try:
            found = read(row)
        except ValueError as error:
            raise fault(path, line, str(error)) from None
        if found is not None:
            yield found


def _of_table(path: Path, delimiter: str, read: Callable[[Any], Entry]) -> Iterator[Entry]:
    rows = _table(path, delimiter)
    first, heading = next(rows, (1, []))
    for line, cells in rows:
        if len(cells) != len(heading):
            why = f"has {len(cells)} cells, and the first row {len(heading)}"
            raise fault(path, line, f"{why}: put cells with a {delimiter!r} in quotes")
        try:
            yield read(dict(zip(heading, cells, strict=True)))
        except NoField as error:
            raise fault(path, first, f"{error}{_other_delimiter(heading, delimiter)}") from None
        except ValueError as error:
            raise fault(path, line, str(error)) from None


def _table(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with its last line."""
    reader = csv.reader((line for _, line in lines_of(path)), delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise fault(path, reader.line_num, f"not a table: {error}; or write it as JSON lines") from None
        if cells is None:
            return
        if cells:
            yield reader.line_num, cells


def _other_delimiter(heading: Sequence[str], delimiter: str) -> str:
    """A hint where the first row is one cell that another delimiter would part."""
    other = next((mark for mark in _DELIMITERS if len(heading) == 1 and mark in heading[0]), None)
    if other is None:
        return ""
    said = f"the first row has no {delimiter!r} but {other!r}"
    return f"; {said}: give delimiter={other!r}, or save it with commas"


def _texts(path: Path, split: str) -> Iterator[str]:
    together: list[str] = []
    for _, line in lines_of(path):
        if split == "line":
            if line.strip():
                yield line.rstrip("\r\n")
        elif split == "file" or line.strip():
            together.append(line)
        elif together:
            yield "".join(together).rstrip("\r\n")
            together = []
    text = "".join(together)
    if text.strip():
        yield text if split == "file" else text.rstrip("\r\n")

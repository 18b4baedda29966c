"""Markdown of GitHub and GitLab in which nothing from outside means anything, within a limit of size."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import overload

from pytest_llmserve.domain.printable import printable

# Letters, figures and what no dialect of Markdown, no reference and no mention is made of.
_PLAIN = re.compile(
    r"(?:[A-Za-z0-9 %.,;()/+=-]|(?<=[A-Za-z0-9])_(?=[A-Za-z0-9])|:(?= )|(?<=[A-Za-z])'(?=[a-z]))*"
)
_ADDRESS = re.compile(r"www\.|//|\.\.", re.IGNORECASE)
_ZERO_WIDTH_SPACE = "\N{ZERO WIDTH SPACE}"


class Made(Sequence[str]):
    """Texts that are made when they are asked for: of hundreds a page has room for a few."""

    def __init__(self, makers: Sequence[Callable[[], str]]) -> None:
        self._makers = makers

    def __len__(self) -> int:
        return len(self._makers)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[str]: ...
    def __getitem__(self, place: int | slice) -> str | Sequence[str]:
        return Made(self._makers[place]) if isinstance(place, slice) else self._makers[place]()


@dataclass(frozen=True)
class Part:
    """A piece of the page: `head` stands only where at least one of `rows` does.

    Attributes:
        nouns: what the rows are, for the word on those that were left out.
    """

    head: str
    rows: Sequence[str]
    nouns: str = "lines"


def prose(text: str) -> str:
    """Text in a line: as it is where it is plain, else word for word in a code span.

    Mentions, references, links, emoji names, HTML and formulas are all left alone inside code.
    """
    line = one_line(text)
    plain = _PLAIN.fullmatch(line) and not _ADDRESS.search(line)
    return line if plain else code(line)


def code(text: str) -> str:
    """A code span that also stands in a cell of a table."""
    line = one_line(text)
    if not line:
        return ""
    fence = "`" * (_longest_run(line) + 1)
    pad = " " if line[0] in "` " or line[-1] in "` " else ""
    # A bar ends the cell even inside code; a backslash before it would be taken for the bar's own.
    line = line.replace("\\|", f"\\{_ZERO_WIDTH_SPACE}|").replace("|", "\\|")
    return f"{fence}{pad}{line}{pad}{fence}"


def block(lines: Iterable[str]) -> str:
    """Lines as they are, in a fence that none of them closes."""
    text = "\n".join(printable(line) for line in lines)
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def details(title: str, body: str) -> str:
    """Folded. In a block of HTML Markdown does not look, and for names inside code nobody does."""
    return f"<details><summary><code>{html.escape(one_line(title))}</code></summary>\n\n{body}\n\n</details>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], figures: int, nouns: str) -> Part:
    """A table whose cells are Markdown already; its last `figures` columns are set to the right."""
    rule = ["---"] * (len(heads) - figures) + ["--:"] * figures
    return Part(f"{_row(heads)}\n{_row(rule)}", [_row(row) for row in rows], nouns)


def page(title: str, parts: Sequence[Part], most_bytes: int) -> str:
    """All of it within `most_bytes` of UTF-8, the first parts first, and a word on what was left out."""
    left_out: list[str] = []
    text, room = title + "\n", most_bytes - len(title.encode()) - 1 - _WORD_BYTES
    for part in filter(lambda part: part.rows, parts):
        taken: list[str] = []
        room -= 1 + (len(part.head.encode()) + 1 if part.head else 0)
        for row in part.rows:
            room -= len(row.encode()) + 1
            if room < 0:
                break
            taken.append(row)
        if taken:
            text += "\n" + "\n".join([*([part.head] if part.head else []), *taken]) + "\n"
        if len(taken) < len(part.rows):
            left_out.append(f"{part.nouns} ({len(part.rows) - len(taken)})")
            room = 0
    if left_out:
        text += f"\nLeft out, as there is no room for more: {', '.join(left_out)}.\n"
    return text


_WORD_BYTES = 400
"""Kept free for the word on what was left out."""


def one_line(text: str) -> str:
    """Without line breaks and anything that is not printed: one space or mark in its place."""
    return printable(" ".join(text.split()))


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

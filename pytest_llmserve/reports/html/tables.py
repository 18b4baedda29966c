"""Tables, lists of facts and headings, as all sections have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_llmserve.reports.html.markup import Child, Markup, join, tag


def table(
    caption: str, heads: Sequence[str], rows: Sequence[Sequence[Child]], *, words: Iterable[str] = ()
) -> Markup:
    """A table whose first column names its rows. It scrolls sideways by itself where it is too wide.

    Args:
        caption: what it shows.
        heads: of its columns.
        rows: its cells.
        words: heads of columns, but for the first, that hold words and not figures.
    """
    wordy = {place for place, head in enumerate(heads) if head in set(words)}
    head = tag("tr", [tag("th", each, scope="col", class_=_kind(n, wordy)) for n, each in enumerate(heads)])
    body = [tag("tr", [_cell(n, each, wordy) for n, each in enumerate(row)]) for row in rows]
    whole = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", body))
    return tag("div", whole, class_="scroll", role="group", aria_label=caption, tabindex="0")


def _cell(place: int, value: Child, wordy: set[int]) -> Markup:
    if place == 0:
        return tag("th", value, scope="row")
    return tag("td", "-" if value is None else value, class_=_kind(place, wordy))


def _kind(place: int, wordy: set[int]) -> str | None:
    # Most cells are figures: what most are needs no word on each.
    return "words" if place in wordy else None


def facts(*pairs: tuple[str, Child]) -> Markup | None:
    """Names with what they are; those that are None or empty are left out, and so is a list without any."""
    told = [(name, value) for name, value in pairs if value not in (None, "", [])]
    rows = [tag("div", tag("dt", name), tag("dd", value)) for name, value in told]
    return tag("dl", rows, class_="facts") if rows else None


def items(lines: Sequence[Child], class_: str | None = None) -> Markup | None:
    """A list of sentences; None where there is none."""
    return tag("ul", [tag("li", line) for line in lines], class_=class_) if lines else None


def part(level: int, title: str, *children: Child, class_: str | None = None) -> Markup | None:
    """A heading with what stands under it; None where nothing does."""
    inside = join(*children)
    return tag("section", tag(f"h{level}", title), inside, class_=class_) if inside else None


def folded(title: Child, *children: Child, class_: str | None = None, open_: bool = False) -> Markup | None:
    """What is shown when it is asked for; None where nothing is."""
    inside = join(*children)
    return tag("details", tag("summary", title), inside, class_=class_, open=open_) if inside else None

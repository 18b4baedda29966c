"""What stands in docs/faults.md: the faults, as the code has them, and what found them, as was counted.

``python tests/power/fault_page.py [build/proof-faults.json]`` rewrites both; without a file the first alone.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from fault_rows import ROWS

from pytest_llmserve.simulator.faults import FAULTS

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
HARMLESS = "Not a fault: "
HOW = (
    "Found: the build failed for that check, in so many of the sessions with the row's own tests alone."
    " (A limit that is undecided and not kept so far fails a build too.) False alarms: of these and of those"
    " with the whole suite."
)


def line(words: Iterable[object]) -> str:
    return "| " + " | ".join(str(word).replace("|", "\\|") for word in words) + " |\n"


def header(*words: str) -> str:
    return line(words) + "|" + "---|" * len(words) + "\n"


def fault_table() -> str:
    """Name, keys with their defaults, what breaks, and what finds it."""
    finders = {kind: row.found_by for row in ROWS for kind in row.kinds}
    text = header("fault", "keys", "what breaks", "found by")
    for name, place in FAULTS.items():
        module, _, cls = place.partition(":")
        fault = getattr(importlib.import_module(module), cls)
        what = (fault.__doc__ or "").splitlines()[0]
        keys = ", ".join(f"`{f.name}={f.default}`" for f in fields(fault) if f.name != "seed")
        found_by = "nothing" if what.startswith(HARMLESS) else f"`{finders.get(name)}`"
        text += line([f"`{name}`", keys, what, found_by])
    return text


def count_table(found: dict[str, Any]) -> str:
    """Of each row, how often it was found, how often another check failed, and the sentence."""
    text = header("planted", "found by", "found", "false alarms", "its first line")
    for row in found["rows"]:
        how_often = f"{row['found']} of {row['sessions']}" if row["found_by"] else ""
        alarms = ", ".join(f"{check} {times}" for check, times in row["alarms"].items())
        sentence = f"`{row['sentence']}`" if row["sentence"] else ""
        by = f"`{row['found_by']}`" if row["found_by"] else "nothing"
        told = f"{alarms or 0} in {row['sessions'] + row['whole']} ({row['whole']} whole)"
        text += line([f"`{row['name']}`", by, how_often, told, sentence])
    return f"Counted on {found['date']}, on {found['machine']}. {HOW}\n\n{text}"


def rewritten(text: str, block: str, table: str) -> str:
    """The page with what stands between the marks of a block replaced.

    Raises:
        ValueError: the marks are not there, once each and in order.
    """
    begin, end = f"<!-- {block}: begin -->", f"<!-- {block}: end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"the page must hold {begin} and, after it, {end}, once each")
    return text[: text.index(begin) + len(begin)] + "\n\n" + table.strip() + "\n\n" + text[text.index(end) :]


def read(counts: Path) -> dict[str, Any]:
    """What ``fault_matrix.py --left`` has left."""
    found: dict[str, Any] = json.loads(counts.read_text())
    return found


def main() -> None:
    page = rewritten(PAGE.read_text(), "faults", fault_table())
    if len(sys.argv) > 1:
        page = rewritten(page, "matrix", count_table(read(Path(sys.argv[1]))))
    PAGE.write_text(page)


if __name__ == "__main__":
    main()

"""The text of --llm-explain."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

_INDENT = "  "


def section_lines(heading: str, texts: Sequence[str], width: int = 80) -> list[str]:
    """A heading and its texts beneath it, each wrapped at the width; a further line is indented more."""
    lines = [heading]
    for text in texts:
        lines += textwrap.wrap(
            text,
            width,
            initial_indent=_INDENT,
            subsequent_indent=2 * _INDENT,
            break_on_hyphens=False,
        )
    return lines

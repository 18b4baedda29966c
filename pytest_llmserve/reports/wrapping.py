"""Lines that fit a terminal: broken between words, what follows set in."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

_STYLED = re.compile(r"(?P<on>(?:\x1b\[[\d;]*m)*)(?P<text>[^\x1b]*)(?P<off>(?:\x1b\[[\d;]*m)*)")
_DEEPER = 2


def wrapped(lines: Iterable[str], width: int) -> Iterator[str]:
    """The lines, none wider than `width` unless a word of it is; a style holds for all of its parts.

    Args:
        lines: each in one style or none.
        width: in columns.
    """
    for line in lines:
        styled = _STYLED.fullmatch(line)
        if styled is None or len(styled["text"]) <= width:
            yield line
            continue
        text = styled["text"].lstrip()
        indent = " " * (len(styled["text"]) - len(text))
        parts = textwrap.wrap(
            text,
            width,
            initial_indent=indent,
            subsequent_indent=indent + " " * _DEEPER,
            break_long_words=False,  # a name or a command is to be copied
            break_on_hyphens=False,
        )
        yield from (f"{styled['on']}{part}{styled['off']}" for part in parts)

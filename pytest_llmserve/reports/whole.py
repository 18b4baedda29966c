"""A file of text that is there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_text(text: str, path: Path) -> None:
    """Write it beside its place, then give it its name.

    Raises:
        OSError: the file cannot be written; nothing is left beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + f".{os.getpid()}.part")
    try:
        unfinished.write_text(text, encoding="utf-8", newline="\n")
        unfinished.replace(path)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # as of a disk that is full
            error.filename = str(path)
        raise

"""What is printed: width, sections and colours as pytest's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import TextIO

_NARROWEST, _USUAL = 40, 80
_CODES = {"red": 31, "green": 32, "yellow": 33, "bold": 1}


def is_coloured(environ: Mapping[str, str], terminal: bool) -> bool:
    """Whether to colour, decided as pytest does: PY_COLORS, NO_COLOR, FORCE_COLOR, then the terminal."""
    asked = environ.get("PY_COLORS")
    if asked in ("0", "1"):
        return asked == "1"
    if environ.get("NO_COLOR"):
        return False
    return bool(environ.get("FORCE_COLOR")) or (terminal and environ.get("TERM") != "dumb")


class Screen:
    """Where lines go.

    Args:
        out: takes the text.
        verbosity: below 0 = a line a test, over 0 = stages and resources too.
    """

    def __init__(self, out: TextIO, verbosity: int = 0) -> None:
        self._out, self.verbosity, self.is_terminal = out, verbosity, out.isatty()
        self.colour = is_coloured(os.environ, out.isatty())
        columns = shutil.get_terminal_size((_USUAL, 24)).columns
        self.width = columns if columns >= _NARROWEST else _USUAL

    def line(self, text: str = "", style: str | None = None) -> None:
        """One line; what the stream cannot write is shown escaped."""
        shown = f"\x1b[{_CODES[style]}m{text}\x1b[0m" if style is not None and self.colour else text
        encoding = self._out.encoding or "utf-8"
        try:
            self._out.write(shown.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        except BrokenPipeError:
            self._left()

    def flush(self) -> None:
        """Hand on what is still held back."""
        try:
            self._out.flush()
        except BrokenPipeError:
            self._left()

    def _left(self) -> None:
        """The reader, such as `head`, has enough: files are still written, the exit code tells the rest."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())

    def section(self, title: str, style: str = "bold") -> None:
        """A heading across the width."""
        self.line(f" {title} ".center(self.width, "="), style)

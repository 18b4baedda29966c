"""Text of the server's choosing, as a terminal may be given it."""

from __future__ import annotations


def printable(text: str, keep: str = "") -> str:
    """The text with U+FFFD for all that cannot be printed: a terminal obeys control characters.

    Args:
        text: of the server's choosing.
        keep: characters that stay all the same, such as line breaks.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else "\N{REPLACEMENT CHARACTER}" for char in text
    )

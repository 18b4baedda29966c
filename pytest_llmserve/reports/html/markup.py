"""HTML as a tree of strings: whatever is not made here is text, and escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "wbr"})
UNPRINTABLE = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127), "\ufffd")
"""Controls that HTML forbids, even as references; and surrogates, which UTF-8 cannot write, go below."""


_JOINT = re.compile(r"(?<=[_/\[:])(?=\w)")
"""Where a name is broken rather than within its words."""


class Markup(str):
    """Finished HTML. Only `tag`, `join` and `raw` make it."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]


def text(value: object) -> Markup:
    """Any value as text, escaped; safe in an attribute too."""
    if isinstance(value, Markup):
        return value
    clean = str(value).translate(UNPRINTABLE).encode("utf-8", "replace").decode("utf-8")
    return Markup(html.escape(clean, quote=True))


def broken(name: str) -> Markup:
    """A text with names of tests: each is broken between its words, and only where it is too long."""
    words = ([*map(text, _JOINT.split(word))] for word in name.split(" "))
    told = (tag("span", Markup("<wbr>".join(w)), class_="whole") if len(w) > 1 else w[0] for w in words)
    return Markup(" ".join(told))


def join(*children: Child) -> Markup:
    """Children one after the other; None is nothing, lists are flat."""
    parts = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Iterable) and not isinstance(child, str):
            parts.append(join(*child))
        else:
            parts.append(text(child))
    return Markup("".join(parts))


def tag(name: str, *children: Child, **attributes: str | int | float | bool | None) -> Markup:
    """An element. `class_` and `for_` lose their underscore, others become dashes: `aria_label`.

    An attribute that is None or False is left out; one that is True stands without a value.
    """
    told = [
        _attribute(key, value)
        for key, value in attributes.items()
        if value is not None and value is not False
    ]
    opening = " ".join([name, *told])
    return Markup(f"<{opening}>") if name in VOID else Markup(f"<{opening}>{join(*children)}</{name}>")


def _attribute(key: str, value: str | int | float | bool) -> str:
    name = key.rstrip("_").replace("_", "-")
    return name if value is True else f'{name}="{text(value)}"'


def raw(source: str) -> Markup:
    """Our own script or style as it stands; never what came from a server or a user."""
    return Markup(source)

"""What a page is made of, read back by the parser of the standard library."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
VOID = {"br", "hr", "img", "input", "link", "meta", "wbr"}


class Outline(HTMLParser):
    """A page, taken apart.

    Attributes:
        tags: (name, attributes) of every element, in order.
        headings: (level, text).
        texts: by element, the text of each one: scripts, styles, captions.
        words: all text outside of scripts and styles.
    """

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.tags, self.headings, self.texts, self.open, self.unclosed = [], [], {}, [], []
        self.words = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append([tag, ""])

    def handle_endtag(self, tag):
        if not self.open or self.open[-1][0] != tag:
            self.unclosed.append(tag)
            return
        _, text = self.open.pop()
        self.texts.setdefault(tag, []).append(text)
        if tag in HEADINGS:
            self.headings.append((int(tag[1]), " ".join(text.split())))
        if self.open and tag not in {"script", "style"}:
            self.open[-1][1] += text

    def handle_data(self, data):
        if self.open:
            self.open[-1][1] += data
        if not self.open or self.open[-1][0] not in {"script", "style"}:
            self.words += data

    def all(self, name, **wanted):
        """Attributes of the elements of this name that have these."""
        found = [attributes for tag, attributes in self.tags if tag == name]
        return [each for each in found if all(each.get(key) == value for key, value in wanted.items())]

    @property
    def policy(self):
        (meta,) = (each for each in self.all("meta") if each.get("http-equiv") == "Content-Security-Policy")
        return dict(rule.strip().split(" ", 1) for rule in meta["content"].split(";"))

    @property
    def plots(self):
        kinds = [attributes.get("type") for attributes in self.all("script")]
        places = [place for place, kind in enumerate(kinds) if kind == "application/json"]
        return json.loads(self.texts["script"][places[0]]) if places else []


def hash_of(source):
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def bare(page):
    """The page without what is its own: scripts and styles."""
    return re.sub(r"(?s)<(script|style)\b.*?</\1>", "", page)


def words(*found):
    """All text, each element's apart from the next one's."""
    parts = "".join(str(each) for each in found if each is not None)
    return " ".join(Outline(parts.replace("<wbr>", "").replace("<", " <")).words.split())

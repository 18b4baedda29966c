"""What was said is taken out of what is told of it: servers repeat prompts in their errors.

What is told is short and what was said may be long, so the told texts are indexed by their pieces, and what
was said is gone through once, whatever number of texts is told.
"""

from __future__ import annotations

import html
import json
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, compress, count, groupby
from urllib.parse import quote, quote_plus

from pytest_llmserve.domain.printable import printable

PROMPT = "[prompt]"
ANSWER = "[answer]"

LEAST_BYTES = 12
"""Of UTF-8: a word or two of English, four signs of Chinese. A shorter stretch is in any two texts."""
_LONGEST_IN_URL = 8_000
_PIECE_BYTES = 6
_PIECES = struct.Struct(f"{_PIECE_BYTES}sx")
"""One piece in 7 bytes: any 12 bytes in a row hold one of them whole."""
_MOST_HEARD = 100_000


def without(text: str, said: Iterable[str], word: str) -> str:
    """The text with `word` in place of each stretch of 12 bytes or more that something said has too.

    Capitals and small letters are the same; what was said is also found on one line, and escaped for JSON,
    Python, HTML or a URL.

    Args:
        text: that is told, a line or a few.
        said: as it was said.
        word: PROMPT or ANSWER.
    """
    told = _Told([text])
    told.hear(said, _never)
    return told.clean(word)[0]


def without_each(
    texts: Sequence[str], said: Iterable[str], word: str, is_late: Callable[[], bool]
) -> list[str] | None:
    """Do as `without` for each text, in one go; None = it was late before all that was said was looked at."""
    told = _Told(texts)
    return told.clean(word) if told.hear(said, is_late) else None


def _never() -> bool:
    return False


class _Told:
    """Texts that are told. Mutable: which of their characters were said."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = [_Text(text) for text in texts]
        self._are_one_line = all(text == printable(" ".join(text.split())) for text in texts)
        self._signs = frozenset("".join(texts)) & frozenset("\\&%+")
        self._index: dict[tuple[bytes], list[tuple[_Text, int]]] = {}
        for text in self._texts:
            if len(text.data) >= LEAST_BYTES:
                for at in range(len(text.data) - _PIECE_BYTES + 1):
                    piece = (text.data[at : at + _PIECE_BYTES],)
                    self._index.setdefault(piece, []).append((text, at))
        self._heard: set[tuple[int, bytes]] = set()

    def hear(self, said: Iterable[str], is_late: Callable[[], bool]) -> bool:
        """Look for each text that was said, once; False = it became late."""
        if not self._index:
            return True
        known: set[int] = set()
        for one in said:
            if is_late():
                return False
            if hash(one) not in known:
                known.add(hash(one))
                for form in dict.fromkeys(form.casefold() for form in self._forms(one)):
                    self._look_for(form.encode("utf-8", "surrogatepass"))
        return True

    def clean(self, word: str) -> list[str]:
        """The texts with the word in place of what was said."""
        return [text.clean(word) for text in self._texts]

    def _forms(self, said: str) -> Iterator[str]:
        """A text as it may stand in what is told: escaped only where that has the sign of it."""
        is_one_line = said.isprintable() and "  " not in said
        if is_one_line or not self._are_one_line:
            yield said
        if not is_one_line:
            yield printable(" ".join(said.split()))
        if "\\" in self._signs:
            yield json.dumps(said, ensure_ascii=False)[1:-1]
            yield json.dumps(said)[1:-1]
            yield repr(said)[1:-1]
        if "&" in self._signs:
            yield html.escape(said)
        if self._signs & {"%", "+"} and len(said) <= _LONGEST_IN_URL:
            yield quote(said, errors="replace")
            yield quote_plus(said, errors="replace")

    def _look_for(self, said: bytes) -> None:
        if len(said) < LEAST_BYTES:
            return
        size = _PIECES.size
        pieces = _PIECES.iter_unpack((said + bytes(size))[: (len(said) + size) // size * size])
        for number in compress(count(), map(self._index.__contains__, pieces)):
            at = number * size
            before = said[max(0, at - LEAST_BYTES) : at]
            piece = said[at : at + _PIECE_BYTES]
            after = said[at + _PIECE_BYTES : at + _PIECE_BYTES + LEAST_BYTES]
            heard = (len(before), before + piece + after)
            if len(piece) < _PIECE_BYTES or heard in self._heard:
                continue
            if len(self._heard) >= _MOST_HEARD:
                self._heard.clear()
            self._heard.add(heard)
            for text, there in self._index[(piece,)]:
                text.mark(there, before, after)


class _Text:
    """One text that is told. Mutable: which of its characters were said.

    Attributes:
        data: UTF-8 of the text, capitals made small.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        folded = [char.casefold().encode("utf-8", "surrogatepass") for char in text]
        self.data = b"".join(folded)
        self._begins = [0, *accumulate(map(len, folded))]
        self._said = bytearray(len(text))

    def mark(self, at: int, before: bytes, after: bytes) -> None:
        """A piece at this place was said, with these bytes around it: mark all that is the same."""
        end = at + _PIECE_BYTES
        here = self.data[max(0, at - len(before)) : at]
        begin = at - _common(reversed(here), reversed(before))
        end += _common(self.data[end : end + len(after)], after)
        first, last = bisect_left(self._begins, begin), bisect_right(self._begins, end) - 1
        if self._begins[last] - self._begins[first] >= LEAST_BYTES:
            self._said[first:last] = b"\1" * (last - first)

    def clean(self, word: str) -> str:
        """The text with the word in place of what was said; spaces around that stay."""
        parts, at = [], 0
        for was_said, group in groupby(self._said):
            end = at + sum(1 for _ in group)
            part = self._text[at:end]
            parts.append(part.replace(part.strip(), word) if was_said and part.strip() else part)
            at = end
        return "".join(parts)


def _common(mine: Iterable[int], theirs: Iterable[int]) -> int:
    """So many bytes are the same from the beginning on."""
    same = 0
    for a, b in zip(mine, theirs, strict=False):
        if a != b:
            break
        same += 1
    return same

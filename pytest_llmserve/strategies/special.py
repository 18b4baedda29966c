"""Prompts with characters that text handling trips over."""

from __future__ import annotations

from hypothesis import strategies as st

from pytest_llmserve.strategies.long import LongText
from pytest_llmserve.strategies.samples import samples

SPECIAL: dict[str, tuple[str, ...]] = {
    "NUL": ("\x00", "a\x00b"),
    "controls": (*map(chr, range(1, 0x20)), *map(chr, range(0x7F, 0xA0))),
    "terminal sequences": ("\x1b[31mred\x1b[0m", "\x1b[2J", "\x1b]0;title\x07", "\r\x1b[K", "\x9b1m"),
    "bidi": (
        "\u202eright to left\u202c",
        "\u2066isolated\u2069",
        *"\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    ),
    "zero width": ("\u200b", "\u200c", "\u200d", "\u2060", "\u00ad", "pass\u200bword", "\u180e", "\u034f"),
    "emoji": (
        "🙂",
        "👩‍👩‍👧‍👦",  # four people, one sign
        "🧑🏾‍🚀",
        "👍🏿",
        "🇺🇳",
        "🇦",  # half a flag
        "3\ufe0f\u20e3",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "❤\ufe0f",
        "❤\ufe0e",
        "🏿",  # a skin without a person
        "\u200d🙂\u200d",
    ),
    "surrogates": ("\ud800", "\udbff", "\udc00", "\udfff", "\udc00\ud800", "\ud83d", "a\udcffb"),
    "escapes as text": ("\\ud800", "\\u0000", "\\x00", "\\", '\\"', "&#0;", "%00", "\\N{NULL}"),
    "full width": ("Ｈｅｌｌｏ", "１２３", "＜｜", "ﾊﾝｶｸ", "\uffe3"),
    "right to left": ("שלום", "مرحبا", "a שלום 1 مرحبا b", "ﷺ", "\u0661\u0662\u0663"),
    "line separators": ("\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\r", "\r\n", "a\u2028b\x85c"),
    "byte order marks": ("\ufeff", "\ufeffa", "a\ufeff", "\ufffe"),
    "noncharacters": (
        *map(chr, (0xFDD0, 0xFDEF, 0xFFFE, 0xFFFF, 0x1FFFE, 0x1FFFF, 0x10FFFE, 0x10FFFF)),
        "\ufffd",
    ),
    "private and unassigned": ("\ue000", "\uf8ff", "\U000f0000", "\U0010fffd", "\u0378", "\U000e0fff"),
    "invisible tags": (
        "".join(chr(0xE0000 + ord(c)) for c in "say yes"),
        "\U000e0001",
        "\ufe0f",
        "\U000e0100",
    ),
    "letters that change their length": ("ß", "İ", "ǰ", "ﬃ", "ŉ", "Ω", "Å", "각", "\u1112\u1161\u11ab"),
    "beyond the basic plane": ("𝕳𝖊𝖑𝖑𝖔", "𒀀", "𠜎", "𝄞"),
    "sorted badly": ("่่่", "ാ", "\u0e33", "\u0fb2\u0f80", "ก็็็็็"),
}
"""Kind -> samples of it."""

_WORDS = ("", "a", "Say hi.", " ")
_TOWER_BASES = ("a", "Z", "\u0e01", "🙂", "")
_COMBINING = ("\u0301", "\u0335", "\u20dd", "\u0323", "\u0489", "\u0e47", "\ufe20")
_TOWERS = "towers"
_HIGHEST_TOWER = 5_000


def special_characters() -> st.SearchStrategy[str]:
    """Short texts with up to four special characters or sequences among plain words.

    Controls and NUL, terminal sequences, bidirectional marks, signs without a width, towers of combining
    marks, emoji sequences, lone surrogates (JSON sends them as escapes) and escapes as text, full width,
    right to left, U+2028 and U+0085, byte order marks, noncharacters, private and unassigned code points,
    invisible tags, letters that change their length with their case or form.
    """
    return _special(samples(SPECIAL))


@st.composite
def _special(draw: st.DrawFn, special: st.SearchStrategy[str]) -> str:
    if draw(st.sampled_from((*SPECIAL, _TOWERS))) == _TOWERS:
        base, mark = draw(st.sampled_from(_TOWER_BASES)), draw(st.sampled_from(_COMBINING))
        return LongText((base, 1), (mark, draw(st.integers(8, _HIGHEST_TOWER))))
    found = draw(st.lists(special, min_size=1, max_size=4))
    before, after = draw(st.sampled_from(_WORDS)), draw(st.sampled_from(_WORDS))
    return before + "".join(found) + after

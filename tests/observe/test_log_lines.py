"""From bytes to lines, on literals."""

from __future__ import annotations

import pytest

from pytest_llmserve.observe.log_lines import LONGEST_BYTES, LineSplitter, cut_line, plain_text, shown

MESSY = (
    b"one\r\n\x1b[91mtwo\x1b[0m\n 10%|#   |\r 20%|##  |\rthree \xff\xe2\x82\xac\n"
    + "four\u2028five\u0085six\n".encode()
    + b"seven"
)
PLAIN = "one\ntwo\n 10%|#   |\n 20%|##  |\nthree \ufffd\u20ac\nfour\u2028five\u0085six\n"


def feed(pieces):
    splitter = LineSplitter()
    return "".join(map(splitter.feed, pieces)), splitter


def test_lines_are_the_same_wherever_the_bytes_are_cut():
    """CRLF, colours, a progress bar, bad bytes, and the line ends that are none: at every place."""
    for cut in range(len(MESSY) + 1):
        text, splitter = feed([MESSY[:cut], MESSY[cut:]])
        # A CRLF that is cut in two is an empty line more.
        assert text.replace("\n\n", "\n") == PLAIN
        assert (splitter.count, splitter.cut) == (4, 0)
        assert splitter.end() == "seven\n"
        assert splitter.count == 5


def test_a_very_long_line_is_cut_and_told():
    """Its beginning is kept, what follows is let go until its end has come."""
    text, splitter = feed([b"x" * (LONGEST_BYTES - 3) + b"y" * 9, b"z" * 500_000, b"zz\nnext\n"])
    assert text == "x" * (LONGEST_BYTES - 3) + "yyy\nnext\n"
    assert (splitter.cut, splitter.count) == (1, 2)


def test_half_a_line_of_before_is_gone_on_with_or_dropped():
    """As it is told."""
    kept, dropped = LineSplitter(), LineSplitter()
    kept.begin_within(b"out of ", drop=False)
    dropped.begin_within(b"out of ", drop=True)
    assert [kept.feed(b"mem"), kept.feed(b"ory\nb\n")] == ["", "out of memory\nb\n"]
    assert "".join([dropped.feed(b"mem"), dropped.feed(b"ory\nb\n")]).strip("\n") == "b"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'"\x1b[1mPOST /x HTTP/1.1\x1b[0m" \x1b[91m500\x1b[0m', '"POST /x HTTP/1.1" 500'),
        (b"\x1b]8;;http://a\x07link\x1b]8;;\x07 \x1b[2K\x1b[1Gdone", "link done"),
        (b"\0\0\0after a hole", "after a hole"),
    ],
)
def test_what_a_terminal_does_not_show_is_taken_out(data, text):
    """Colours, links, cursor movements, and the hole that a truncated file has."""
    assert plain_text(data) == text


def test_a_shown_line_is_cut_around_what_matches():
    """And what does not print is replaced, so that a log cannot draw on the terminal."""
    line = "a" * 1000 + "CUDA out of memory" + "b" * 1000
    said = cut_line(line, 1000)
    assert said == "\u2026" + "a" * 60 + "CUDA out of memory" + "b" * 222 + "\u2026 (2018 characters)"
    assert cut_line("x" * 301) == "x" * 300 + "\u2026 (301 characters)"
    assert shown("  a\tb\x07\u202ec ") == "a b\ufffd\ufffdc"

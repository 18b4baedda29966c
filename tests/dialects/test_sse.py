"""The splitter of event streams against the rules of the standard."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmserve.dialects.sse import EventSplitter


def split(*pieces: bytes) -> list[tuple[bytes, bytes]]:
    splitter = EventSplitter()
    events = [event for piece in pieces for event in splitter.feed(piece)]
    left = splitter.close()
    return events if left is None else [*events, left]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [(b"", b"a")]),
        (b"data:a\n\n", [(b"", b"a")]),
        (b"data:  a\n\n", [(b"", b" a")]),
        (b"data: a\r\n\r\n", [(b"", b"a")]),
        (b"data: a\r\r", [(b"", b"a")]),
        (b"data: a\r\n\ndata: b\n\r\n", [(b"", b"a"), (b"", b"b")]),
        (b"data: a\ndata: b\n\n", [(b"", b"a\nb")]),
        (b"data\n\n", [(b"", b"")]),
        (b": comment\n\n", []),
        (b": comment\ndata: a\n\n", [(b"", b"a")]),
        (b"event: error\ndata: a\n\ndata: b\n\n", [(b"error", b"a"), (b"", b"b")]),
        (b"event: error\ndata: a\n\n", [(b"error", b"a")]),
        (b"event:  x \ndata: a\n\n", [(b" x ", b"a")]),
        (b"event: x\ndata: a\ndata: b\n\n", [(b"x", b"a\nb")]),
        (b"event: ping\n\ndata: a\n\n", [(b"", b"a")]),
        (b"id: 1\nretry: 5\nodd: x\nno colon\ndata: a\n\n", [(b"", b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [(b"", b"a")]),
        (b"data: x\n\n\xef\xbb\xbfdata: a\n\n", [(b"", b"x")]),
        (b"\n\n\n\ndata: a\n\n", [(b"", b"a")]),
        (
            "data: a\u2028b\u0085c\x0b\x0cd\x1ce\n\n".encode(),
            [(b"", "a\u2028b\u0085c\x0b\x0cd\x1ce".encode())],
        ),
        (b"data: a\n\ndata: b\n\ndata: c\n\n", [(b"", b"a"), (b"", b"b"), (b"", b"c")]),
        (b"data: a\n\ndata: b\n", [(b"", b"a"), (b"", b"b")]),
        (b"data: a\n\ndata: b", [(b"", b"a"), (b"", b"b")]),
        (b"data: a\n\ndat", [(b"", b"a")]),
        (b"", []),
    ],
)
def test_a_stream_gives_the_same_events_however_it_is_cut(
    stream: bytes, events: list[tuple[bytes, bytes]]
) -> None:
    assert split(stream) == events
    for cut in range(len(stream) + 1):
        assert split(stream[:cut], stream[cut:]) == events, f"cut at byte {cut}"
    assert split(*[stream[k : k + 1] for k in range(len(stream))]) == events


@given(
    st.lists(st.sampled_from([b"data", b":", b" ", b"\n", b"\r", b"event", b"\xef\xbb\xbf", b"a"])),
    st.lists(st.integers(0, 60)),
)
def test_any_bytes_give_the_same_events_however_they_are_cut(parts: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(parts)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(edges)]
    assert split(*pieces) == split(*[stream[k : k + 1] for k in range(len(stream))])


def test_an_event_in_many_pieces_costs_no_more_than_its_bytes() -> None:
    splitter = EventSplitter()
    assert list(splitter.feed(b"data: ")) == []
    for _ in range(20_000):
        splitter.feed(b"x" * 100)
    assert splitter.feed(b"\n\n")[0][1] == b"x" * 2_000_000

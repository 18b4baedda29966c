"""A body that lies about its length: bytes that know what their head is to say."""

from __future__ import annotations

import pickle

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.wrong_length import WrongLength


@pytest.mark.parametrize(
    ("given", "headers", "promised"),
    [
        ((100,), (("Content-Length", "100"),), 100),
        (("007",), (("Content-Length", "007"),), 7),
        ((-1,), (("Content-Length", "-1"),), None),
        (("\xb2",), (("Content-Length", "\xb2"),), None),
        (("9" * 5000,), (("Content-Length", "9" * 5000),), None),
        (((2, "3"),), (("Content-Length", "2"), ("Content-Length", "3")), None),
        ((None,), (), None),
        ((2, "chunked"), (("Transfer-Encoding", "chunked"), ("Content-Length", "2")), None),
    ],
)
def test_the_head_says_what_was_asked_for(given, headers, promised):
    """And how many bytes that promises, where it is one plain number."""
    lie = WrongLength(b"{}", *given)
    assert lie == b"{}"
    assert (lie.headers, lie.promised_bytes) == (headers, promised)
    assert eval(repr(lie)).headers == headers
    assert pickle.loads(pickle.dumps(lie)).headers == headers


def test_it_shows_itself_as_it_is_written():
    """In a report of hypothesis too."""
    assert repr(WrongLength(b"{}", 100)) == "WrongLength(b'{}', content_length=100)"
    assert repr(WrongLength(b"{}", (2, "x"), "chunked")) == (
        "WrongLength(b'{}', content_length=(2, 'x'), transfer_encoding='chunked')"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((1.5,), "content_length=1.5: give a number, a text, or several in a tuple"),
        (((1, True),), "content_length=True: give a number, a text, or several in a tuple"),
        (("1\r\nX: y",), "content_length='1\\r\\nX: y' holds a character that no header can carry"),
        ((1, "\N{SNOWMAN}"), "transfer_encoding='\N{SNOWMAN}' holds a character that no header can carry"),
    ],
)
def test_what_no_header_can_say_is_refused(given, said):
    with pytest.raises(SetupError) as caught:
        WrongLength(b"{}", *given)
    assert str(caught.value) == f"WrongLength: {said}"

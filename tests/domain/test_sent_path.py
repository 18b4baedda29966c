"""A path as it is sent."""

from __future__ import annotations

import httpx
import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import HttpRequest


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/v1/chat/completions?x=1&y=%20", "/v1/chat/completions?x=1&y=%20"),
        ("/my app/\u20ac", "/my%20app/%E2%82%AC"),
        ("/caf%C3%A9/caf\u00e9", "/caf%C3%A9/caf%C3%A9"),
        ('/a#b"<c>`{d}', "/a%23b%22%3Cc%3E%60%7Bd%7D"),
        ("/\udcff", "/%FF"),
        ("", "/"),
    ],
)
def test_a_path_is_percent_encoded_once(path: str, sent: str) -> None:
    assert HttpRequest("GET", path).sent_path == sent
    assert HttpRequest("GET", sent).sent_path == sent


def test_httpx_changes_nothing_of_it() -> None:
    """Else the one wire would send another path than the other."""
    ascii_marks = "".join(map(chr, range(0x20, 0x7F))).replace("?", "")
    for path in (f"/{ascii_marks}", f"/x?{ascii_marks}", "/\u20ac?\u20ac", "/100%/%zz"):
        sent = HttpRequest("GET", path).sent_path
        assert httpx.URL(f"http://h{sent}").raw_path.decode() == sent


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/a\r\nb", "path '/a\\r\\nb' is not allowed in a URL: it holds a control character"),
        ("/a\x7f", "path '/a\\x7f' is not allowed in a URL: it holds a control character"),
        ("/\ud800", "path '/\\ud800' is not allowed in a URL: surrogates not allowed"),
    ],
)
def test_what_no_url_can_hold_is_the_users_fault(path: str, said: str) -> None:
    with pytest.raises(SetupError) as caught:
        _ = HttpRequest("GET", path).sent_path
    assert str(caught.value) == said

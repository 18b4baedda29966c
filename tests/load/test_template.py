"""Requests that differ in their nonce alone."""

import base64

import msgspec
import pytest

from pytest_llmserve.dialects import DIALECTS, dialect
from pytest_llmserve.domain.marks import nonce
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.load.http import request_bytes
from pytest_llmserve.load.prompts import with_nonce
from pytest_llmserve.load.template import Template, template


def test_the_place_of_the_nonce_is_found():
    made = template(lambda mark: f"POST / [{mark}] 00000000 hello".encode())
    assert made == Template(b"POST / [", b"] 00000000 hello")
    assert made.filled("01234567") == b"POST / [01234567] 00000000 hello"


@pytest.mark.parametrize(
    "written",
    [
        lambda mark: b"the same whatever the nonce",
        lambda mark: f"{mark} and {mark}".encode(),
        lambda mark: base64.b64encode(mark.encode()),
        lambda mark: f"{mark}{int(mark, 16)}".encode(),
    ],
    ids=["absent", "twice", "encoded", "counted"],
)
def test_what_is_no_template_is_not_taken_for_one(written):
    """Such requests are written anew each time."""
    assert template(written) is None


@pytest.mark.parametrize("api", DIALECTS)
@pytest.mark.parametrize("prompt", ["Hi", "\ud800 é \u2028", [{"role": "user", "content": "Hi"}]])
def test_a_filled_template_is_the_request_itself(api, prompt):
    """In every dialect, for texts and for messages, byte for byte."""
    target = msgspec.structs.replace(target_from_url("http://127.0.0.1:8000"), model="m")

    def written(mark):
        marked = f"[{mark}] {prompt}" if isinstance(prompt, str) else with_nonce(prompt, mark, 0)
        return request_bytes(target, dialect(api).encode(target, marked, {"max_tokens": 8}))

    made = template(written)
    for request_id in (0, 7, 123456):
        mark = nonce("abcd", request_id)
        assert made.filled(mark) == written(mark)

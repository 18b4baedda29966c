"""A request as people can send it again."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from pytest_llmserve.domain.exchange import HttpRequest
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.serve.curl import shown_request

TARGET = msgspec.structs.replace(
    target_from_url("http://127.0.0.1:8000"), headers=(("Authorization", "Bearer sk-12345"),)
)
JSON = (("Content-Type", "application/json"),)


def shown(body, path="/v1/completions", target=TARGET):
    return shown_request(target, HttpRequest("POST", path, body, JSON))


def test_a_short_body_is_a_command_without_the_key():
    """Quoted for a shell; the key is hidden in headers and body."""
    assert shown(b"it's sk-12345") == (
        "curl http://127.0.0.1:8000/v1/completions -H 'Authorization: ***'"
        " -H 'Content-Type: application/json' --data-binary 'it'\"'\"'s ***'"
    )


def test_a_server_behind_a_socket_is_asked_through_it():
    command = shown(b"{}", target=target_from_url("http+unix://%2Frun%2Fm.sock"))
    assert command.startswith("curl --unix-socket /run/m.sock http://localhost/v1/completions ")


@pytest.mark.parametrize("body", [b"\xff\x00", b"x" * 201, b"a\nb", b"@/etc/passwd"])
def test_what_no_command_can_carry_is_shown_by_its_beginning_length_and_hash(body):
    """Bytes that are no text, what is long, control characters, what curl takes for the name of a file."""
    found = shown(body)
    assert found.startswith("POST /v1/completions '")
    digest = hashlib.sha256(body).hexdigest()[:16]
    assert found.endswith(f"({len(body)} bytes, sha256 {digest})")
    assert len(found) < 300


def test_secrets_of_the_request_are_hidden_and_before_the_text_is_cut():
    """By their names, or where the target has such a header; others are needed to send it again."""
    target = msgspec.structs.replace(TARGET, headers=(*TARGET.headers, ("X-Tok", "of-the-target")))
    headers = (("X-Api-Key", "second-key"), ("X-Tok", "ab"), ("X-Trace", "seen"))
    found = shown_request(target, HttpRequest("POST", "/p", b"second-key", headers))
    assert found == (
        "curl http://127.0.0.1:8000/p -H 'Authorization: ***' -H 'X-Tok: ***' -H 'X-Api-Key: ***'"
        " -H 'X-Trace: seen' --data-binary '***'"
    )
    body = b"x" * 195 + b"second-key" + b"y" * 9
    assert "x***yy'..." in shown_request(target, HttpRequest("POST", "/p", body, headers))

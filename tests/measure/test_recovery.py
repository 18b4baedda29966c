"""Asked before its end and after its return: as before, otherwise, or not at all."""

from __future__ import annotations

import time

import msgspec
import pytest

from pytest_llmserve.domain.recovery import Before
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.measure.recovery import before_of, wait_recovered
from pytest_llmserve.serve.endpoint import Endpoint


@pytest.fixture
def endpoint_of():
    """``endpoint_of(server)`` -> an endpoint that is closed with the test."""
    made = []

    def open_it(server):
        target = target_from_url(server.url)
        made.append(Endpoint(msgspec.structs.replace(target, api="openai-chat", model="mock")))
        return made[-1]

    yield open_it
    for endpoint in made:
        endpoint.close()


def test_the_answer_before_is_known_where_it_is_the_same_twice(endpoint_of, mock_server):
    """And a server that refuses fields is asked without them."""
    endpoint = endpoint_of(mock_server())
    before = before_of(endpoint)
    assert before.params == {"temperature": 0, "max_tokens": 16}
    assert before.text == endpoint.generate("Say hi.", **before.params).text


def test_another_answer_is_not_right_and_does_not_take_the_whole_time(endpoint_of, mock_server):
    """Three tries; the first one's time is told."""
    found = wait_recovered(
        endpoint_of(mock_server("--tokens", 2)), Before(text="something"), time.monotonic_ns(), 60 * NS_PER_S
    )
    assert not found.right
    assert found.what.endswith(" instead of 'something'")
    assert found.down_ms <= found.answers_ms < 20_000


def test_a_server_that_fails_at_first_is_waited_for(endpoint_of, mock_server):
    """An error is no answer."""
    endpoint = endpoint_of(mock_server("--fail-status", 503, "--fail-first", 3))
    found = wait_recovered(endpoint, Before(), time.monotonic_ns(), 20 * NS_PER_S)
    assert found.right
    assert found.what.endswith("; whether as before is not known: it was not asked before")


def test_fields_that_a_server_refuses_are_left_out(endpoint_of, mock_server):
    """And a server that did not answer before is known as that."""
    assert before_of(endpoint_of(mock_server("--fail-status", 400, "--fail-first", 1))).params == {
        "max_tokens": 16
    }
    before = before_of(endpoint_of(mock_server("--fail-status", 500)))
    assert before.text is None
    assert before.unknown.startswith("it did not answer before (500: ")


def test_a_server_that_ends_again_is_not_waited_for(endpoint_of, mock_server):
    server = mock_server()
    endpoint = endpoint_of(server)
    server.stop()
    began = time.monotonic()
    found = wait_recovered(
        endpoint, Before(), time.monotonic_ns(), 60 * NS_PER_S, lambda: "exited with code 1; its log is empty"
    )
    assert time.monotonic() - began < 10
    assert found.what == (
        "the server took no connection within 1 min of its end:"
        " it ended again: exited with code 1; its log is empty"
    )

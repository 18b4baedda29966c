"""Cases put to a server one after the other: what is asked beside them, and what cannot be seen."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from pytest_llmserve.domain.exchange import HttpRequest
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.measure.survival import Around, Case, Trials
from pytest_llmserve.serve.endpoint import Endpoint

NOWHERE = HttpRequest("POST", "/nowhere", b"{}")


class Put:
    """``put(server)`` -> puts a case to it; the process behind it is not known."""

    def __init__(self, server):
        target = target_from_url(server.url)
        self.endpoint = Endpoint(msgspec.structs.replace(target, api="openai-chat", model="mock"))
        self.trials = Trials(self.endpoint)
        self.workers_gone = 0
        listener = SimpleNamespace(pid=lambda: None, ended=False)
        opened = SimpleNamespace(endpoint=self.endpoint, server=None, why="it is far away", listener=listener)
        watch = SimpleNamespace(tree=(None, "it is far away"))
        self.around = Around(opened, watch, lambda: self.workers_gone)

    def __call__(self, request=NOWHERE, **wishes):
        return self.trials.put(Case(request=request, timeout_s=10, memory_bytes=0, **wishes), self.around)


@pytest.fixture
def put_to():
    made = []

    def open_it(server):
        made.append(Put(server))
        return made[-1]

    yield open_it
    for each in made:
        each.around.close()
        each.endpoint.close()


def test_what_cannot_be_seen_is_said(put_to, mock_server):
    found = put_to(mock_server("--tokens", 1))(NOWHERE, neighbours=False)
    assert found
    assert found.not_seen == (
        "its process (it is far away)",
        "its memory (it is far away)",
        "whether the input was looked at at all, as it was refused with 404",
    )


def test_each_case_costs_two_requests_once_the_server_is_known(put_to, mock_server):
    """The probe and a neighbour."""
    server = mock_server("--tokens", 1, "--ttft-ms", 60)
    put, cases = put_to(server), 5
    put()
    before = len(server.log_rows())
    for _ in range(cases):
        assert put()
    put.around.close()
    assert cases < len(server.log_rows()) - before <= 2 * cases + 2


def test_a_worker_that_ends_with_a_case_is_a_fault_of_that_case_alone(put_to, mock_server):
    """Where something broke; it is looked up seldom, as it reads all processes."""
    put = put_to(mock_server("--tokens", 1, "--fail-status", 500, "--healthy-first", 3))
    body = put.endpoint.request({"messages": []})
    put.workers_gone = 1
    found = [put(body, neighbours=False, probe=False).faults for _ in range(2)]
    assert found == [
        ("1 of its worker processes ended", "it answered 500: planted failure"),
        ("it answered 500: planted failure",),
    ]


def test_answers_in_company_are_learnt_when_company_is_first_wanted(put_to, mock_server):
    """The probe is asked three times alone, and three times more then, but once."""
    server = mock_server("--tokens", 1)
    put = put_to(server)
    put(neighbours=False)
    assert len(put.trials._said) == 3
    put()
    put()
    assert len(put.trials._said) == 6

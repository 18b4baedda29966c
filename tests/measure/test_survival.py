"""Cases put to a server one after the other: what is asked beside them, and what cannot be seen."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from pytest_llmserve.checks.surviving import Beside
from pytest_llmserve.domain.exchange import HttpRequest
from pytest_llmserve.domain.outcome import OK
from pytest_llmserve.domain.survival import Answered
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


class Scripted:
    """A server that answers the probe as `say(in company)` has it, and whatever is around a case."""

    api, target, redact = "json", target_from_url("http://127.0.0.1:1"), staticmethod(str)

    def __init__(self, say):
        self._say, self._company, self.asked = say, False, []
        self.trials = Trials(self)

    def put(self, **wishes):
        return self.trials.put(Case(request=NOWHERE, timeout_s=1, memory_bytes=0, **wishes), self)

    def generate(self, prompt, timeout):
        self.asked.append(self._company)
        return SimpleNamespace(ok=True, outcome=OK, error=None, text=self._say(self._company))

    def answered(self, request, limit_s, *, asked):
        return Answered(outcome=OK, status=200, content_type="application/json", body=b"{}")

    def begin(self):
        pass

    def accompany(self, case, reference):
        self._company = case.neighbours
        return self._company

    def leave_alone(self):
        self._company = False

    def seen(self, case, answered, reference, probes):
        return Beside(sent=b"", reference=reference, probes=probes)


def test_a_word_that_company_changes_later_is_told_and_no_fault():
    """As the answers that decide are asked with nobody beside."""
    server = Scripted(lambda company: "HI" if company and len(server.asked) > 6 else "hi")
    for _ in range(2):
        found = server.put()
        assert found
        assert "otherwise than before 1 of 5 times ('HI' instead of 'hi')" in found.what
    assert server.asked == [False] * 3 + [True] * 3 + 2 * ([True] + [False] * 4)


def test_what_an_input_has_spoilt_is_never_learnt_as_right():
    """A server that answers wrong two times of three, then always: every case that met it says so."""
    server = Scripted(lambda company: "hi" if len(server.asked) in learnt else "GARBAGE")
    learnt = [*range(1, 4), 5, 8]
    found = [server.put(neighbours=n) for n in (False, True, True)]
    assert [each.faults for each in found] == [
        ("it answers the probe otherwise than before, 4 of 6 times: 'GARBAGE' instead of 'hi'",),
        ("it answers the probe otherwise than before: 'GARBAGE' instead of 'hi'",),
        ("it answers the probe otherwise than before: 'GARBAGE' instead of 'hi'",),
    ]
    assert server.trials.reference.texts == {"hi"}

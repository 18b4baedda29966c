"""Real servers that clients leave: a healthy one recovers, each planted fault is found."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from pytest_llmserve.domain.disconnects import BEFORE_FIRST_TOKEN, MID_STREAM, MID_UPLOAD
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.measure.disconnects import Leave, checked, disconnects
from pytest_llmserve.measure.held_up import HeldUp
from pytest_llmserve.measure.opening import ServerWish, open_server
from pytest_llmserve.serve.endpoint import Endpoint

SERVER = Path(__file__).parents[1] / "servers" / "leaving_server.py"
COMMAND = f"{shlex.quote(sys.executable)} {shlex.quote(str(SERVER))} {{port}}"
ALL = (BEFORE_FIRST_TOKEN, MID_STREAM, MID_UPLOAD)


def leave(n=6, within_s=0.5, where=ALL, users=2, prompt=None, max_tokens=64, **params):
    return Leave(n, int(within_s * NS_PER_S), where, users, prompt, max_tokens, params)


@pytest.fixture
def opened(tmp_path):
    """``opened("--fault", "dies")`` -> a server that answers; it ends with the test."""
    made = []

    def start(*options):
        serve = shlex.join(["X", *map(str, options)]).replace("X", COMMAND, 1)
        made.append(open_server(ServerWish(endpoint=None, serve=serve, ready_ns=30 * NS_PER_S), tmp_path))
        return made[-1]

    yield start
    for server in made:
        server.close()


def test_a_server_that_frees_its_slots_has_recovered(opened):
    """With all that can be seen of it: questions, requests that run, open files, its process."""
    found = disconnects(opened(), leave(n=12, within_s=10))
    assert found, found.what
    assert [(row.where, row.clients, row.left) for row in found.leavers] == [(where, 4, 4) for where in ALL]
    assert (found.before.running, found.after.running) == (0, 0)
    assert found.after.open_files <= found.before.open_files + 3
    assert [asked.users for asked in found.after.together] == [1, 2]
    assert found.not_seen == ("requests waiting: the metrics of the server do not tell them",)


@pytest.mark.parametrize(
    ("fault", "where", "said"),
    [
        ("lost_slot", (MID_STREAM,), ["a short question alone: 1 of 1 not answered (no answer within 1."]),
        ("one_lost_slot", (MID_STREAM,), ["2 short questions at once take "]),
        (
            "stuck_count,kept_files,other_words",
            (BEFORE_FIRST_TOKEN, MID_STREAM),
            [
                "it answers otherwise than before: 'other other ",
                "6 requests are running though nobody asks, 0 before",
                " more open files than before (",
            ],
        ),
        ("deaf", (MID_UPLOAD,), ["a short question alone: 1 of 1 not answered (connection refused)"]),
        ("dies", (MID_UPLOAD,), ["the server's process ended: exited with code 3"]),
    ],
)
def test_each_fault_is_found_and_named(opened, fault, where, said, monkeypatch):
    """And the server was well before. A slot that only makes it slow is found where nothing held us up."""
    monkeypatch.setattr(HeldUp, "lap", lambda _: lambda: 0.0)
    slow = ("--token-ms", 25) if fault == "one_lost_slot" else ()
    found = disconnects(opened("--fault", fault, *slow), leave(where=where))
    assert not found
    assert [text for text in said if not any(text in each for each in found.faults)] == [], found.what
    assert not any(asked.errors for asked in found.before.together)


def test_what_cannot_be_tried_or_seen_is_said(opened, mock_server, tmp_path):
    """Answers that are not streamed, or over too soon, a request that is refused, no metrics."""
    server = opened()
    refused = disconnects(server, leave(users=1, prompt="refuse"))
    assert not refused
    assert refused.what.startswith(
        "nothing was tried, as the server was not well before: a short question alone:"
        " the clients' own request was not answered: 400"
    )
    mock = mock_server("--ttft-ms", 2, "--tokens", 3, "--itl-ms", 0)
    wish = ServerWish(endpoint=mock.url, api="openai-chat", ready_ns=30 * NS_PER_S)
    whole = open_server(wish, tmp_path)
    target = structs.replace(whole.endpoint.target, stream=False)
    unstreamed = replace(whole, endpoint=Endpoint(target))
    try:
        found = disconnects(unstreamed, leave(users=1, n=4))
        assert found, found.what
        assert found.not_seen[0] == (
            "nobody can leave in mid-stream, because answers of openai-chat are not streamed here"
        )
        assert found.not_seen[1].startswith("requests that run and wait: the server's metrics are not ")
        with pytest.raises(SetupError, match=r"streamed here: name another place in where=\Z"):
            disconnects(unstreamed, leave(where=(MID_STREAM,)))
    finally:
        whole.close()


def test_all_that_is_wrong_with_the_arguments_is_told_at_once():
    with pytest.raises(SetupError) as wrong:
        checked(leave(n=0, users=True, where=("upload",), max_tokens=2.5))
    assert str(wrong.value) == (
        "recovers_from_disconnects: n=0 is not a whole number from 1 on; users=True is not a whole number"
        " from 1 on; max_tokens=2.5 is not a whole number from 1 on; where=('upload',): name one or more of"
        " before_first_token, mid_stream, mid_upload"
    )

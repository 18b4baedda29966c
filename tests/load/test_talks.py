"""Conversations: each turn carries the real answers before it, over real sockets."""

import json
from collections import defaultdict

import pytest

from pytest_llmserve.domain.entry import Conversation, Prefixed
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.marks import first_of, nonce, turn_of

SALT = "5eed0000"
TALK = Conversation(["Hi", "And then?", "Why?"], system="Be brief.")


@pytest.fixture
def talker(raw_server):
    """``talker(fail=...)``: answers "answer N, to TEXT" in a JSON body; `.heard` are the messages of each."""

    def start(fail=lambda number: False):
        heard = []

        def handle(peer, _):
            while data := raw_server.read_request(peer):
                messages = json.loads(data.partition(b"\r\n\r\n")[2])["messages"]
                heard.append(messages)
                number = len(heard)
                text = f"answer {number}, to {messages[-1]['content']} \u2028\U0001f600"
                answer = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
                status, body = "200 OK", json.dumps(answer).encode()
                if fail(number):
                    status, body = "503 Busy", b"{}"
                head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
                peer.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

        server = raw_server(handle)
        server.heard = heard
        return server

    return start


def texts(messages):
    return [(m["role"], m["content"]) for m in messages]


@pytest.mark.parametrize("transport", ["sockets", "httpx"], indirect=True)
def test_a_turn_carries_all_that_was_said_before_it(talker, load):
    """The system text, the user's and the server's own answers, byte for byte; the mark once, at first."""
    server = talker()
    result = load(server.url, [TALK], users=1, requests=4)
    mark = f"[{nonce(SALT, 0)}] "
    first, second, third, fresh = server.heard
    assert texts(first) == [("system", "Be brief."), ("user", f"{mark}Hi")]
    told = [f"answer 1, to {mark}Hi \u2028\U0001f600", "answer 2, to And then? \u2028\U0001f600"]
    assert second == [
        *first,
        {"role": "assistant", "content": told[0]},
        {"role": "user", "content": "And then?"},
    ]
    assert third == [*second, {"role": "assistant", "content": told[1]}, {"role": "user", "content": "Why?"}]
    assert texts(fresh) == [("system", "Be brief."), ("user", f"[{nonce(SALT, 1)}] Hi")], (
        "the next begins anew"
    )
    assert [(r.turn, r.conversation) for r in result.requests] == [(1, 0), (2, 0), (3, 0), (1, 1)]
    assert [turn_of(r.id) for r in result.requests] == [1, 2, 3, 1]
    assert result.requests[1].text == told[1]
    assert result.requests[2].input_chars == sum(len(text) for _, text in texts(third))
    rows = result.turns
    assert [(row["turn"], row["counts"]["sent"]) for row in rows] == [(1, 2), (2, 1), (3, 1)]
    assert rows[2]["metrics"]["e2e_ms"]["n"] == 1
    assert rows[2]["input_chars"] == result.requests[2].input_chars


def test_users_play_conversations_of_their_own_beside_texts(talker, load):
    """Two workers, three users, a warm-up: nobody's history holds a word of another's."""
    server = talker()
    result = load(
        server.url,
        [TALK, "Plain."],
        users=3,
        requests=60,
        workers=2,
        warm_up_ns=50_000_000,
        think_time_ns=(0, 3),
    )
    assert {r.outcome for r in result.everything} == {"ok"}
    assert len({r.id for r in result.everything}) == len(result.everything)
    talks = defaultdict(list)
    for record in result.everything:
        talks[record.conversation].append(record.turn)
    plain = talks.pop(None)
    assert set(plain) == {0}
    cut = [turns for turns in talks.values() if turns != [1, 2, 3]]
    assert all(turns == [1, 2, 3][: len(turns)] for turns in cut)
    assert len(cut) <= 3, "only what was under way at the end is not played to its end"
    answers = {r.id: r.text for r in result.everything}
    marked = {nonce(SALT, r.id): r for r in result.everything if r.turn == 1}
    for messages in server.heard:
        history = messages[1:-1] if len(messages) > 2 else []
        if history:
            begun = marked[history[0]["content"][1:9]].id
            said = [m["content"] for m in history if m["role"] == "assistant"]
            own = [text for one, text in sorted(answers.items()) if first_of(one) == begun]
            assert said == own[: len(said)]


def test_a_turn_that_failed_ends_its_conversation(talker, load):
    """There is no answer to go on from: the user begins the next one."""
    server = talker(fail=lambda number: number == 2)
    result = load(server.url, [TALK], users=1, requests=4)
    assert [(r.turn, r.ok) for r in result.requests] == [(1, True), (2, False), (1, True), (2, True)]
    assert [row["counts"] for row in result.turns] == [
        {"sent": 2, "ok": 2, "failed": 0},
        {"sent": 2, "ok": 1, "failed": 1},
    ]


def test_a_turn_is_tried_again_before_its_conversation_ends(talker, load):
    """With retries the same request is sent once more, and the conversation goes on from its answer."""
    server = talker(fail=lambda number: number == 2)
    result = load(server.url, [TALK], users=1, requests=3, retries=1)
    assert [(r.turn, r.attempt, r.ok) for r in result.requests] == [
        (1, 1, True),
        (2, 1, False),
        (2, 2, True),
        (3, 1, True),
    ]
    assert server.heard[1] == server.heard[2]
    assert server.heard[3][-2]["content"].startswith("answer 3, to And then?")


def test_without_marks_a_conversation_is_sent_as_it_is(talker, load):
    server = talker()
    load(server.url, [Conversation(["Hi"])], users=1, requests=1, salt=None)
    assert server.heard == [[{"role": "user", "content": "Hi"}]]


def test_what_texts_share_stands_before_the_mark(talker, load):
    """Or a prefix cache would never find it."""
    server = talker()
    load(server.url, [Prefixed("Shared. Own.", 8)], users=1, requests=2)
    assert [m[-1]["content"] for m in server.heard] == [
        f"Shared. [{nonce(SALT, number)}] Own." for number in (0, 1)
    ]


@pytest.mark.parametrize(
    ("shape", "word"),
    [({"rate": 5.0}, "rate"), ({"trace": "t.jsonl"}, "trace")],
)
def test_a_schedule_does_not_wait_for_answers(new_run, tmp_path, monkeypatch, shape, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.jsonl").write_text('{"timestamp": 0, "input_chars": 5}\n')
    with pytest.raises(SetupError) as caught:
        new_run("http://127.0.0.1:9", [TALK], requests=3, **shape)
    assert str(caught.value) == (
        "conversations are for users, who wait for an answer before they go on: give users= or stages=,"
        f" not {word}="
    )

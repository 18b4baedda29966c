"""What to try next with an unknown server, and what to say in the end."""

from __future__ import annotations

import msgspec
import pytest

from pytest_llmserve.domain.exchange import (
    CLOSED_EARLY,
    CONNECTION_RESET,
    NOT_HTTP,
    TIME_LIMIT,
    Decoded,
    Ending,
)
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.serve.faults import NOT_CONNECTED
from pytest_llmserve.serve.opening import (
    Manner,
    Paths,
    first_manner,
    hopeless,
    next_manner,
    pieces,
    refusal,
    several_models,
    unreachable,
)
from pytest_llmserve.serve.reply import Reply, Stamps, make_record

URL = "http://127.0.0.1:9"
CHAT, COMPLETIONS = "openai-chat", "openai-completions"


def answered(status: int | None, error: str | None = None, outcome: str | None = None) -> Reply:
    word = outcome or ("ok" if status == 200 else f"http_{str(status)[0]}xx")
    record = make_record(1, "x", Stamps(0), status, Decoded(outcome=word, error=error), error)
    return Reply(record, "")


def test_first_manner_asks_for_all():
    """OpenAI servers are first asked streamed, with token counts; others plainly."""
    assert first_manner(CHAT, True) == Manner(CHAT, stream=True, stream_usage=True, limit="max_tokens")
    assert first_manner(CHAT, False) == Manner(CHAT, stream=False, stream_usage=False, limit="max_tokens")
    assert first_manner("json", True) == Manner("json", stream=True, stream_usage=False, limit=None)


def test_no_first_request_asks_for_less_than_its_api_takes():
    """OpenAI refuses a max_output_tokens below 16."""
    assert first_manner(CHAT, True).params == {"max_tokens": 4}
    assert first_manner("openai-responses", True).params == {"max_output_tokens": 16}


def test_refused_manners_are_dropped_one_by_one():
    """Every 4xx takes one wish away: token counts, then the stream; then there is nothing left."""
    manner, seen = first_manner(CHAT, True), []
    while manner is not None:
        seen.append((manner.stream, manner.stream_usage))
        manner = next_manner(manner, answered(422, "extra fields"), (), True)
    assert seen == [(True, True), (True, False), (False, False)]


@pytest.mark.parametrize(
    ("stamps", "tokens_from", "said"),
    [
        ((), None, "in one piece"),
        ((5,), "usage", "in one piece, with token counts"),
        ((5, 6), "estimated", "in 2 chunks"),
    ],
)
def test_how_the_first_answer_came_is_told(stamps, tokens_from, said):
    reply = answered(200, None)
    record = msgspec.structs.replace(reply.record, token_ns=stamps, tokens_from=tokens_from)
    assert pieces(msgspec.structs.replace(reply, record=record)) == said


def test_server_that_names_max_tokens_is_asked_by_another_name_then_without():
    """The newer name is tried; a server that refuses that too is asked without a limit."""
    tried = first_manner(CHAT, True)
    following = next_manner(tried, answered(400, "Unsupported parameter: 'max_tokens'"), (), True)
    assert following == Manner(CHAT, stream=True, stream_usage=True, limit="max_completion_tokens")
    assert following.params == {"max_completion_tokens": 4}
    last = next_manner(following, answered(422, "max_completion_tokens: extra field"), (), True)
    assert last == Manner(CHAT, stream=True, stream_usage=True, limit=None)
    assert last.params == {}


def test_an_answer_that_is_cut_before_its_first_word_is_asked_to_be_longer():
    """Four tokens may be half an emoji, or marks before thoughts; once, and not for no reason."""
    tried, empty = first_manner(CHAT, True), answered(200, "empty answer", "malformed")
    cut = msgspec.structs.replace(empty, record=msgspec.structs.replace(empty.record, finish_reason="length"))
    longer = next_manner(tried, cut, (), True)
    assert longer.params == {"max_tokens": 64}
    assert next_manner(longer, cut, (), True) is None
    assert next_manner(tried, empty, (), True) is None
    assert next_manner(msgspec.structs.replace(tried, limit=None), cut, (), True) is None


@pytest.mark.parametrize("status", [404, 405])
def test_missing_chat_falls_back_to_completions(status):
    """A server without chat is asked for completions, from the start; not back again."""
    following = next_manner(first_manner(CHAT, True), answered(status), (COMPLETIONS,), True)
    assert following == first_manner(COMPLETIONS, True)
    after = next_manner(following, answered(status), (COMPLETIONS,), True)
    assert after == Manner(COMPLETIONS, stream=True, stream_usage=False, limit="max_tokens")


def test_other_paths_of_an_app_go_before_other_apis():
    """Each in turn, while there is nothing; then there is nothing left."""
    tried = first_manner("gradio", True)
    second = next_manner(tried, answered(404), (), True, ("/run/f",))
    assert second == msgspec.structs.replace(tried, path="/run/f")
    assert second.apply(Target(scheme="http", host="h", port=1, path="/call/f")).path == "/run/f"
    assert next_manner(second, answered(404), (), True, ("/run/f",)) is None
    assert next_manner(tried, answered(422), (), True, ("/run/f",)) is None


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 503])
def test_what_is_not_about_the_request_ends_the_search(status):
    """A wrong key, a full queue or a crash would be the same in every manner."""
    assert next_manner(first_manner(CHAT, True), answered(status), (COMPLETIONS,), True) is None


def test_broken_stream_is_not_hidden():
    """A stream that breaks is a fault to tell, not a reason to do without streams."""
    broken = answered(200, "cut", outcome="cut_off")
    assert next_manner(first_manner(CHAT, True), broken, (COMPLETIONS,), True) is None


def test_json_servers_have_one_manner():
    """The user's own request is sent as it is, once."""
    assert next_manner(first_manner("json", True), answered(400), (), True) is None


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        (
            [answered(500, "500: out of memory")],
            f"{URL} answered 500 to a one-line prompt: 500: out of memory; see the server's log",
        ),
        (
            [answered(401, "no key")],
            f"{URL} answered 401 to a one-line prompt: no key; give the environment variable that"
            " holds a valid key with --llm-api-key-env VAR",
        ),
        (
            [answered(404, "model m is not here"), answered(404, "no such path")],
            f"{URL} answered 404 to a one-line prompt, POST /v1/chat/completions: model m is not here;"
            " see the server's log",
        ),
        (
            [answered(400, "no stream_options"), answered(500, "crash")],
            f"{URL} answered 500 to a one-line prompt: crash; see the server's log",
        ),
        (
            [answered(None, "no answer within 60 s", "timed_out")],
            f"{URL} did not answer a one-line prompt in time: no answer within 60 s; is it slow?"
            " -o llm_ready_timeout=5m gives it longer; else see the server's log",
        ),
        (
            [answered(200, None, "cut_off")],
            f"{URL} failed on a one-line prompt, the answer began and ended early; see the server's log",
        ),
    ],
)
def test_refusal_says_what_was_seen_and_what_to_do(replies, message):
    """Each way to fail the first question has its sentence."""
    assert refusal(URL, replies, Paths(asked=("/v1/chat/completions", "/v1/completions"))) == message


def test_a_body_that_is_refused_is_the_users_to_write():
    """Of an API that has a body of its own."""
    said = f"{URL} answered 422 to a one-line prompt: no q; "
    template = """if it wants another body, write it with --llm-json-request='{"FIELD": "{prompt}"}', else """
    for named, todo in ((True, template), (False, "")):
        paths = Paths(asked=("/ask",), named=named)
        assert refusal(URL, [answered(422, "no q")], paths) == f"{said}{todo}see the server's log"


def test_a_key_that_is_refused_is_not_called_missing():
    told = refusal(URL, [answered(401, "no")], Paths(asked=("/v1/chat/completions",), key_env="BAD"))
    assert told == (
        f"{URL} refused the key in BAD: it answered 401 to a one-line prompt: no; give the environment"
        " variable that holds a valid key with --llm-api-key-env VAR"
    )


@pytest.mark.parametrize(
    ("posts", "started", "todo"),
    [
        ((), False, f"is it the right path? name it in the URL, such as --llm-endpoint={URL}/PATH; else"),
        (("/generate", "/chat"), False, ""),
        (
            ("/feel", "/chat"),
            False,
            "its /openapi.json has POST /feel, /chat: name it in the URL, such as"
            f" --llm-endpoint={URL}/feel; else",
        ),
        (
            ("/feel",),
            True,
            "its /openapi.json has POST /feel: name it beside --llm-serve, such as"
            " --llm-endpoint='http://127.0.0.1:{port}/feel'; else",
        ),
        (
            tuple(f"/{number}" for number in range(9)),
            False,
            "its /openapi.json has POST /0, /1, /2, /3, /4, /5, /6, /7, ...: name it in the URL, such as"
            f" --llm-endpoint={URL}/0; else",
        ),
    ],
)
def test_a_path_that_is_not_there_is_told_with_those_that_are(posts, started, todo):
    """Where the path is the user's to name, and how; one that is there and answers 404 has its reason."""
    paths = Paths(asked=("/generate",), posts=posts, base=URL, named=True, started=started)
    seen = f"{URL} answered 404 to a one-line prompt, POST /generate: Not Found;"
    assert refusal(URL, [answered(404, "Not Found")], paths).split() == [
        *seen.split(),
        *todo.split(),
        *("see", "the", "server's", "log"),
    ]


@pytest.mark.parametrize(
    ("status", "ending", "message"),
    [
        (
            None,
            Ending(NOT_CONNECTED, "connection refused"),
            f"{URL} refused the connection for 10 s: start the server first,"
            " or let --llm-serve 'CMD --port {port}' start it",
        ),
        (
            None,
            Ending(NOT_CONNECTED, "no route to host"),
            f"{URL} could not be reached (no route to host) for 10 s: start the server first,"
            " or let --llm-serve 'CMD --port {port}' start it",
        ),
        (
            None,
            Ending(NOT_CONNECTED, "TLS: wrong version number"),
            f"{URL} does not answer as its URL says (TLS: wrong version number):"
            " check the port, and http or https",
        ),
        (
            None,
            Ending(NOT_CONNECTED, "TLS: certificate not trusted (x): give its authority with --llm-ca FILE"),
            f"{URL}: TLS: certificate not trusted (x): give its authority with --llm-ca FILE",
        ),
        (
            None,
            Ending(NOT_HTTP, "not HTTP: illegal status line"),
            f"{URL} does not answer as its URL says (not HTTP: illegal status line):"
            " check the port, and http or https",
        ),
        (
            None,
            Ending(CONNECTION_RESET, "connection reset by peer"),
            f"{URL} accepted the connection but closed it without an answer for 10 s:"
            " is it an HTTP server, and is http or https right?",
        ),
        (
            None,
            Ending(TIME_LIMIT, "no answer within 10 s"),
            f"{URL} accepted the connection but did not answer GET /health within 10 s:"
            " does it hang, or is another program there? see the server's log",
        ),
        (
            503,
            Ending("complete"),
            f"{URL} still answered 503 to GET /health after 10 s: is it still loading? see the server's log",
        ),
    ],
)
def test_unreachable_says_what_was_seen_and_what_to_do(status, ending, message):
    """Each way not to come up has its sentence."""
    assert unreachable(URL, "/health", status, ending, 10 * NS_PER_S) == message


def test_waiting_helps_unless_it_is_no_http_or_wrong_tls():
    """A refused or closed connection may be a server that starts; other bytes are another program."""
    assert hopeless(Ending(NOT_HTTP, "x"))
    assert hopeless(Ending(NOT_CONNECTED, "TLS: certificate not trusted (self-signed certificate)"))
    assert not hopeless(Ending(NOT_CONNECTED, "connection refused"))
    assert not hopeless(Ending(NOT_CONNECTED, "TLS: unexpected eof while reading"))
    assert not hopeless(Ending(CLOSED_EARLY, "the server closed the connection"))


def test_choice_of_models_is_the_users():
    """Several models are listed with the option that chooses."""
    assert several_models(URL, ["a", "b"]) == (
        f"{URL} serves several models: a, b; choose one with --llm-model NAME"
    )

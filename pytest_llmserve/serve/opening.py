"""How to open the conversation with an unknown server: what to try next, what to say. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from pytest_llmserve.dialects import dialect
from pytest_llmserve.dialects.encoding import limited
from pytest_llmserve.dialects.fields import LEAST_TOKENS
from pytest_llmserve.dialects.probing import Choice
from pytest_llmserve.domain.exchange import CLOSED_EARLY, CONNECTION_RESET, NOT_HTTP, Ending
from pytest_llmserve.domain.outcome import HTTP_4XX, HTTP_5XX, MALFORMED, OUTCOMES, TIMED_OUT
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.units import duration_text
from pytest_llmserve.serve.faults import NOT_CONNECTED, TLS
from pytest_llmserve.serve.reply import Reply

FIRST_PROMPT = "Say hi."
_FIRST_TOKENS, _MORE_TOKENS = 4, 64
_NOT_FOUND = frozenset({404, 405})
_KEY_WANTED = frozenset({401, 403})
_NOT_THE_REQUEST = frozenset({401, 403, 408, 429})
_LOADING = frozenset({502, 503, 504})
_NAMED_PATHS = 8
_SEE_LOG = "see the server's log"
_OTHER_BODY = """if it wants another body, write it with --llm-json-request='{"FIELD": "{prompt}"}'"""


class Manner(msgspec.Struct, frozen=True):
    """A way to ask.

    Attributes:
        stream_usage: ask for token counts with `stream_options`, which some servers refuse.
        limit: ask for few tokens with this field, which some servers refuse; None = ask for any number.
        tokens: how many.
        path: where to ask, of those that were found; None = at the first.
    """

    api: str
    stream: bool
    stream_usage: bool
    limit: str | None
    tokens: int = _FIRST_TOKENS
    path: str | None = None

    @property
    def params(self) -> dict[str, Any]:
        """Parameters of the first request."""
        return limited(self.limit, max(self.tokens, LEAST_TOKENS.get(self.limit or "", 0)))

    def apply(self, target: Target) -> Target:
        """The target asked in this manner."""
        return msgspec.structs.replace(
            target,
            api=self.api,
            stream=self.stream,
            stream_usage=self.stream_usage,
            limit_name=self.limit,
            path=target.path if self.path is None else self.path,
        )


def pieces(reply: Reply) -> str:
    """How an answer came: "in 4 chunks, with token counts", "in one piece"."""
    chunks = len(reply.record.token_ns)
    how = "in one piece" if chunks <= 1 else f"in {chunks} chunks"
    return f"{how}, with token counts" if reply.tokens_from == "usage" else how


def told_choice(choice: Choice, asked: Target, replies: Sequence[Reply]) -> str:
    """Why a server is asked in this API: the choice, what was refused, how the last prompt was answered."""
    parts = [choice.because]
    absent = choice.api if asked.api != choice.api else choice.path
    if (asked.api, asked.path) != (choice.api, choice.path):
        parts.append(f"{absent} is not there, status {replies[0].status}")
    return "; ".join([*parts, f"a one-line prompt was answered {pieces(replies[-1])}"])


def first_manner(api: str, stream: bool) -> Manner:
    """The most that a server of this API may take."""
    spoken = dialect(api)
    limit = next(iter(spoken.limit_names), None)
    return Manner(api=api, stream=stream, stream_usage=spoken.asks_usage and stream, limit=limit)


def next_manner(
    tried: Manner, reply: Reply, fallbacks: Sequence[str], stream: bool, other_paths: Sequence[str] = ()
) -> Manner | None:
    """What to try after an answer; None when asking otherwise would not help.

    Args:
        tried: what was answered.
        reply: the answer.
        fallbacks: the APIs to try in turn where the one tried is not there.
        stream: streamed answers are wanted.
        other_paths: to try in turn before other APIs.
    """
    status = reply.status
    if _cut_before_a_word(reply) and tried.limit is not None and tried.tokens < _MORE_TOKENS:
        return msgspec.structs.replace(tried, tokens=_MORE_TOKENS)
    if reply.outcome != HTTP_4XX or status in _NOT_THE_REQUEST:
        return None
    if status in _NOT_FOUND and tried.api not in fallbacks:
        paths = other_paths[other_paths.index(tried.path) + 1 :] if tried.path in other_paths else other_paths
        if paths:
            return msgspec.structs.replace(tried, path=paths[0])
    others = fallbacks[fallbacks.index(tried.api) + 1 :] if tried.api in fallbacks else fallbacks
    if status in _NOT_FOUND and others:
        return first_manner(others[0], stream)
    if tried.limit is not None and _last(tried.limit) in (reply.error or ""):
        return msgspec.structs.replace(tried, limit=_next_limit(tried))
    if tried.stream_usage:
        return msgspec.structs.replace(tried, stream_usage=False)
    if tried.stream and dialect(tried.api).limit_names:  # an API that is known, not any JSON
        return msgspec.structs.replace(tried, stream=False)
    return None


def _cut_before_a_word(reply: Reply) -> bool:
    """So few tokens may end inside a character, or be marks before thoughts: no text is seen."""
    return reply.outcome == MALFORMED and reply.finish_reason is not None and not reply.text


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _next_limit(tried: Manner) -> str | None:
    """The field to try when this one is refused."""
    names = dialect(tried.api).limit_names
    return next(iter(names[names.index(str(tried.limit)) + 1 :]), None)


class Paths(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a server's paths.

    Attributes:
        asked: at which each prompt was sent, in order.
        posts: that its OpenAPI document has for POST; empty = it has no such document.
        base: its URL without a path.
        named: the user may name another path than the one asked; else the API has its own.
        started: by `--llm-serve`.
        key_env: environment variable of the key that is sent along, or None.
    """

    asked: tuple[str, ...]
    posts: tuple[str, ...] = ()
    base: str = ""
    named: bool = False
    started: bool = False
    key_env: str | None = None


def refusal(url: str, replies: Sequence[Reply], paths: Paths) -> str:
    """Why the server is unusable, from the answers to all manners tried; the last one failed."""
    # A last 404 comes from the fallback API: what the wanted one said tells more.
    told = replies[0] if replies[-1].status in _NOT_FOUND else replies[-1]
    said = f": {told.error}" if told.error else ""
    if told.status in _KEY_WANTED:
        refused = f"refused the key in {paths.key_env}: it " if paths.key_env else ""
        return (
            f"{url} {refused}answered {told.status} to a one-line prompt{said}; give the environment variable"
            " that holds a valid key with --llm-api-key-env VAR"
        )
    if told.status in _NOT_FOUND:
        path = paths.asked[0 if told is replies[0] else -1]
        return f"{url} answered {told.status} to a one-line prompt, POST {path}{said}; {_todo(path, paths)}"
    if told.outcome == HTTP_4XX and paths.named and told.status not in _NOT_THE_REQUEST:
        return f"{url} answered {told.status} to a one-line prompt{said}; {_OTHER_BODY}, else {_SEE_LOG}"
    if told.outcome in {HTTP_4XX, HTTP_5XX}:
        return f"{url} answered {told.status} to a one-line prompt{said}; {_SEE_LOG}"
    if told.outcome == TIMED_OUT:
        return (
            f"{url} did not answer a one-line prompt in time{said}; is it slow? -o llm_ready_timeout=5m"
            f" gives it longer; else {_SEE_LOG}"
        )
    return f"{url} failed on a one-line prompt, {OUTCOMES[told.outcome]}{said}; {_SEE_LOG}"


def _todo(path: str, paths: Paths) -> str:
    """What to do where there is nothing at this path."""
    if not paths.named or path in paths.posts:
        return _SEE_LOG
    there = ", ".join(paths.posts[:_NAMED_PATHS]) + (", ..." if len(paths.posts) > _NAMED_PATHS else "")
    found = f"its /openapi.json has POST {there}: " if there else "is it the right path? "
    wanted = (*paths.posts, "/PATH")[0]
    if paths.started:
        return (
            f"{found}name it beside --llm-serve, such as --llm-endpoint='http://127.0.0.1:{{port}}{wanted}';"
            f" else {_SEE_LOG}"
        )
    return f"{found}name it in the URL, such as --llm-endpoint={paths.base}{wanted}; else {_SEE_LOG}"


def is_loading(status: int | None) -> bool:
    """True for a status of a server, or a proxy before it, that is not up yet."""
    return status in _LOADING


def hopeless(ending: Ending) -> bool:
    """True when waiting longer cannot help: not HTTP, or TLS that does not match."""
    # A handshake that is cut off may be a server, or a proxy before it, that is not up yet.
    return _other_protocol(ending) and "eof" not in ending.detail.lower()


def _other_protocol(ending: Ending) -> bool:
    return ending.how == NOT_HTTP or (ending.how == NOT_CONNECTED and ending.detail.startswith(TLS))


def unreachable(
    url: str, path: str, status: int | None, ending: Ending, limit_ns: int, *, started: bool = False
) -> str:
    """Why the wait ended: the last thing seen, and what to do."""
    limit = duration_text(limit_ns)
    if status is not None:
        return f"{url} still answered {status} to GET {path} after {limit}: is it still loading? {_SEE_LOG}"
    if ending.how == NOT_CONNECTED and not _other_protocol(ending):
        seen = (
            "refused the connection"
            if ending.detail == "connection refused"
            else f"could not be reached ({ending.detail})"
        )
        if started:
            return (
                f"{url} {seen} for {limit}: the server that was started runs, and does not listen there: does"
                " its command take this port, or does it need longer (llm_ready_timeout)?"
            )
        return (
            f"{url} {seen} for {limit}: start the server first,"
            " or let --llm-serve 'CMD --port {port}' start it"
        )
    if "certificate" in ending.detail:
        return f"{url}: {ending.detail}"
    if _other_protocol(ending):
        return f"{url} does not answer as its URL says ({ending.detail}): check the port, and http or https"
    if ending.how in {CLOSED_EARLY, CONNECTION_RESET}:
        return (
            f"{url} accepted the connection but closed it without an answer for {limit}:"
            " is it an HTTP server, and is http or https right?"
        )
    return (
        f"{url} accepted the connection but did not answer GET {path} within {limit}:"
        f" does it hang, or is another program there? {_SEE_LOG}"
    )


def several_models(url: str, models: Sequence[str]) -> str:
    """What to say when the choice of the model is the user's."""
    return f"{url} serves several models: {', '.join(models)}; choose one with --llm-model NAME"

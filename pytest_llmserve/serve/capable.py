"""Asks a server what it can do. A fault on the way makes that one thing "not known", no more."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from pytest_llmserve.dialects import dialect
from pytest_llmserve.dialects.encoding import limited, merged
from pytest_llmserve.dialects.fields import FIELDS, LEAST_TOKENS, Fields, seeded
from pytest_llmserve.domain.capabilities import Capabilities, Capability, unknown
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import Prompt
from pytest_llmserve.domain.outcome import Outcome
from pytest_llmserve.serve import capabilities as judge
from pytest_llmserve.serve.reply import Reply

if TYPE_CHECKING:
    from pytest_llmserve.serve.endpoint import Endpoint

_ONE_LIMIT_S = 60.0
_LIMIT_S = 180.0
_LEAST_S = 0.05
_TOKENS = 24  # of most answers
_FEW = 6  # to see that fewer come than could
_USUAL = "max_tokens"

MANY_WORDS = "Write a long story about a river."
WHO = "What is your name?"
SYSTEM = f"Your name is {judge.NAME}. Begin every answer with your name, {judge.NAME}."
RANDOM = "Write five random words."


def probe_capabilities(endpoint: Endpoint, limit_s: float = _LIMIT_S) -> Capabilities:
    """Ask about a dozen short questions, one after the other, and tell what was seen.

    Args:
        endpoint: that answers; its dialect and model are decided.
        limit_s: for all of it; what is not asked by then is not known.
    """
    asker = _Asker(endpoint, time.monotonic() + limit_s)
    fields = FIELDS.get(endpoint.api)
    streams, usage = _streaming(asker)
    return Capabilities(
        streaming=streams,
        usage_in_stream=usage,
        system_role=_system_role(asker, fields),
        seed=_seed(asker, fields),
        logprobs=_logprobs(asker, fields),
        max_tokens_name=_max_tokens_name(asker),
    )


class _Asker:
    """Asks one thing at a time, and once more where it was not answered."""

    def __init__(self, endpoint: Endpoint, deadline: float) -> None:
        self.endpoint = endpoint
        self.target = endpoint.target
        self._deadline = deadline

    def ask(self, prompt: Prompt, tokens: int, *params: Mapping[str, Any]) -> Reply:
        """A question; its answer limited to so many tokens where that is known to be taken."""
        together = self._together(tokens, params)
        reply = self.endpoint.generate(prompt, timeout=self._left_s(), **together)
        return reply if reply.ok else self.endpoint.generate(prompt, timeout=self._left_s(), **together)

    def raw(self, prompt: Prompt, tokens: int, *params: Mapping[str, Any]) -> Outcome:
        """The same, with the body as it came."""
        request = self.endpoint.encoded(prompt, self._together(tokens, params))
        for _ in range(2):
            headers, timeout = dict(request.headers), self._left_s()
            outcome = self.endpoint.send(request.body, path=request.path, headers=headers, timeout=timeout)
            if outcome.ok:
                break
        return outcome

    def _together(self, tokens: int, params: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return reduce(merged, params, limited(self.target.limit_name, tokens))

    def _left_s(self) -> float:
        return max(_LEAST_S, min(_ONE_LIMIT_S, self._deadline - time.monotonic()))


def _streaming(asker: _Asker) -> tuple[Capability, Capability]:
    asked = asker.target.stream
    replies = [asker.ask(MANY_WORDS, _TOKENS)]
    if asked and replies[0].ok and len(replies[0].record.token_ns) < 2:
        replies.append(asker.ask(MANY_WORDS, _TOKENS))
    streams = judge.streaming(asked, replies)
    best = max(replies, key=lambda reply: len(reply.record.token_ns))
    return streams, judge.usage_in_stream(streams, best)


def _system_role(asker: _Asker, fields: Fields | None) -> Capability:
    if fields is None or not fields.system:
        return unknown(f"{asker.target.api} has no place for a message of the system that is known")
    question = {"role": "user", "content": WHO}
    without = [asker.ask([question], _TOKENS, fields.steady) for _ in range(2)]
    told = [{"role": "system", "content": SYSTEM}, question]
    return judge.system_role(without, asker.ask(told, _TOKENS, fields.steady))


def _seed(asker: _Asker, fields: Fields | None) -> Capability:
    if fields is None or fields.seed is None:
        return unknown(f"{asker.target.api} has no field for a seed that is known")
    name = fields.seed

    def drawn(seed: int) -> Reply:
        return asker.ask(RANDOM, _TOKENS, seeded(asker.target.api, seed))

    alike = [drawn(1)]
    if not alike[0].ok:
        return judge.seed(name, alike, ())
    alike.append(drawn(1))
    if alike[0].text != alike[1].text:
        # The first one may have been alone in an empty cache.
        alike += [drawn(1), drawn(1)]
    return judge.seed(name, alike, [drawn(2), drawn(3)])


def _logprobs(asker: _Asker, fields: Fields | None) -> Capability:
    if fields is None or fields.logprobs is None:
        return unknown(f"{asker.target.api} has no field for log probabilities that is known")
    return judge.logprobs(asker.raw(MANY_WORDS, _TOKENS, fields.logprobs))


def _max_tokens_name(asker: _Asker) -> Capability:
    name, names = asker.target.limit_name, dialect(asker.target.api).limit_names
    if not names:
        return _described_limit(asker)
    few = max(_FEW, LEAST_TOKENS.get(name or "", 0))
    asked = () if name is None else (few, 4 * few)
    return judge.max_tokens_name(name, names, [(n, asker.ask(MANY_WORDS, n)) for n in asked])


def _described_limit(asker: _Asker) -> Capability:
    """Of a server whose fields are its own: the name that most others have is tried."""
    if asker.target.api != "json":
        return unknown(
            f"what limits an answer is no field of {asker.target.api}: give it its place in"
            " --llm-json-request"
        )
    try:
        cut = [asker.ask(MANY_WORDS, _FEW, {_USUAL: _FEW}) for _ in range(2)]
    except SetupError as error:  # a template that is a list
        return unknown(str(error))
    return judge.cut_by(_USUAL, _FEW, cut, [asker.ask(MANY_WORDS, _FEW) for _ in range(2)])

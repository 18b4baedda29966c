"""What answers say of a server's capabilities. Pure: takes replies, asks nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_llmserve.domain.capabilities import Capability, unknown
from pytest_llmserve.domain.outcome import HTTP_4XX, OUTCOMES, Outcome
from pytest_llmserve.serve.reply import Reply

NAME = "Zebulon"
_TELLING_CHARS = 12
_CHARS_A_TOKEN = 16  # twice as many as most words have
_SLACK_TOKENS = 2  # an end mark, or an empty chunk, may be counted
_NOT_THE_REQUEST = frozenset({401, 403, 408, 429})
_CUT_SHORT = frozenset({"length", "max_tokens", "max_output_tokens"})
_LOGPROB = re.compile(rb'"(?:token_)?logprobs?"\s*:\s*\[?\s*-?\d')


def _fault(what: str, *replies: Reply) -> Capability | None:
    """Refused, or not known for a fault; None when all were answered."""
    faults = (_fault_of(what, reply.outcome) for reply in replies)
    return next((fault for fault in faults if fault is not None), None)


def _fault_of(what: str, outcome: Outcome) -> Capability | None:
    said = outcome.error or f"status {outcome.status}"
    if outcome == HTTP_4XX and outcome.status not in _NOT_THE_REQUEST:
        return Capability(False, "refused", f"{what} was refused twice: {said}")
    if not outcome.ok:
        return unknown(f"{what}, asked twice, was not answered, {OUTCOMES[outcome]}: {said}")
    return None


def streaming(asked: bool, replies: Sequence[Reply]) -> Capability:
    """By the chunks of an answer; a whole one in a single chunk counts once it is long enough to be cut.

    Args:
        asked: a stream was asked for; False = the server refused that when it was opened.
        replies: to prompts that ask for many words.
    """
    if not asked:
        return Capability(False, "refused", "a request with a stream was refused when the server was opened")
    fault = _fault("a request with a stream", *replies)
    if fault is not None:
        return fault
    chunks = max(len(reply.record.token_ns) for reply in replies)
    if chunks > 1:
        return Capability(True, "yes", f"an answer came in {chunks} chunks")
    chars = max(len(reply.text) for reply in replies)
    if chars < _TELLING_CHARS:
        return unknown(f"the longest of {len(replies)} answers had {chars} characters, too few to be cut")
    return Capability(False, "no", f"an answer of {chars} characters came in one piece")


def usage_in_stream(streams: Capability, reply: Reply) -> Capability:
    """By the answer that showed streaming."""
    if not streams.works:
        why = "no answer was streamed" if streams.works is False else "it is not known whether answers stream"
        return unknown(f"{why}: {streams.evidence}")
    if reply.tokens_from == "usage":
        return Capability(True, "yes", f"a streamed answer told that it has {reply.output_tokens} tokens")
    return Capability(False, "no", f"a streamed answer of {len(reply.record.token_ns)} chunks told no count")


def system_role(without: Sequence[Reply], with_it: Reply) -> Capability:
    """By answers to one question at temperature 0, without a message of the system and with one.

    Args:
        without: answers that do not have `NAME`, which no one has told the server.
        with_it: the answer to the same question after "Your name is ...".
    """
    fault = _fault("a message of the system", with_it)
    if fault is not None:
        return fault
    before = [reply.text for reply in without if reply.ok]
    if NAME.lower() in with_it.text.lower() and not any(NAME.lower() in text.lower() for text in before):
        return Capability(True, "changes the answer", f"told that it is {NAME}, the server says so")
    if len(before) > 1 and len({*before}) == 1 and with_it.text != before[0]:
        return Capability(
            True, "changes the answer", "the same question is answered otherwise with a message of the system"
        )
    return Capability(True, "taken", "a message of the system is taken; no change of the answer was seen")


def seed(name: str, alike: Sequence[Reply], others: Sequence[Reply]) -> Capability:
    """By answers that are drawn.

    Args:
        name: of the field that holds the seed.
        alike: those with the same seed, two or more; the last two decide.
        others: those with other seeds.
    """
    fault = _fault(name, *alike, *others)
    if fault is not None:
        return fault
    pair = {reply.text for reply in alike[-2:]}
    if len(pair) > 1:
        return Capability(
            False, "taken", f"{name} is taken, and {len(alike)} answers with the same seed were not alike"
        )
    if {reply.text for reply in others} <= pair:
        return unknown(
            f"{name}: the answer is the same with other seeds too: answers do not seem to be drawn"
        )
    return Capability(
        True, "honoured", f"{name}: the same seed gave the same answer twice, another one another answer"
    )


def logprobs(outcome: Outcome) -> Capability:
    """By numbers of that name in an answer's body."""
    fault = _fault_of("a request for log probabilities", outcome)
    if fault is not None:
        return fault
    if _LOGPROB.search(outcome.body):
        return Capability(True, "yes", "log probabilities came with the answer")
    return Capability(False, "taken", "a request for log probabilities is taken, and none came")


def max_tokens_name(
    name: str | None, names: Sequence[str], answers: Sequence[tuple[int, Reply]]
) -> Capability:
    """By the lengths of two answers to a prompt that asks for many words.

    Args:
        name: of the field that the server took when it was opened.
        names: that the API has.
        answers: the number of tokens each was limited to, and the answer, the shorter first; empty without
            a name.
    """
    if name is None:
        if not names:
            return unknown("no field that limits an answer is known of this API")
        return Capability(False, "none", f"the server refused {' and '.join(names)} when it was opened")
    (few, short_one), (more, long_one) = answers
    fault = _fault(name, short_one, long_one)
    if fault is not None:
        return fault
    short, long = _tokens(short_one), _tokens(long_one)
    if short is None or long is None:
        return unknown(f"{name} is taken; how many tokens an answer has is not known")
    if short > few + _SLACK_TOKENS:
        return Capability(False, "taken", f"{name}={few} is taken, and an answer of {short} tokens came")
    if long > short or short_one.finish_reason in _CUT_SHORT:
        return Capability(True, name, f"{name}={few} gave {short} tokens, {name}={more} gave {long}")
    return unknown(f"{name}={few} gave {short} tokens, and {name}={more} no more: answers are short anyway")


def cut_by(name: str, few: int, cut: Sequence[Reply], whole: Sequence[Reply]) -> Capability:
    """By the lengths of texts, for a field that the server may or may not know.

    Args:
        name: of the field.
        few: tokens that it was given.
        cut: answers to a prompt that asks for many words, with the field.
        whole: without it.
    """
    fault = _fault(name, *cut, *whole)
    if fault is not None:
        return fault
    most, least = max(len(reply.text) for reply in cut), min(len(reply.text) for reply in whole)
    if 2 * most <= least:
        return Capability(True, name, f"{name}={few} gave {most} characters at most, without it {least} came")
    if least < few * _CHARS_A_TOKEN:
        return unknown(f"without {name} {least} characters came: answers are short anyway")
    return Capability(
        False, "taken", f"{name}={few} is taken, and {most} characters came, without it {least}"
    )


def _tokens(reply: Reply) -> int | None:
    """Those the server counted, else chunks; a single chunk says nothing of tokens."""
    if reply.tokens_from == "usage":
        return reply.output_tokens
    chunks = len(reply.record.token_ns)
    return chunks if chunks > 1 else None

"""How the conversation with a server began: what was asked to know it, and what it answered."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from pytest_llmserve.dialects.probing import Asked
from pytest_llmserve.domain.exchange import HttpRequest
from pytest_llmserve.domain.outcome import OUTCOMES
from pytest_llmserve.domain.target import Target
from pytest_llmserve.serve.curl import shown_request
from pytest_llmserve.serve.opening import pieces
from pytest_llmserve.serve.redact import redact
from pytest_llmserve.serve.reply import Reply

_SHOWN_CHARS = 200


class Tried(msgspec.Struct, frozen=True):
    """A one-line prompt in one dialect and manner, and the answer; without secrets.

    Attributes:
        request: as people can send it again.
        answer: how it came, and its text or what was wrong.
    """

    api: str
    request: str
    answer: str


@dataclass
class Story:
    """Grows while the server is opened; then it stays as it is.

    Attributes:
        of: name of the server or model, where there are several.
        beside: stories of the others, that of the first has them.
    """

    asked: list[Asked] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)
    of: str = ""
    beside: list[Story] = field(default_factory=list)


def tried(target: Target, request: HttpRequest, reply: Reply) -> Tried:
    """What is told of one prompt and its answer."""
    if reply.ok:
        text = redact(reply.text, target)
        shown = repr(text[:_SHOWN_CHARS]) + ("..." if len(text) > _SHOWN_CHARS else "")
        answer = f"answered {pieces(reply)}: {shown}"
    else:
        answer = f"{OUTCOMES[reply.outcome]}: {reply.error or f'status {reply.status}'}"
    return Tried(target.api, shown_request(target, request), answer)

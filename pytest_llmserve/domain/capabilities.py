"""What a server was seen to do, each with its evidence. Frozen values."""

from __future__ import annotations

from typing import Any

import msgspec

NOT_KNOWN = "not known"


class Capability(msgspec.Struct, frozen=True):
    """One thing that a server may do. True where it was seen to.

    Attributes:
        works: None = not known.
        word: for people: "yes", "no", "refused", "taken", "honoured", "not known", or a field's name.
        evidence: what was asked, and what came of it, or why it is not known; a sentence.
    """

    works: bool | None
    word: str
    evidence: str

    def __bool__(self) -> bool:
        return self.works is True


def unknown(why: str) -> Capability:
    """One that could not be found out."""
    return Capability(None, NOT_KNOWN, why)


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a server does beyond answering.

    Attributes:
        streaming: an answer comes in several chunks.
        usage_in_stream: a streamed answer tells its number of tokens.
        system_role: a message of the system is taken; `word` tells whether it changed the answer.
        seed: the same seed gives the same answer, and another seed another one.
        logprobs: log probabilities come when they are asked for.
        max_tokens_name: a field limits the length of an answer; `word` is its name.
    """

    streaming: Capability
    usage_in_stream: Capability
    system_role: Capability
    seed: Capability
    logprobs: Capability
    max_tokens_name: Capability

    def as_json(self) -> dict[str, Any]:
        """Plain data for reports."""
        return {name: msgspec.structs.asdict(getattr(self, name)) for name in self.__struct_fields__}

"""What a request asks for, by whatever API it came. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_llmserve.simulator.fields import Refused, kind
from pytest_llmserve.simulator.speech import count_tokens, split_tokens

_SYSTEM = frozenset({"system", "developer"})


@dataclass(frozen=True)
class Question:
    """What is asked for.

    Attributes:
        system, earlier, prompt: text of the system messages, of those between, of the last one.
        input_tokens: of all of them.
        most_tokens: of the answer; None = as many as the simulator likes, 0 = see that the model is there.
        full: the answer goes on until `most_tokens`.
        stop: texts before which it ends.
        stream: it is sent as it comes.
        include_usage: its stream tells token counts at the end.
        pieces: its stream has more than one event.
    """

    system: str = ""
    earlier: str = ""
    prompt: str = ""
    input_tokens: int = 0
    most_tokens: int | None = None
    full: bool = False
    stop: tuple[str, ...] = ()
    stream: bool = False
    include_usage: bool = False
    pieces: bool = True


def conversation(messages: Any, roles: frozenset[str]) -> Question:
    """Read a list of chat messages.

    Raises:
        Refused: it is no list, empty, or a message is wrong; says which.
    """
    if not isinstance(messages, list):
        raise Refused(f"messages is {kind(messages)}, not a list")
    if not messages:
        raise Refused("messages is empty: one at least is needed")
    said = [(_role(i, message, roles), _content(i, message)) for i, message in enumerate(messages)]
    *before, (_, prompt) = said
    return Question(
        system="\n".join(text for role, text in before if role in _SYSTEM),
        earlier="\n".join(text for role, text in before if role not in _SYSTEM),
        prompt=prompt,
        input_tokens=sum(count_tokens(text) for _, text in said),
    )


def _role(place: int, message: Any, roles: frozenset[str]) -> str:
    if not isinstance(message, dict):
        raise Refused(f"messages[{place}] is {kind(message)}, not an object")
    role = message.get("role")
    if not isinstance(role, str) or role not in roles:
        raise Refused(f"messages[{place}].role is none of {', '.join(sorted(roles))}")
    return role


def _content(place: int, message: dict[str, Any]) -> str:
    content, where = message.get("content"), f"messages[{place}].content"
    if content is None and message["role"] == "assistant" and message.get("tool_calls"):
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise Refused(f"{where} is {kind(content)}, not a text or a list of parts")
    for number, part in enumerate(content):
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise Refused(f'{where}[{number}] is not {{"type": "text", "text": "..."}}')
    return "".join(part["text"] for part in content)


def check_fit(question: Question, context: int) -> None:
    """Raise Refused where prompt and answer have no room in the context of so many tokens."""
    answer = question.most_tokens or 0
    if question.input_tokens + max(1, answer) > context:
        raise Refused(
            f"the model's context is {context} tokens: {question.input_tokens} in the prompt"
            f" and {answer} for the answer are too many"
        )


def ended(question: Question, text: str) -> tuple[str, str]:
    """What of an answer's text is said, and why it ends there: "stop", "length" or "load"."""
    if question.most_tokens == 0:
        return "", "load"
    ends = [place for stop in question.stop if (place := text.find(stop)) >= 0]
    if ends:
        return text[: min(ends)], "stop"
    tokens, most = split_tokens(text), question.most_tokens
    if most is not None and (question.full or len(tokens) > most):
        return "".join(tokens[:most]), "length"
    return text, "stop"

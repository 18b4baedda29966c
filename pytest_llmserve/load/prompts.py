"""Which prompt a request carries, and the nonce before it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from pytest_llmserve.domain.entry import Conversation, Entry, Prefixed
from pytest_llmserve.domain.exchange import Prompt
from pytest_llmserve.domain.marks import nonce

DEFAULT_PROMPTS: tuple[str, ...] = (
    "Name three rivers and the seas they flow into.",
    "Explain in two sentences why the sky is blue.",
    "Write a short poem about a lighthouse.",
    "What is the capital of France?",
    "List five uses of a paper clip.",
    "Translate into French: where is the railway station?",
    "Give a recipe for pancakes in four steps.",
    "How does a bicycle stay upright?",
    "Summarise the story of Robinson Crusoe in one sentence.",
    "What is the difference between a lake and a pond?",
    "Suggest a name for a small bakery and say why.",
    "Why do leaves change colour in autumn?",
)


def prompt_order(count: int, seed: int, *, in_order: bool = False) -> list[int]:
    """A seeded order of all prompts, or their own; request i takes entry i modulo `count`."""
    order = list(range(count))
    if not in_order:
        random.Random(seed).shuffle(order)
    return order


def with_nonce(prompt: Prompt, salt: str | None, request_id: int) -> Prompt:
    """Put "[nonce] " before the prompt, or before the text of the user's last message.

    So that no two requests share their whole text, and a prefix cache does not
    flatter the figures.
    """
    return prompt if salt is None else with_mark(prompt, nonce(salt, request_id))


def with_mark(prompt: Prompt, digits: str) -> Prompt:
    """Put "[digits] " before the prompt, or before the text of the user's last message.

    Of a text that begins as others do, it stands behind that beginning, which a prefix cache may so find.
    """
    mark = f"[{digits}] "
    if isinstance(prompt, Prefixed):
        return f"{prompt[: prompt.mark_at]}{mark}{prompt[prompt.mark_at :]}"
    if isinstance(prompt, str):
        return mark + prompt
    at = _last_of_user(prompt)
    said = prompt[at]
    content = said.get("content")
    if isinstance(content, list):  # parts: texts and images
        marked = {**said, "content": [{"type": "text", "text": mark}, *content]}
    elif isinstance(content, str):
        marked = {**said, "content": mark + content}
    else:
        return prompt
    return [*prompt[:at], marked, *prompt[at + 1 :]]


def _last_of_user(messages: Sequence[dict[str, object]]) -> int:
    """Where the user last spoke; the last message where the user does not."""
    places = [at for at, message in enumerate(messages) if message.get("role") == "user"]
    return places[-1] if places else len(messages) - 1


def prompts_hash(prompts_json: bytes, trace_json: bytes = b"[]") -> str:
    """Tells one prompt set from another without telling what is in it: 32 hex digits of SHA-256.

    Args:
        prompts_json: the prompts in their order, as they are sent to the load workers.
        trace_json: the rows of a trace, likewise.
    """
    import hashlib  # with OpenSSL, which a worker has no use for

    return hashlib.sha256(b"%d " % len(prompts_json) + prompts_json + trace_json).hexdigest()[:32]


def as_prompts(prompts: object) -> list[Entry]:
    """Accept one prompt or a sequence of them; None = a small mixed set.

    Raises:
        ValueError: not a sequence, empty, or an entry that is neither text, chat messages nor a conversation.
    """
    if prompts is None:
        return list(DEFAULT_PROMPTS)
    if isinstance(prompts, Conversation):
        return [prompts]
    if not isinstance(prompts, Iterable):
        raise ValueError(f"prompts is {prompts!r}: give a text, or a list of texts or of chat message lists")
    entries: Sequence[object] = [prompts] if isinstance(prompts, str) else list(prompts)
    if not entries:
        raise ValueError("prompts is empty: give a text, or a list of texts or of chat message lists")
    if all(isinstance(entry, dict) for entry in entries):
        entries = [entries]
    checked: list[Entry] = []
    for position, entry in enumerate(entries):
        chat = isinstance(entry, list) and entry and all(isinstance(m, dict) for m in entry)
        if not isinstance(entry, (str, Conversation)) and not chat:
            raise ValueError(
                f"prompts[{position}] is {entry!r}: a prompt is a text, a Conversation, or a list of messages"
                ' such as [{"role": "user", "content": "..."}]'
            )
        checked.append(entry)  # type: ignore[arg-type]
    return checked

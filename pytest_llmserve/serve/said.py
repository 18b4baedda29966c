"""What was asked of a server, to take it out of what the server tells: its log repeats prompts too."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from pytest_llmserve.dialects.asked_texts import texts_of
from pytest_llmserve.domain.hiding import PROMPT, forms, without

NOT_SHOWN = "[a text that is not shown: it may hold a prompt; --llm-keep-text shows it]"
_REQUESTS = 64
_MOST_CHARS = 8_000_000
"""More is not searched: a line would take seconds."""


class Said:
    """Mutable; one endpoint long. Nothing is worked out before there is a text to hide something in."""

    def __init__(self) -> None:
        self._requests: deque[bytes] = deque(maxlen=_REQUESTS)
        self._loads: deque[Callable[[], Iterable[str]]] = deque(maxlen=_REQUESTS)
        self._of_loads: list[str] | None = []

    def request(self, body: bytes) -> None:
        """One was sent."""
        self._requests.append(body)

    def load(self, texts: Callable[[], Iterable[str]]) -> None:
        """A load begins; `texts` tells all that it will say."""
        self._loads.append(texts)
        self._of_loads = None

    def without(self, text: str) -> str:
        """The text without what was said; all of it is withheld where that is too much to look for."""
        if self._of_loads is None:
            every = (one for texts in list(self._loads) for one in texts())
            self._of_loads = forms(_within(every, _MOST_CHARS))
        if sum(map(len, self._of_loads)) > _MOST_CHARS:
            return NOT_SHOWN
        said = forms(one for body in list(self._requests) for one in texts_of(body))
        return without(text, [*said, *self._of_loads], PROMPT)


def _within(texts: Iterable[str], most_chars: int) -> list[str]:
    """Each text once, and no more when there are more characters than so many."""
    found: dict[str, None] = {}
    chars = 0
    for text in texts:
        chars += 0 if text in found else len(text)
        found[text] = None
        if chars > most_chars:
            break
    return list(found)

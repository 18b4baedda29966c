"""What was asked of a server, to take it out of what the server tells: its log repeats prompts too."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from pytest_llmserve.dialects.asked_texts import texts_of
from pytest_llmserve.domain.errors import LlmServeError
from pytest_llmserve.domain.hiding import PROMPT, without_each

NOT_SHOWN = "[a text that is not shown: it may hold a prompt; --llm-keep-text shows it]"
_REQUESTS = 64
_MOST_BYTES = 32_000_000
_MOST_S = 5.0
"""Looking for it takes no longer, all in all in a test."""


class Said:
    """Mutable; one endpoint long. Nothing is worked out before there is a text to hide something in.

    Args:
        clock: in s.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before, self._now = _OfTest(), _OfTest()
        self._left_s = _MOST_S

    def begin(self) -> None:
        """A test begins. The server may still be at what the one before it asked; older things are let go."""
        self._before, self._now = self._now, _OfTest()
        self._left_s = _MOST_S

    def request(self, body: bytes) -> None:
        """One was sent."""
        self._now.request(body)

    def load(self, texts: Callable[[], Iterable[str]]) -> None:
        """A load begins; `texts` tells all that it will say."""
        self._now.loads.append(texts)

    def without(self, texts: Sequence[str]) -> list[str]:
        """The texts without what was said; they are withheld where that cannot be looked for in time."""
        began_s = self._clock()
        every = (one for test in (self._now, self._before) for one in test.texts())
        try:
            clean = without_each(texts, every, PROMPT, lambda: self._clock() - began_s > self._left_s)
        except (LlmServeError, OSError):  # the file of a trace is gone: what was said is not known any more
            clean = None
        self._left_s -= self._clock() - began_s
        return [NOT_SHOWN] * len(texts) if clean is None else clean


class _OfTest:
    """What one test asked. Mutable; bounded."""

    def __init__(self) -> None:
        self.loads: deque[Callable[[], Iterable[str]]] = deque(maxlen=_REQUESTS)
        self.requests: deque[bytes] = deque(maxlen=_REQUESTS)

    def request(self, body: bytes) -> None:
        self.requests.append(body)
        while len(self.requests) > 1 and sum(map(len, self.requests)) > _MOST_BYTES:
            self.requests.popleft()

    def texts(self) -> Iterator[str]:
        for body in list(self.requests):
            yield from texts_of(body)
        for texts in list(self.loads):
            yield from texts()

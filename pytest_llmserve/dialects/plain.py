"""What the dialects share whose answers need nothing but a reader."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from pytest_llmserve.dialects.decoding import make_decoder
from pytest_llmserve.dialects.piece import Reader
from pytest_llmserve.domain.exchange import Decoder, OneStep
from pytest_llmserve.domain.target import Target


class Read(OneStep, ABC):
    """A dialect that is answered at once, and read by a reader that needs no target. To inherit from."""

    @abstractmethod
    def reader(self) -> Reader:
        """One, made for one answer."""

    def decoder(
        self,
        target: Target,  # noqa: ARG002
        status: int,
        headers: Sequence[tuple[str, str]],
    ) -> Decoder:
        """Return a decoder for an answer with this status and these headers (names in lower case)."""
        return make_decoder(self.reader(), status, headers)

"""Conversations under way: whose turn carries what, and what became of the answers before it.

An answer is needed when its user speaks next, not when it lands: until then it waits to be decoded with the
others, and a user who thinks for a while finds it decoded.
"""

from __future__ import annotations

from typing import Any

from pytest_llmserve.domain.entry import Conversation, message
from pytest_llmserve.domain.marks import turn_id
from pytest_llmserve.load.flight import Flight, Landed, Recorder
from pytest_llmserve.load.prompts import with_nonce
from pytest_llmserve.load.requests import RequestWriter


class Talk:
    """One conversation. Mutable: lives from its first turn to its last.

    Attributes:
        turn: the one under way, from 1.
        messages: all that was said, the turn's text the last.
        landed: the answer to the turn, once it is over.
    """

    __slots__ = ("first_id", "landed", "messages", "of", "turn")

    def __init__(self, of: Conversation, first_id: int, messages: list[dict[str, Any]]) -> None:
        self.of, self.first_id, self.messages = of, first_id, messages
        self.turn = 1
        self.landed: Landed | None = None

    @property
    def is_over(self) -> bool:
        """Its last turn has been sent."""
        return self.turn == len(self.of.turns)

    def go_on(self, answer: str) -> None:
        """The next turn."""
        said = self.of.turns[self.turn]
        self.messages += [message("assistant", answer), message("user", said)]
        self.turn += 1
        self.landed = None


class Talks:
    """The conversations of one worker's users. One run long."""

    def __init__(self, requests: RequestWriter, recorder: Recorder, salt: str | None) -> None:
        self._requests, self._recorder, self._salt = requests, recorder, salt
        self._of_user: dict[int, Talk] = {}

    def begin(self, user: int, request_id: int, warm_up: bool, stage: int) -> Flight | None:
        """The first request of a conversation; None = the request's entry is none."""
        entry = self._requests.entry(request_id)
        if not isinstance(entry, Conversation):
            return None
        messages = with_nonce(entry.messages(), self._salt, request_id)
        assert isinstance(messages, list)
        talk = self._of_user[user] = Talk(entry, request_id, messages)
        return self._flight(talk, warm_up, stage)

    def go_on(self, user: int, warm_up: bool, stage: int) -> Flight | None:
        """The next request of a user's conversation; None = there is none, or it is over or failed."""
        talk = self._of_user.get(user)
        if talk is None:
            return None
        assert talk.landed is not None
        answer = None if talk.is_over else self._recorder.answer(talk.landed)
        if answer is None:
            del self._of_user[user]
            return None
        talk.go_on(answer)
        return self._flight(talk, warm_up, stage)

    def landed(self, user: int, landed: Landed) -> None:
        """A user's request is over, and is not tried again."""
        talk = self._of_user.get(user)
        if talk is not None:
            talk.landed = landed

    def _flight(self, talk: Talk, warm_up: bool, stage: int) -> Flight:
        request_id = turn_id(talk.first_id, talk.turn)
        raw, chars, task, replica = self._requests.write_turn(request_id, talk.messages)
        flight = Flight(request_id, raw, chars, task, warm_up, stage, replica)
        flight.turn = talk.turn
        return flight

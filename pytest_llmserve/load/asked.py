"""What each request of a run asked, worked out again from its plan and prompts."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_llmserve.domain.entry import Conversation, Entry
from pytest_llmserve.domain.exchange import Prompt, prompt_chars
from pytest_llmserve.domain.marks import first_of, turn_of
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.load.prompts import prompt_order, with_nonce
from pytest_llmserve.load.trace import prompt_text, read_trace, sized, within_plan


class Asked:
    """The prompts of one run by request id.

    Args:
        plan: of the run.
        prompts: that it was given.

    Raises:
        SetupError: the trace cannot be read any more.
    """

    def __init__(self, plan: LoadPlan, prompts: Sequence[Entry]) -> None:
        self._salt, self._prompts = plan.salt, prompts
        self._order = prompt_order(len(prompts), plan.seed, in_order=plan.in_order)
        self._rows = [] if plan.trace is None else within_plan(read_trace(plan.trace, plan.speed), plan)

    def prompt(self, request_id: int) -> Prompt:
        """What the user gave, without the mark; of a conversation what is new in the turn."""
        own = self._prompts[self._order[first_of(request_id) % len(self._order)]]
        if isinstance(own, Conversation):
            turn = turn_of(request_id)
            return own.messages() if turn == 1 else own.turns[turn - 1]
        if not self._rows:
            return own
        row = self._rows[request_id]
        if row.chars is None:
            return own if row.prompt is None else row.prompt
        return sized(prompt_text(own), max(1, row.chars - prompt_chars(self._marked("", request_id))))

    def sent(self, request_id: int) -> Prompt:
        """What went over the wire: with the mark, which stands in a conversation's first turn."""
        if turn_of(request_id) > 1:
            return self.prompt(request_id)
        return self._marked(self.prompt(request_id), request_id)

    def _marked(self, prompt: Prompt, request_id: int) -> Prompt:
        return with_nonce(prompt, self._salt, request_id)

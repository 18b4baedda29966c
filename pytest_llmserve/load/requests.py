"""Writes the requests of one worker, each with its prompt, its nonce and its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from pytest_llmserve.dialects import dialect
from pytest_llmserve.dialects.encoding import asked
from pytest_llmserve.domain.entry import Conversation, Entry, first_prompt
from pytest_llmserve.domain.exchange import Dialect, Prompt, prompt_chars
from pytest_llmserve.domain.marks import first_of, nonce
from pytest_llmserve.domain.replicas import Rota, replicas_of
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.task import Manner
from pytest_llmserve.load.http import Answer, request_bytes
from pytest_llmserve.load.job import Job
from pytest_llmserve.load.prompts import prompt_order, with_mark, with_nonce
from pytest_llmserve.load.template import Template, template

# Templates are kept for so many prompts, up to this length of request each: 64 MB at the most.
_KEPT, _LONGEST_BYTES = 1024, 65_536


class Written(NamedTuple):
    """A request as it goes over the wire, and the number of the replica that it is for."""

    raw: bytes
    input_chars: int
    task: str | None
    replica: int = 0


class RequestWriter:
    """Request i carries the prompt that the seeded order has at place i.

    A request of the prompt set differs from the last one of its prompt in the nonce alone, so
    it is written once and filled in from then on.

    Attributes:
        two_steps: an answer may have to be fetched by a second request, see `next_bytes`.
        servers: number of the server of each replica.
    """

    def __init__(self, job: Job) -> None:
        self._plan, self._tasks = job.plan, job.tasks
        replicas = replicas_of(job.target)
        self._targets = [replica.target for replica in replicas]
        self.servers = [replica.server for replica in replicas]
        self._dialect = dialect(job.target.api)
        self.two_steps = self._dialect.two_steps
        self._prompts = job.prompts()
        self._manners = job.manners
        self._order = prompt_order(len(self._prompts), job.plan.seed, in_order=job.plan.in_order)
        self._rota = Rota(len(replicas), (len(self._order), job.plan.workers))
        self._templates: dict[tuple[int, int], tuple[Template, int] | None] = {}

    @property
    def converses(self) -> bool:
        """Some of the prompts are conversations."""
        return any(isinstance(prompt, Conversation) for prompt in self._prompts)

    def entry(self, request_id: int) -> Entry:
        """The entry of the set for a request."""
        return self._prompts[self._place(request_id)]

    def prompt(self, request_id: int) -> Prompt:
        """The prompt of the set for a request, without its nonce; of a conversation its beginning."""
        return first_prompt(self.entry(request_id))

    def _place(self, request_id: int) -> int:
        return self._order[first_of(request_id) % len(self._order)]

    def _replica(self, request_id: int) -> int:
        """A conversation keeps to one: its answers are that model's, and its history is in that cache."""
        return self._rota.of(first_of(request_id))

    def mark_chars(self, request_id: int) -> int:
        """How much the nonce adds to a text."""
        return prompt_chars(with_nonce("", self._plan.salt, request_id))

    def write(
        self, request_id: int, prompt: Prompt | None = None, params: dict[str, Any] | None = None
    ) -> Written:
        """Write a request; the prompt is the set's unless one is given, `params` come over the plan's."""
        entry = self._place(request_id)
        task = self._tasks[entry] if self._tasks else None
        salt, replica = self._plan.salt, self._replica(request_id)
        if prompt is None and params is None and salt is not None:
            place = (entry, replica)
            kept = self._templates[place] if place in self._templates else self._template(entry, replica)
            if kept is not None:
                return Written(kept[0].filled(nonce(salt, request_id)), kept[1], task, replica)
        text = first_prompt(self._prompts[entry]) if prompt is None else prompt
        return self._written(with_nonce(text, salt, request_id), params, task, replica)

    def write_turn(self, request_id: int, messages: list[dict[str, Any]]) -> Written:
        """Write the request of a conversation's turn; its history bears the mark already."""
        entry = self._place(request_id)
        task = self._tasks[entry] if self._tasks else None
        return self._written(messages, None, task, self._replica(request_id))

    def _written(
        self, prompt: Prompt, params: dict[str, Any] | None, task: str | None, replica: int
    ) -> Written:
        return Written(self._bytes(prompt, params, task, replica), prompt_chars(prompt), task, replica)

    def next_bytes(self, raw: bytes, answer: Answer, replica: int = 0) -> bytes | None:
        """The request that fetches what the request `raw` ordered; None = `answer` is the answer."""
        path = raw.split(b" ", 2)[1].decode("latin-1")
        body = b"".join(answer.pieces)
        target = self._targets[replica]
        request = self._dialect.next_request(target, path, answer.status or 0, body)
        return None if request is None else request_bytes(target, request)

    def _bytes(self, prompt: Prompt, params: dict[str, Any] | None, task: str | None, replica: int) -> bytes:
        manner = None if task is None else self._manners.get(task)
        target = self._targets[replica]
        return request_of(target, self._dialect, prompt, self._plan.params, manner, params)

    def _template(self, entry: int, replica: int) -> tuple[Template, int] | None:
        if len(self._templates) >= _KEPT:
            return None
        prompt = first_prompt(self._prompts[entry])
        task = self._tasks[entry] if self._tasks else None
        found = template(lambda mark: self._bytes(with_mark(prompt, mark), None, task, replica))
        if found is not None and len(found.head) + len(found.tail) > _LONGEST_BYTES:
            found = None
        chars = prompt_chars(with_mark(prompt, "0" * 8))
        self._templates[entry, replica] = kept = None if found is None else (found, chars)
        return kept


def request_of(
    target: Target,
    dialect: Dialect,
    prompt: Prompt,
    fields: Mapping[str, Any],
    manner: Manner | None = None,
    own: Mapping[str, Any] | None = None,
) -> bytes:
    """A request as it goes over the wire.

    Args:
        target: where it goes.
        dialect: how it is written.
        prompt: with its mark.
        fields: of all requests of the load.
        manner: its task's; its fields come over those of the load.
        own: its own fields, over both.

    Raises:
        SetupError: something of it cannot be sent.
    """
    if manner is not None:
        fields = {**fields, **manner.params}
    if own is not None:
        fields = {**fields, **own}
    request = asked(dialect, target, prompt, fields)
    if manner is not None and manner.path is not None:
        request = msgspec.structs.replace(request, path=manner.path)
    return request_bytes(target, request)

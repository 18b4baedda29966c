"""One request for an answer, from its arrival to its end."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_llmserve.simulator import speech, wire
from pytest_llmserve.simulator.faces.face import Answer, Face
from pytest_llmserve.simulator.faults.fault import Asked, Fault, Stream
from pytest_llmserve.simulator.fields import Refused, parse_object
from pytest_llmserve.simulator.question import Question, check_fit, ended
from pytest_llmserve.simulator.switches import UnknownFault, make_fault

if TYPE_CHECKING:
    from pytest_llmserve.simulator.connection import Connection
    from pytest_llmserve.simulator.server import Simulator

FAULT_HEADER = "x-simulator-fault"


_ANY = Question()
"""Stands for one that cannot be read; a fault may answer it all the same."""


@dataclass(frozen=True)
class _Read:
    """A request's body as far as it could be read."""

    body: dict[str, Any] | None = None
    question: Question = _ANY
    text: str = ""
    finish: str = "stop"
    status: int = 200
    error: str = ""


class Exchange:
    """One request and its answer."""

    def __init__(
        self, server: Simulator, face: Face, request: wire.Request, connection: Connection, number: int
    ) -> None:
        self._server = server
        self._face = face
        self._request = request
        self._connection = connection
        self._number = number
        self._begun_ns = request.received_ns
        self._faults: list[Fault] = server.faults

    async def run(self) -> bool:
        """Answer; True when the connection may stay open."""
        read = self._read()
        asked = self._asked(read)
        for fault in self._faults:
            fault.asked(asked)
        # Each is asked, whatever those before it said: it may keep what it sees.
        deadlocks = [fault.deadlocks(asked.active) for fault in self._faults]
        self._server.stuck = self._server.stuck or any(deadlocks)
        if asked.status != 200:
            body = self._face.error(asked.error or wire.reason(asked.status), asked.status)
            return await self._connection.answer(asked.status, "application/json", body)
        return await self._in_slot(read, asked)

    def _read(self) -> _Read:
        settings, read = self._server.settings, _Read()
        try:
            self._faults = self._server.faults + self._faults_of_request()
            read = replace(read, body=parse_object(self._request.body))
            assert read.body is not None
            question = self._face.read(read.body, settings.model)
            read = replace(read, question=question)
            check_fit(question, settings.context)
        except Refused as error:
            return replace(read, status=error.status, error=str(error))
        tokens = question.most_tokens if question.full and question.most_tokens else settings.tokens
        text = speech.answer(question.system, question.prompt, tokens, earlier=question.earlier)
        text, finish = ended(question, text)
        return replace(read, text=text, finish=finish)

    def _faults_of_request(self) -> list[Fault]:
        named = self._request.headers.get(FAULT_HEADER, "")
        try:
            return [make_fault(text, self._server.settings.seed) for text in named.split(";") if text.strip()]
        except UnknownFault as error:
            raise Refused(f"header {FAULT_HEADER}: {error}") from None

    def _asked(self, read: _Read) -> Asked:
        return Asked(
            number=self._number,
            since_s=self._server.since_s,
            face=self._face.name,
            body=read.body,
            raw=self._request.body,
            system=read.question.system,
            prompt=read.question.prompt,
            stream=read.question.stream,
            active=self._server.under_way,
            text=read.text,
            status=read.status,
            error=read.error,
        )

    async def _in_slot(self, read: _Read, asked: Asked) -> bool:
        slots, counts = self._server.slots, self._server.counts
        has_slot, held = False, 0
        try:
            await slots.take()
            has_slot = True
            answer = self._answer(read, asked)
            counts.prompt_tokens += answer.prompt_tokens
            held = answer.prompt_tokens + len(answer.tokens)
            counts.held_tokens += held
            send = self._streamed if asked.stream else self._whole
            stays = await send(read.question, asked, answer)
            counts.finished[answer.finish] += 1
        except asyncio.CancelledError:
            if not self._connection.left:
                raise
            counts.finished["abort"] += 1
            noticed = [fault.left(asked) for fault in self._faults]
            if not all(noticed):
                if not has_slot:
                    slots.lose()
                has_slot, held = False, 0  # for ever
            return False
        finally:
            counts.held_tokens -= held
            if has_slot:
                slots.give()
        return stays

    def _answer(self, read: _Read, asked: Asked) -> Answer:
        self._begun_ns = time.monotonic_ns()
        law, tokens = self._server.settings.law, speech.split_tokens(asked.text)
        prompt_tokens = read.question.input_tokens
        return Answer(
            number=self._number,
            model=self._server.settings.model,
            created_s=time.time(),
            tokens=tokens,
            dues_ms=law.dues_ms(self._number, prompt_tokens, len(tokens), asked.late_ms, asked.token_late_ms),
            waited_ms=(self._begun_ns - self._request.received_ns) / 1e6,
            finish=read.finish,
            prompt_tokens=prompt_tokens,
        )

    async def _whole(self, _: Question, asked: Asked, answer: Answer) -> bool:
        body = self._face.whole(answer)
        for fault in self._faults:
            body = fault.whole(asked, body)
        await self._until(answer.last_ms)
        self._server.counts.generation_tokens += len(answer.tokens)
        return await self._connection.answer(200, "application/json", body)

    async def _streamed(self, question: Question, asked: Asked, answer: Answer) -> bool:
        stream = Stream(self._face.parts(question, answer))
        for fault in self._faults:
            fault.streamed(asked, stream)
        framing = "chunked" if self._request.version else "close"
        if stream.length is not None:
            framing = "content-length"
        stays = framing != "close" and self._request.stays
        self._connection.status = 200
        ready = wire.head(200, self._face.stream_type, framing, stream.length or 0, close=not stays)
        for place, part in enumerate(stream.parts):
            if not self._is_due(part.due_ms):
                await self._connection.send(ready)
                ready = b""
                await self._until(part.due_ms)
                part = stream.parts[place]  # a fault may have exchanged it meanwhile
            self._server.counts.generation_tokens += part.tokens
            ready += wire.framed(framing, part.data) if part.data else b""
        await self._connection.send(ready + (wire.last(framing) if stream.then == "end" else b""))
        return await self._then(stream.then) and stays

    async def _then(self, then: str) -> bool:
        """End the body in this way; True when it is a good one."""
        if then == "hang":
            await asyncio.get_running_loop().create_future()
        if then == "reset":
            self._connection.reset()
        return then == "end"

    def _is_due(self, due_ms: float) -> bool:
        return not self._server.stuck and time.monotonic_ns() >= self._begun_ns + due_ms * 1e6

    async def _until(self, due_ms: float) -> None:
        """Sleep to an instant counted from when the slot was had, so that a late one delays no other."""
        due_ns = self._begun_ns + round(due_ms * 1e6)
        await asyncio.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        if self._server.stuck:
            await asyncio.get_running_loop().create_future()

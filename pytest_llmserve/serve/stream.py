"""An answer that is read piece by piece, from sync or async code."""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections.abc import AsyncIterator, Callable, Iterator

from pytest_llmserve.domain.errors import LlmServeError, SetupError
from pytest_llmserve.serve.call import Call
from pytest_llmserve.serve.reply import Reply
from pytest_llmserve.serve.wire import GRACE_S, Wire

MakeCall = Callable[[Callable[[str], None]], Call]


class _UnderWay:
    """What both kinds of stream share: the call, its end, and the way to cut it off."""

    def __init__(self, wire: Wire, call: Call, request_id: int) -> None:
        self._wire = wire
        self._call = call
        self._id = request_id
        self._reply: Reply | None = None
        wire.submit(call.exchange)

    @property
    def reply(self) -> Reply:
        """The whole answer, once the stream has ended or was closed.

        Raises:
            SetupError: asked for too early.
        """
        if self._reply is None:
            raise SetupError(
                "the answer has not ended: iterate over the stream to its end, then ask for .reply"
            )
        return self._reply

    def _seal(self) -> None:
        if self._reply is None:
            self._reply = self._call.reply(self._id)

    def close(self) -> None:
        """Close the connection if the answer has not ended; `reply` then has what came."""
        if self._reply is None:
            self._wire.cut(self._call.exchange)
            self._seal()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._reply or 'under way'})"


class Stream(_UnderWay):
    """Text pieces as they come: ``for piece in stream``. The request is already sent.

    Leaving the loop, or the `with` statement, closes the connection.
    """

    def __init__(self, wire: Wire, make_call: MakeCall, request_id: int) -> None:
        self._pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        super().__init__(wire, make_call(self._pieces.put), request_id)
        self._call.exchange.done.add_done_callback(lambda _: self._pieces.put(None))

    def __iter__(self) -> Iterator[str]:
        limit_s = self._call.exchange.limit_s + GRACE_S
        try:
            while self._reply is None:
                piece = self._pieces.get(timeout=limit_s)
                if piece is not None:
                    yield piece
                    continue
                self._call.exchange.done.result()
                self._seal()
                if rest := self._call.rest():
                    yield rest
        except queue.Empty:
            raise LlmServeError(
                "the HTTP client's thread does not answer: was this process forked?"
            ) from None
        finally:
            self.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncStream(_UnderWay):
    """Text pieces as they come: ``async for piece in stream``. The request is already sent.

    Leaving the `async with` statement closes the connection at once; leaving a bare loop does
    so when the event loop next runs.
    """

    def __init__(self, wire: Wire, make_call: MakeCall, request_id: int) -> None:
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self._caller = asyncio.get_running_loop()
        super().__init__(wire, make_call(self._put), request_id)
        self._call.exchange.done.add_done_callback(lambda _: self._put(None))

    def _put(self, piece: str | None) -> None:
        # The caller's loop may be closed by now: then nobody waits for the piece.
        with contextlib.suppress(RuntimeError):
            self._caller.call_soon_threadsafe(self._pieces.put_nowait, piece)

    async def __aiter__(self) -> AsyncIterator[str]:
        try:
            while self._reply is None:
                piece = await self._pieces.get()
                if piece is not None:
                    yield piece
                    continue
                self._call.exchange.done.result()
                self._seal()
                if rest := self._call.rest():
                    yield rest
        finally:
            self.close()

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

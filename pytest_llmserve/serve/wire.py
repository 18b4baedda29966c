"""The one HTTP client of an endpoint, on a thread of its own, for sync and async callers alike."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from pytest_llmserve.domain.errors import LlmServeError, SetupError
from pytest_llmserve.domain.exchange import CLOSED_EARLY, COMPLETE, TIME_LIMIT, Ending, HttpRequest
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.trust import tls_context
from pytest_llmserve.serve.exchange import Exchange, Kept, Sink, TooLong, merged_headers, with_headers_of
from pytest_llmserve.serve.faults import closed_while_idle, ending_of
from pytest_llmserve.serve.heard import Heard
from pytest_llmserve.serve.reply import Stamps

if TYPE_CHECKING:
    import httpx

_CLOSE_LIMIT_S = 5.0
_GENERATORS = 8  # of httpx, one in the other: an answer that is read no further leaves them to be closed
GRACE_S = 10.0
"""How much longer than an exchange's own limit to wait for the wire's thread."""


class Wire:
    """Sends requests to one target and hands the answers to sinks, with kept connections.

    The thread starts with the first request. `close` ends it.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._clients: dict[bool, httpx.AsyncClient] = {}
        self._changing = threading.Lock()
        self._under_way: set[asyncio.Task[None]] = set()
        self.heard = Heard()

    def submit(self, exchange: Exchange) -> None:
        """Begin an exchange; `exchange.done` tells its end, whatever the ending.

        Raises:
            SetupError: a header cannot be sent.
        """
        headers = merged_headers(self._target, exchange.request, own_headers_win=exchange.own_headers_win)
        with self._changing:  # a loop that ends meanwhile would take it, and never begin
            self._running_loop().call_soon_threadsafe(self._begin, exchange, headers)

    def cut(self, exchange: Exchange) -> None:
        """Close the connection of an exchange under way, and wait until that is done."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(_cancel, exchange)
        self.wait(exchange, _CLOSE_LIMIT_S)

    def over(self, exchange: Exchange, limit_s: float) -> bool:
        """Wait for the end of an exchange for a while; True when it has come."""
        return bool(concurrent.futures.wait([exchange.done], limit_s).done)

    def wait(self, exchange: Exchange, limit_s: float) -> None:
        """Wait for the end of an exchange.

        Raises:
            LlmServeError: our own thread does not answer.
        """
        if not self.over(exchange, limit_s):
            raise LlmServeError("the HTTP client's thread does not answer: was this process forked?")

    def perform(self, exchange: Exchange) -> None:
        """Run an exchange to its end.

        Raises:
            SetupError: the request cannot be sent as HTTP.
        """
        self.submit(exchange)
        try:
            # The exchange keeps its own limit; the grace is for a thread that died.
            self.wait(exchange, exchange.limit_s + GRACE_S)
        except KeyboardInterrupt:
            self.cut(exchange)
            raise
        exchange.done.result()

    async def aperform(self, exchange: Exchange) -> None:
        """Run an exchange to its end, from the caller's event loop."""
        self.submit(exchange)
        try:
            await asyncio.wrap_future(exchange.done)
        except asyncio.CancelledError:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(_cancel, exchange)
            raise

    def close(self) -> None:
        """Close all connections and end the thread."""
        with self._changing:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None or not thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._shut(), loop).result(_CLOSE_LIMIT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_CLOSE_LIMIT_S)
        loop.close()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        """The thread's loop; it is started where there is none."""
        # A forked child has the object but not the thread.
        if self._loop is None or self._thread is None or not self._thread.is_alive():
            self._clients, self._under_way = {}, set()
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="llmserve-endpoint", daemon=True
            )
            self._thread.start()
        return self._loop

    async def _shut(self) -> None:
        under_way = list(self._under_way)  # not the tasks that httpx makes: it ends those in its own order
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for client in self._clients.values():
            await client.aclose()
        self._clients = {}
        for _ in range(_GENERATORS):
            await asyncio.sleep(0)
            if rest := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(rest, timeout=_CLOSE_LIMIT_S / _GENERATORS / 2)

    def _client(self, *, fresh: bool) -> httpx.AsyncClient:
        """The client that keeps connections, or the one that never does."""
        import httpx

        if fresh not in self._clients:
            target = self._target
            transport = httpx.AsyncHTTPTransport(
                verify=tls_context(target.trust) if target.scheme == "https" else False,
                trust_env=False,
                uds=target.socket_path,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=0 if fresh else 20),
            )
            # Without the environment: a proxy on the way, as HTTP_PROXY names one, would be measured too.
            self._clients[fresh] = httpx.AsyncClient(
                transport=transport, trust_env=False, follow_redirects=False, timeout=httpx.Timeout(None)
            )
        return self._clients[fresh]

    def _begin(self, exchange: Exchange, headers: list[tuple[str, str]]) -> None:
        exchange.task = asyncio.get_running_loop().create_task(self._run(exchange, headers))
        self._under_way.add(exchange.task)
        exchange.task.add_done_callback(self._under_way.discard)
        exchange.task.add_done_callback(lambda task: _report(task, exchange.done))

    async def _run(self, exchange: Exchange, headers: list[tuple[str, str]]) -> None:
        import httpx

        stamps = exchange.stamps
        try:
            async with asyncio.timeout(exchange.limit_s):
                await self._steps(exchange, headers)
            exchange.ending = Ending(COMPLETE)
        except TimeoutError:
            exchange.ending = Ending(TIME_LIMIT, _limit_text(exchange))
        except TooLong as error:
            exchange.ending = Ending(CLOSED_EARLY, str(error))
        except httpx.LocalProtocolError:  # its text quotes header values
            raise SetupError("the request cannot be sent as HTTP: its headers contradict its body") from None
        except httpx.TransportError as error:
            exchange.ending = ending_of(error)
        except httpx.InvalidURL as error:
            raise SetupError(f"path {exchange.request.path!r} is not allowed in a URL: {error}") from None
        finally:
            stamps.end_ns = stamps.end_ns or time.monotonic_ns()
        if exchange.request.method == "POST":
            self.heard.ended(exchange.ending.how, exchange.status, stamps.started_ns, stamps.end_ns)

    async def _steps(self, exchange: Exchange, headers: list[tuple[str, str]]) -> None:
        """One exchange, or two where the first one only ordered the answer."""
        if exchange.next_request is None:
            await self._once(exchange, exchange.request, exchange.sink, headers)
            return
        first = Kept(exchange.sink)
        try:
            await self._once(exchange, exchange.request, first, headers)
        except BaseException:  # broken off: what had come, its status above all, is the answer's
            first.hand_over()
            raise
        following = None if first.handed else exchange.next_request(exchange.status or 0, first.body)
        if following is None:
            first.hand_over()
            return
        if exchange.own_headers_win:
            following = with_headers_of(exchange.request, following)
        exchange.next_step()
        headers = merged_headers(self._target, following, own_headers_win=exchange.own_headers_win)
        await self._once(exchange, following, exchange.sink, headers)

    async def _once(
        self, exchange: Exchange, request: HttpRequest, sink: Sink, headers: list[tuple[str, str]]
    ) -> None:
        """Send a request, and once more where the server closed the idle connection beneath it."""
        import httpx

        stamps = exchange.stamps
        try:
            await self._attempt(exchange, request, sink, headers, fresh=exchange.fresh)
        except httpx.TransportError as error:
            if stamps.connected or exchange.status is not None or not closed_while_idle(error):
                raise
            stamps.reopened = True
            await self._attempt(exchange, request, sink, headers, fresh=True)

    async def _attempt(
        self,
        exchange: Exchange,
        request: HttpRequest,
        sink: Sink,
        headers: list[tuple[str, str]],
        *,
        fresh: bool,
    ) -> None:
        async with self._answer(exchange, request, headers, fresh=fresh) as response:
            exchange.status = response.status_code
            names = [(name.lower(), value) for name, value in response.headers.multi_items()]
            sink.begin(response.status_code, names)
            async for piece in response.aiter_raw():
                sink.feed(time.monotonic_ns(), piece)
            exchange.stamps.end_ns = time.monotonic_ns()

    @contextlib.asynccontextmanager
    async def _answer(
        self, exchange: Exchange, asked: HttpRequest, headers: list[tuple[str, str]], *, fresh: bool
    ) -> AsyncIterator[httpx.Response]:
        client = self._client(fresh=fresh)
        request = client.build_request(
            asked.method,
            self._target.origin + asked.sent_path,
            content=asked.body,
            headers=[(name.encode("ascii"), value.encode("utf-8")) for name, value in headers],
            extensions={"trace": _tracer(exchange.stamps)},
        )
        response = await client.send(request, stream=True)
        try:
            yield response
        finally:
            await response.aclose()


def _cancel(exchange: Exchange) -> None:
    if exchange.task is not None:
        exchange.task.cancel()


def _report(task: asyncio.Task[None], done: concurrent.futures.Future[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


def _limit_text(exchange: Exchange) -> str:
    seen = (
        "no connection"
        if exchange.stamps.sending_ns is None
        else "no answer"
        if exchange.status is None
        else "the answer has not ended"
    )
    return f"{seen} within {exchange.limit_s:g} s"


def _tracer(stamps: Stamps) -> Any:
    """Stamps at the instants that httpcore tells of."""

    async def trace(event: str, info: dict[str, Any]) -> None:  # noqa: ARG001 - httpcore's signature
        now_ns = time.monotonic_ns()
        if event in {"connection.connect_tcp.started", "connection.connect_unix_socket.started"}:
            stamps.connected = True
        elif event == "http11.send_request_headers.started":
            stamps.sending_ns = now_ns
        elif event == "http11.send_request_body.complete":
            stamps.sent_ns = now_ns
        elif event == "http11.receive_response_headers.complete":
            stamps.first_byte_ns = now_ns

    return trace

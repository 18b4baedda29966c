"""Carries requests through httpx: for HTTP/2, proxies, and what else sockets of our own do not do.

The same records as over sockets, with the same words for every end; stamps are taken when
httpx hands the bytes over, so they hold httpx's own delay.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import selectors
import time

import httpx

from pytest_llmserve.domain.errors import GeneratorError
from pytest_llmserve.domain.exchange import COMPLETE, TIME_LIMIT, Ending
from pytest_llmserve.domain.replicas import replicas_of, servers_of
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.trust import tls_context
from pytest_llmserve.domain.units import duration_text
from pytest_llmserve.load.connection import User
from pytest_llmserve.load.dialler import out_of_sockets
from pytest_llmserve.load.health import Lateness
from pytest_llmserve.load.http import Answer
from pytest_llmserve.load.httpx_endings import closed_beneath, ending_of, own_fault, too_late
from pytest_llmserve.load.httpx_exchange import Exchange
from pytest_llmserve.load.job import Job
from pytest_llmserve.load.limits import Limits
from pytest_llmserve.load.stalls import StallWatch
from pytest_llmserve.load.transport import Landing

monotonic_ns = time.monotonic_ns

# A close that crossed our request on the wire arrives within a round trip of it, and a scheduler's whim.
_CROSSING_NS = 100_000_000
# From a readable socket to the stamp it takes this many turns of asyncio: socket, stream, TLS.
_TURNS = 3
_CLOSE_LIMIT_S = 1.0


class _Selector(selectors.DefaultSelector):
    """Notes when sockets were ready.

    Attributes:
        woke_ns: when one last was.
        calm: turns since.
    """

    woke_ns = 0
    calm = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait, and note."""
        ready = super().select(timeout)
        if ready:
            self.woke_ns, self.calm = monotonic_ns(), 0
        else:
            self.calm += 1
        return ready


class _Line:
    """A user's own client to a server: one connection, as over sockets, and nobody queues behind another.

    Attributes:
        origin: of the server.
        served: answers on the connection that is kept; 0 when none is.
    """

    __slots__ = ("client", "origin", "served")

    def __init__(self, client: httpx.AsyncClient, origin: httpx.URL) -> None:
        self.client, self.origin = client, origin
        self.served = 0


class HttpxTransport:
    """The httpx clients of one worker, with an event loop that turns only inside `wait`.

    Attributes:
        send_lag: our own delay before a request.
        receive_lag: from the wake-up that brought bytes to their stamp.
        stamped, unstamped: pieces with and without a kernel stamp; none has one.
        reopened: connections the server closed while idle, opened again.
        resent: requests of no warm-up sent again, as the server closed their connection when they were sent.
        heard_ns: when the server last sent anything.
        answering: when each request that is with the server runs out of time.
        protocols: HTTP versions of the answers.
    """

    def __init__(self, job: Job, landed: Landing, control_fd: int | None) -> None:
        self._plan, self._landed = job.plan, landed
        replicas = replicas_of(job.target)
        self._server_of = [replica.server for replica in replicas]
        self._servers = servers_of(replicas)
        secure = any(server.scheme == "https" for server in self._servers)
        self._verify = tls_context(job.target.trust) if secure else False
        self._http2 = importlib.util.find_spec("h2") is not None
        if self._http2:
            importlib.import_module("h2.connection")
        self._selector = _Selector()
        self._loop = asyncio.SelectorEventLoop(self._selector)
        # What httpx imports with its first request is imported before the load begins.
        self._loop.run_until_complete(_rehearse())
        self._control_fd, self._told = control_fd, False
        if control_fd is not None:
            self._loop.add_reader(control_fd, self._tell)
        self._lines: dict[tuple[int, int], _Line] = {}  # by the numbers of user and server
        self._exchanges: dict[int, Exchange] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._connecting: Limits[int] = Limits()
        self.answering: Limits[int] = Limits()
        self._stalls = StallWatch(self._plan)
        self._fault: Exception | None = None
        self.send_lag, self.receive_lag = Lateness(), Lateness()
        self.stamped = self.unstamped = self.reopened = self.resent = self.heard_ns = self.merged = 0
        self.protocols = set[str]()

    # -- for the loop --------------------------------------------------------------------------

    def carry(self, user: User) -> None:
        """Send the user's flight, over its kept connection if that still stands.

        Raises:
            GeneratorError: the environment's proxy cannot be used.
        """
        assert user.flight is not None
        # httpx and asyncio leave circles behind each request: without the collector they would pile up.
        gc.enable()
        exchange = Exchange(user, user.flight, self._begun, self._sent)
        line = self._line(exchange)
        self._exchanges[user.number] = exchange
        self._connecting.set(user.number, monotonic_ns() + self._plan.connect_timeout_ns)
        task = exchange.task = self._loop.create_task(self._run(exchange, line))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._selector.calm = 0

    def prepare(self, user: User) -> None:
        """Do nothing: httpx opens a connection with the request that needs it."""

    def wait(self, timeout_s: float) -> tuple[bool, bool]:
        """Turn the event loop until a request is over or time is; return (anything stirs, told to stop).

        Raises:
            GeneratorError: this machine has no socket or port left.
        """
        self._told = False
        loop = self._loop
        end = loop.call_later(timeout_s, loop.stop) if timeout_s > 0 else loop.call_soon(loop.stop)
        loop.run_forever()
        end.cancel()
        if self._fault is not None:
            self.close()
            raise self._fault
        return self._selector.calm < _TURNS, self._told

    def next_limit_ns(self) -> int | None:
        """The next instant at which a request or connection may run out of time."""
        due = (self._connecting.next_ns(), self.answering.next_ns(), self._stalls.due_ns)
        return min((at for at in due if at is not None), default=None)

    def expire(self, now_ns: int) -> None:
        """End what has run out of time."""
        for number in (*self._connecting.take_due(now_ns), *self.answering.take_due(now_ns)):
            self._give_up(self._exchanges[number], now_ns)
        for exchange, why in self._stalls.look(now_ns, self._answers):
            self._give_up(exchange, now_ns, why)

    def _answers(self) -> list[tuple[Exchange, int | None, Answer]]:
        sending = [exchange for exchange in self._exchanges.values() if exchange.sending]
        return [(exchange, exchange.flight.sent_ns, exchange.answer) for exchange in sending]

    def under_way(self) -> int:
        """Requests that are with the server now."""
        return sum(exchange.sending for exchange in self._exchanges.values())

    def close(self) -> None:
        """Close every connection."""
        if self._control_fd is not None:
            self._loop.remove_reader(self._control_fd)
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(self._shut())
        self._loop.close()

    # -- requests ------------------------------------------------------------------------------

    def _line(self, exchange: Exchange) -> _Line:
        """The line that an exchange goes over, opened where there is none."""
        number = self._server_of[exchange.flight.replica]
        place = (exchange.user.number, number)
        if place not in self._lines:
            server = self._servers[number]
            self._lines[place] = _Line(self._client(server), httpx.URL(server.origin))
        return self._lines[place]

    def _client(self, server: Target) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=None)
        if server.socket_path is not None:  # no proxy leads to a Unix socket
            straight = httpx.AsyncHTTPTransport(uds=server.socket_path, limits=limits, trust_env=False)
            return httpx.AsyncClient(transport=straight, trust_env=False, timeout=None)
        try:
            return httpx.AsyncClient(
                verify=self._verify,
                http2=self._http2,
                trust_env=True,
                follow_redirects=False,
                timeout=None,
                limits=limits,
            )
        except (ImportError, ValueError) as error:  # no SOCKS package, an odd scheme
            raise GeneratorError(
                f"the proxy that the environment names cannot be used: {error}"
                " Change HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, or list the server in NO_PROXY"
            ) from None

    async def _run(self, exchange: Exchange, line: _Line) -> None:
        """One request to its end, whichever that is."""
        try:
            ending = await self._attempt(exchange, line)
        except asyncio.CancelledError:  # out of time, or the load is over: the connection goes too
            await line.client.aclose()
            raise
        except Exception as error:
            self._fault = error
            self._loop.stop()
            return
        if exchange.over:  # given up in the same turn in which its end was seen
            await line.client.aclose()
            return
        line.served = line.served + 1 if ending.how == COMPLETE and exchange.kept else 0
        self._land(exchange, ending, exchange.end_ns or monotonic_ns())
        self._loop.stop()

    async def _attempt(self, exchange: Exchange, line: _Line) -> Ending:
        while True:
            try:
                await self._perform(exchange, line)
            except httpx.TransportError as error:
                refusal = own_fault(error)
                if refusal is not None:
                    raise GeneratorError(out_of_sockets(len(self._lines), refusal)) from None
                if not self._closed_while_idle(exchange, line, error):
                    return ending_of(error, exchange.stage)
                self._reopen(exchange)
            else:
                return Ending(COMPLETE)

    async def _perform(self, exchange: Exchange, line: _Line) -> None:
        response = await line.client.send(exchange.request(line.origin), stream=True)
        try:
            self.heard_ns = monotonic_ns()
            exchange.begin(response)
            self.protocols.add(exchange.http_version)
            async for piece in response.aiter_raw():
                now_ns = monotonic_ns()
                exchange.feed(now_ns, piece)
                self.unstamped += 1
                self.heard_ns = now_ns
                self.receive_lag.add(now_ns - self._selector.woke_ns)
            exchange.end_ns = monotonic_ns()
        finally:
            await response.aclose()

    def _begun(self, exchange: Exchange, now_ns: int) -> None:
        """The first byte of a request is about to leave."""
        if not exchange.flight.opens:
            self.send_lag.add(now_ns - max(exchange.flight.due_ns, exchange.ready_ns))
        self.reopened += exchange.opened and self._line(exchange).served > 0
        self._connecting.drop(exchange.user.number)
        self._limit(exchange, now_ns)

    def _sent(self, exchange: Exchange, now_ns: int) -> None:
        """The last has: an answer's time counts from here."""
        self._limit(exchange, now_ns)

    def _limit(self, exchange: Exchange, now_ns: int) -> None:
        begun_ns = exchange.flight.limit_from_ns(now_ns)
        self.answering.set(exchange.user.number, begun_ns + self._plan.timeout_ns)

    # -- ends ----------------------------------------------------------------------------------

    def _closed_while_idle(self, exchange: Exchange, line: _Line, error: httpx.TransportError) -> bool:
        """The server closed a kept connection before it read the request: no fault, send it again.

        By the same rules as over sockets: only where it has served before, only before the
        first byte of an answer, only within a round trip of sending, and only once.
        """
        flight = exchange.flight
        untouched = exchange.answer.first_byte_ns is None
        if flight.resent or exchange.opened or not line.served or not untouched:
            return False
        late = flight.sent_ns is not None and monotonic_ns() - flight.sent_ns > _CROSSING_NS
        return not late and closed_beneath(error)

    def _reopen(self, exchange: Exchange) -> None:
        exchange.again()
        self.resent += not exchange.flight.warm_up
        self.answering.drop(exchange.user.number)
        self._connecting.set(exchange.user.number, monotonic_ns() + self._plan.connect_timeout_ns)

    def _give_up(self, exchange: Exchange, now_ns: int, why: str = "") -> None:
        """Out of time: the record is made now, the connection is closed in the loop's next turn."""
        del self._lines[exchange.user.number, self._server_of[exchange.flight.replica]]
        if exchange.sending:
            limit = duration_text(self._plan.timeout_ns)
            ending = Ending(TIME_LIMIT, why or f"no full answer within {limit}")
        else:
            ending = too_late(exchange.stage, duration_text(self._plan.connect_timeout_ns))
        assert exchange.task is not None
        exchange.task.cancel()
        self._land(exchange, ending, now_ns)

    def _land(self, exchange: Exchange, ending: Ending, end_ns: int) -> None:
        number = exchange.user.number
        del self._exchanges[number]
        self._connecting.drop(number)
        self.answering.drop(number)
        exchange.over = True
        exchange.answer.complete = ending.how == COMPLETE
        exchange.answer.keep_alive = exchange.kept
        self._landed(exchange.user, exchange.answer, ending, end_ns)

    def _tell(self) -> None:
        self._told = True
        self._loop.stop()

    async def _shut(self) -> None:
        """Let the cancelled end, then close what is kept."""
        closing = [self._loop.create_task(line.client.aclose()) for line in self._lines.values()]
        everything = [*self._tasks, *closing]
        if everything:
            await asyncio.wait(everything, timeout=_CLOSE_LIMIT_S)


async def _rehearse() -> None:
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        with contextlib.suppress(httpx.ConnectError):
            await client.get("http://127.0.0.1:0")  # no server can listen there: refused at once

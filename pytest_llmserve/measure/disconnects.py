"""Lets clients leave a server at every moment, and asks it before and afterwards until it is as it was."""

from __future__ import annotations

import contextlib
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_llmserve.dialects import dialect
from pytest_llmserve.domain.disconnects import (
    BEFORE_FIRST_TOKEN,
    FIN,
    MID_STREAM,
    MID_UPLOAD,
    PLACES,
    RST,
    Disconnects,
    Look,
    Together,
    disconnects_of,
    files_allowed,
    levels,
    wrong,
)
from pytest_llmserve.domain.errors import ProbeLost, SetupError
from pytest_llmserve.domain.exchange import Prompt
from pytest_llmserve.domain.recovery import Before
from pytest_llmserve.domain.units import NS_PER_S, duration_ns
from pytest_llmserve.load.prompts import with_nonce
from pytest_llmserve.measure.opening import OpenServer
from pytest_llmserve.measure.recovery import ASK_LIMIT_S, PROBE, before_of
from pytest_llmserve.observe.metrics import NOT_INSTALLED, MetricsPages, is_installed
from pytest_llmserve.observe.metrics_page import address_of
from pytest_llmserve.observe.process_tree import ProcessTree
from pytest_llmserve.serve.endpoint import Endpoint
from pytest_llmserve.serve.vanishing import Leaving, leave

STORY = "Tell a long story about a lighthouse, its keeper and a storm, with as many details as you can."
MAX_TOKENS = 128
ROUNDS = 3
_FILLER = "The sea was calm that night, and nobody expected the storm. "
_UPLOAD_CHARS = 64_000
_UPLOAD_PAUSE_S = 0.05
_MOST_PIECES = 5
_SHARE_OF_TTFT = 0.8
_PAUSE_S, _FILES_S, _FILES_PAUSE_S = 0.1, 0.5, 0.02


@dataclass(frozen=True, kw_only=True)
class Leave:
    """What clients are to do.

    Attributes:
        n: clients altogether, dealt out over the places in turn.
        within_ns: the server has so long to be as before, from the last one's leaving.
        where: they leave, words of `domain.disconnects`.
        users: clients at the same time, and the most questions asked at once before and afterwards.
        prompt: that they send; None = one that asks for a long answer.
        max_tokens: of their answers, where the server takes that; None = it is not sent.
        params: further fields of their requests.
    """

    n: int
    within_ns: int
    where: tuple[str, ...]
    users: int
    prompt: Prompt | None
    max_tokens: int | None
    params: dict[str, Any]


def wish_of(
    n: object, within: object, where: object, users: object, prompt: Prompt | None, max_tokens: object, params: dict[str, Any]
) -> Leave:
    """The arguments of `recovers_from_disconnects`, checked.

    Raises:
        SetupError: all that is wrong with them.
    """
    faults = []
    for name, value in (("n", n), ("users", users), ("max_tokens", max_tokens)):
        least_said = value is None and name == "max_tokens"
        if not least_said and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            faults.append(f"{name}={value!r} is not a whole number from 1 on")
    places = (where,) if isinstance(where, str) else where
    strange = [place for place in places if place not in PLACES] if isinstance(places, (tuple, list)) else [where]
    if strange or not places:
        faults.append(f"where={where!r}: name one or more of {', '.join(PLACES)}")
    within_ns = 0
    try:
        within_ns = duration_ns(within)
    except ValueError as error:
        faults.append(f"within={error}")
    if faults:
        raise SetupError("recovers_from_disconnects: " + "; ".join(faults))
    return Leave(n=n, within_ns=within_ns, where=tuple(places), users=users, prompt=prompt, max_tokens=max_tokens, params=params)  # type: ignore[arg-type]


def disconnects(opened: OpenServer, wish: Leave) -> Disconnects:
    """Look at the server, let clients leave it, and look again until it is as before or the time is over.

    Raises:
        SetupError: nothing that was asked for can be tried with this API, or a request cannot be sent.
        ServerUnusable: the host's name is not known.
    """
    where, left_out = _places(opened, wish)
    with contextlib.closing(Endpoint(opened.endpoint.target)) as endpoint:
        asker = _Asker(endpoint, _Eyes(opened), levels(wish.users))
        before, ttft_s = asker.before()
        fault = asker.refused(wish) if not _ill(before) else None
        if fault is not None:
            before = Look(together=(*before.together, fault), unseen=before.unseen)
        if _ill(before):
            return disconnects_of(before, None, (), wish.within_ns, 0, left_out)
        leavings = _leavings(endpoint, wish, where, asker.fields(wish), ttft_s)
        limit_s = max(wish.within_ns / NS_PER_S, 10 * ttft_s)
        visits = leave(endpoint.target, leavings, wish.users, limit_s)
        after, after_ns = asker.after(before, wish.n, wish.within_ns)
    return disconnects_of(before, after, visits, wish.within_ns, after_ns, left_out)


def _ill(look: Look) -> bool:
    return any(asked.errors for asked in look.together)


def _places(opened: OpenServer, wish: Leave) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where clients can leave, and clauses on where they cannot."""
    target = opened.endpoint.target
    if target.stream or MID_STREAM not in wish.where:
        return wish.where, ()
    why = f"nobody can leave in mid-stream, because answers of {target.api} are not streamed here"
    rest = tuple(place for place in wish.where if place != MID_STREAM)
    if not rest:
        raise SetupError(f"recovers_from_disconnects: {why}: name another place in where=")
    return rest, (why,)


def _leavings(
    endpoint: Endpoint, wish: Leave, where: Sequence[str], fields: dict[str, Any], ttft_s: float
) -> list[Leaving]:
    """What each client does, a seeded draw; the prompts all differ, so that no cache answers at once."""
    draw, salt = random.Random(wish.n), secrets.token_hex(4)
    target = endpoint.target
    write = dialect(target.api).encode
    made = []
    for number in range(1, wish.n + 1):
        turn, place = divmod(number - 1, len(where))
        prompt = with_nonce(STORY if wish.prompt is None else wish.prompt, salt, number)
        if where[place] == MID_UPLOAD:
            prompt = with_nonce(_FILLER * (_UPLOAD_CHARS // len(_FILLER)), salt, number)
        early = where[place] == BEFORE_FIRST_TOKEN
        leaving = Leaving(
            number=number,
            where=where[place],
            by=RST if turn % 2 else FIN,
            request=write(target, prompt, fields),
            delay_s=draw.random() * _SHARE_OF_TTFT * ttft_s if early else _UPLOAD_PAUSE_S,
            pieces=draw.randint(1, _MOST_PIECES),
        )
        made.append(leaving)
    return made


class _Asker:
    """Asks short questions, alone and together. Mutable: what the server takes, learnt by `before`."""

    def __init__(self, endpoint: Endpoint, eyes: _Eyes, at_once: Sequence[int]) -> None:
        self._endpoint, self._eyes, self._at_once = endpoint, eyes, at_once
        self._known = Before()

    def before(self) -> tuple[Look, float]:
        """(the server at rest, its usual time to the first token in s)."""
        self._known = before_of(self._endpoint)
        asked, ttft_ms = [], []
        for users in self._at_once:
            found, first_ms = self._together(users, ASK_LIMIT_S)
            asked.append(found)
            ttft_ms += first_ms
            if found.errors:
                break
        return self._eyes.look(asked, self._endpoint, None), min(ttft_ms, default=0.0) / 1000

    def fields(self, wish: Leave) -> dict[str, Any]:
        """What the clients' requests carry beside the prompt."""
        limit = {} if wish.max_tokens is None or "max_tokens" not in self._known.params else {"max_tokens": wish.max_tokens}
        return limit | wish.params

    def refused(self, wish: Leave) -> Together | None:
        """The clients' own request, asked once for a single token; None when it is answered."""
        fields = self.fields(wish)
        fields |= {"max_tokens": 1} if "max_tokens" in fields else {}
        reply = self._endpoint.generate(STORY if wish.prompt is None else wish.prompt, timeout=ASK_LIMIT_S, **fields)
        if reply.ok:
            return None
        return Together(users=1, asked=1, errors=(f"the clients' own request was not answered: {reply.error}",))

    def after(self, before: Look, clients: int, within_ns: int) -> tuple[Look, int]:
        """(the last look, when it was over): looks until all is as before, the last begun in time."""
        began_ns = time.monotonic_ns()
        while True:
            left_s = (began_ns + within_ns - time.monotonic_ns()) / NS_PER_S
            look = self._look(before, clients, left_s)
            passed_ns = time.monotonic_ns() - began_ns
            if not wrong(before, look, clients) or look.gone is not None or passed_ns >= within_ns:
                return look, passed_ns
            time.sleep(_PAUSE_S)

    def _look(self, before: Look, clients: int, left_s: float) -> Look:
        """Asks as before, up to the first level at which something is wrong."""
        asked: list[Together] = []
        for was in before.together:
            if self._eyes.gone() is None:
                usual_s = max(was.slowest_ms) / 1000
                asked.append(self._together(was.users, max(left_s, 2 * usual_s + 1))[0])
            if self._eyes.gone() is not None or wrong(before, Look(together=tuple(asked)), clients):
                break
        enough = None if before.open_files is None else before.open_files + files_allowed(clients)
        return self._eyes.look(asked, self._endpoint, enough)

    def _together(self, users: int, limit_s: float) -> tuple[Together, list[float]]:
        """(so many questions at once in several rounds, times to their first tokens in ms)."""
        slowest, errors, texts, first_ms = [], [], [], []
        asked = 0
        while len(slowest) < ROUNDS and not errors:
            with contextlib.ExitStack() as streams:
                opened = [
                    streams.enter_context(self._endpoint.stream(PROBE, timeout=limit_s, **self._known.params))
                    for _ in range(users)
                ]
                for stream in opened:
                    for _ in stream:
                        pass
            replies = [stream.reply for stream in opened]
            asked += users
            errors += [reply.error or str(reply.outcome) for reply in replies if not reply.ok]
            texts += [reply.text for reply in replies if reply.ok]
            first_ms += [reply.ttft_ms for reply in replies if reply.ttft_ms is not None]
            if not errors:
                slowest.append(max(reply.e2e_ms or 0.0 for reply in replies))
        found = Together(
            users=users, asked=asked, slowest_ms=tuple(slowest), errors=tuple(errors), texts=tuple(texts)
        )
        return found, first_ms


class _Eyes:
    """On the server's process and its metrics, read at once and not from the sampler: at rest, by turns."""

    def __init__(self, opened: OpenServer) -> None:
        self._opened = opened
        self._listened = opened.listener.pid() if opened.server is not None else None
        self._pages: MetricsPages | None = None
        self._unseen: list[str] = []
        missing = opened.metrics_missing
        if opened.metrics_urls and not is_installed():
            missing = NOT_INSTALLED
        if missing is None:
            target = opened.endpoint.target
            self._pages = MetricsPages([address_of(url, target) for url in opened.metrics_urls])
        else:
            self._unseen.append(f"requests that run and wait: {missing}")
        self._tree: ProcessTree | None = None
        try:
            self._tree = None if opened.pid is None else ProcessTree(opened.pid)
            why = opened.why
        except ProbeLost as lost:
            why = str(lost)
        if self._tree is None:
            self._unseen.append(f"open files, and whether it is the same process: {why}")

    def gone(self) -> str | None:
        """How the server's process ended, or None."""
        server, listener = self._opened.server, self._opened.listener
        if server is None:
            return None
        if server.exit_status is not None:
            return f"{server.exit_status}{server.last_lines}"
        if self._listened is not None and listener.ended:
            return f"pid {self._listened}, which listened at its port, is gone"
        return None

    def look(self, asked: Sequence[Together], endpoint: Endpoint, enough: int | None) -> Look:
        """What is open now that nobody asks.

        Args:
            asked: what was asked before.
            endpoint: through which; its connections are closed, as they are files of the server's.
            enough: open files that need not become fewer; None = the fewest over half a second are wanted.
        """
        endpoint.close()
        gone = self.gone()
        if gone is not None:
            return Look(together=tuple(asked), gone=gone, unseen=tuple(self._unseen))
        files = self._open_files(enough)
        told: dict[str, Any] = {} if self._pages is None else self._pages.read(False)
        unseen = list(self._unseen)
        if self._pages is not None:
            unseen += [
                f"requests {name}: {self._pages.missing or 'the metrics of the server do not tell them'}"
                for name in ("running", "waiting")
                if name not in told
            ]
        if self._tree is not None and files is None:
            unseen.append("open files: the system does not tell them of this process")
        return Look(
            together=tuple(asked),
            running=told.get("running"),
            waiting=told.get("waiting"),
            open_files=files,
            unseen=tuple(unseen),
            gone=self.gone(),
        )

    def _open_files(self, enough: int | None) -> int | None:
        """The fewest seen; a server needs a moment to see that a connection was closed."""
        if self._tree is None:
            return None
        fewest: int | None = None
        deadline = time.monotonic() + _FILES_S
        while fewest is None or (time.monotonic() < deadline and (enough is None or fewest > enough)):
            try:
                count = self._tree.counts()["open_files"]
            except ProbeLost:  # it has ended: `gone` tells
                return fewest
            if count is None:
                return None
            fewest = count if fewest is None else min(fewest, count)
            time.sleep(_FILES_PAUSE_S)
        return fewest

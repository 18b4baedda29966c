"""Lets clients leave a server at every moment, and asks it before and afterwards until it is as it was."""

from __future__ import annotations

import contextlib
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import structs

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
    Visit,
)
from pytest_llmserve.domain.disconnects_judged import (
    disconnects_of,
    files_allowed,
    levels,
    too_busy,
    wrong,
)
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import Prompt
from pytest_llmserve.domain.recovery import Before
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.load.prompts import with_nonce
from pytest_llmserve.measure.at_rest import AtRest
from pytest_llmserve.measure.held_up import HeldUp
from pytest_llmserve.measure.opening import OpenServer
from pytest_llmserve.measure.recovery import ASK_LIMIT_S, PROBE, before_of
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
_PAUSE_S = 0.1
_LEAST_SHARE = 0.1


@dataclass(frozen=True)
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


def checked(wish: Leave) -> Leave:
    """The same wish.

    Raises:
        SetupError: all that is wrong with it.
    """
    numbers = {"n": wish.n, "users": wish.users}
    if wish.max_tokens is not None:
        numbers["max_tokens"] = wish.max_tokens
    faults = [
        f"{name}={value!r} is not a whole number from 1 on"
        for name, value in numbers.items()
        if not isinstance(value, int) or isinstance(value, bool) or value < 1
    ]
    if not wish.where or any(place not in PLACES for place in wish.where):
        faults.append(f"where={wish.where!r}: name one or more of {', '.join(PLACES)}")
    if faults:
        raise SetupError("recovers_from_disconnects: " + "; ".join(faults))
    return wish


def disconnects(opened: OpenServer, wish: Leave, visits: list[Visit] | None = None) -> Disconnects:
    """Look at the server, let clients leave it, and look again until it is as before or the time is over.

    Args:
        opened: the server.
        wish: what the clients do.
        visits: filled on the way, for who is interrupted.

    Raises:
        SetupError: nothing that was asked for can be tried with this API, or a request cannot be sent.
        ServerUnusable: the host's name is not known.
    """
    where, left_out = _places(opened, wish)
    with contextlib.closing(Endpoint(opened.endpoint.target)) as endpoint, HeldUp() as held_up:
        asker = _Asker(endpoint, AtRest(opened), levels(wish.users), held_up)
        before, ttft_s = asker.before()
        fault = asker.refused(wish) if not _ill(before) else None
        if fault is not None:
            before = Look(together=(*before.together, fault), unseen=before.unseen)
        if _ill(before):
            return disconnects_of(before, None, (), wish.within_ns, 0, left_out)
        endpoint.close()  # a connection that is kept would be served by a server that takes no other
        leavings = _leavings(endpoint, wish, where, asker.fields(wish), ttft_s)
        limit_s = max(wish.within_ns / NS_PER_S, 10 * ttft_s)
        left = leave(endpoint.target, leavings, wish.users, limit_s, visits)
        after, after_ns = asker.after(before, wish.within_ns)
    return disconnects_of(before, after, left, wish.within_ns, after_ns, left_out)


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
    """Asks short questions, alone and together.

    Mutable: what the server takes, learnt by `before`; of each number at once the fastest look of `after`.
    """

    def __init__(self, endpoint: Endpoint, rest: AtRest, at_once: Sequence[int], held_up: HeldUp) -> None:
        self._endpoint, self._rest, self._at_once, self._held_up = endpoint, rest, at_once, held_up
        self._known = Before()
        self._fastest: dict[int, Together] = {}

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
        return self._rest.look(asked, self._endpoint, None), min(ttft_ms, default=0.0) / 1000

    def fields(self, wish: Leave) -> dict[str, Any]:
        """What the clients' requests carry beside the prompt."""
        limit = (
            {}
            if wish.max_tokens is None or "max_tokens" not in self._known.params
            else {"max_tokens": wish.max_tokens}
        )
        return limit | wish.params

    def refused(self, wish: Leave) -> Together | None:
        """The clients' own request, asked once for a single token; None when it is answered."""
        fields = self.fields(wish)
        fields |= {"max_tokens": 1} if "max_tokens" in fields else {}
        reply = self._endpoint.generate(
            STORY if wish.prompt is None else wish.prompt, timeout=ASK_LIMIT_S, **fields
        )
        if reply.ok:
            return None
        return Together(
            users=1, asked=1, errors=(f"the clients' own request was not answered: {reply.error}",)
        )

    def after(self, before: Look, within_ns: int) -> tuple[Look, int]:
        """(the last look, when it began): looks until all is as before, the last of them begun in time."""
        began_ns, held_up = time.monotonic_ns(), self._held_up.lap()
        while True:
            at_ns = time.monotonic_ns() - began_ns
            look = self._look(before, (within_ns - at_ns) / NS_PER_S, held_up)
            over = time.monotonic_ns() - began_ns + _PAUSE_S * NS_PER_S >= within_ns
            if over or look.gone is not None or not (wrong(before, look) or too_busy(before, look)):
                return look, at_ns
            time.sleep(_PAUSE_S)

    def _look(self, before: Look, left_s: float, held_up: Callable[[], float]) -> Look:
        """Asks as before, up to the first level at which something is wrong."""
        asked: list[Together] = []
        for was in before.together:
            if self._rest.gone() is None:
                # A machine that keeps us from running keeps answers too.
                least_s = (2 * max(was.slowest_ms) / 1000 + 1) / max(_LEAST_SHARE, 1 - held_up())
                now, _ = self._together(was.users, round(max(left_s, least_s), 1))
                asked.append(self._at_best(now))
            if self._rest.gone() is not None or wrong(before, Look(together=tuple(asked))):
                break
        enough = None if before.open_files is None else before.open_files + files_allowed(before)
        return self._rest.look(asked, self._endpoint, enough)

    def _at_best(self, now: Together) -> Together:
        """With the times of the fastest look so far: what a server could do once, it has not lost."""
        if now.errors:
            return now
        best = min(self._fastest.get(now.users, now), now, key=lambda each: min(each.slowest_ms))
        self._fastest[now.users] = best
        return structs.replace(now, slowest_ms=best.slowest_ms, held_up=best.held_up)

    def _together(self, users: int, limit_s: float) -> tuple[Together, list[float]]:
        """(so many questions at once in several rounds, times to their first tokens in ms)."""
        slowest: list[float] = []
        held_up: list[float] = []
        errors: list[str] = []
        texts, first_ms = [], []
        asked = 0
        while len(slowest) < ROUNDS and not errors:
            lap = self._held_up.lap()
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
            texts += [self._endpoint.redact(reply.text) for reply in replies if reply.ok]
            first_ms += [reply.ttft_ms for reply in replies if reply.ttft_ms is not None]
            if not errors:
                slowest.append(max(reply.e2e_ms or 0.0 for reply in replies))
                held_up.append(lap())
        found = Together(
            users=users,
            asked=asked,
            slowest_ms=tuple(slowest),
            held_up=tuple(held_up),
            errors=tuple(errors),
            texts=tuple(texts),
        )
        return found, first_ms

"""Waits until the server answers, and learns how it wants to be asked."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import msgspec

from pytest_llmserve.dialects import dialect
from pytest_llmserve.dialects.detect import (
    Asked,
    Asking,
    Choice,
    Detection,
    Probe,
    ProbeAnswer,
    detect,
    look_up,
    posts_in,
)
from pytest_llmserve.dialects.known_paths import known_path, place_of
from pytest_llmserve.domain.addresses import Address, addresses_of, attempts, resolve
from pytest_llmserve.domain.errors import ServerUnusable
from pytest_llmserve.domain.exchange import TIME_LIMIT, Ending, HttpRequest
from pytest_llmserve.domain.outcome import CUT_OFF, RESET
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.serve.addresses import local_address
from pytest_llmserve.serve.call import PROBE_BYTES, Body
from pytest_llmserve.serve.endpoint import Endpoint
from pytest_llmserve.serve.exchange import Exchange
from pytest_llmserve.serve.faults import NOT_CONNECTED, TLS
from pytest_llmserve.serve.opening import (
    FIRST_PROMPT,
    Paths,
    first_manner,
    hopeless,
    is_loading,
    next_manner,
    refusal,
    several_models,
    told_choice,
    unreachable,
)
from pytest_llmserve.serve.redact import told
from pytest_llmserve.serve.reply import Reply
from pytest_llmserve.serve.story import Story, tried
from pytest_llmserve.serve.wire import Wire

__all__ = ["local_address", "resolve", "wait_ready"]

_OPENAPI = Probe("GET", "/openapi.json")
_PAUSE_S = 0.1
_TRY_LIMIT_S = 10.0
_PROMPT_LIMIT_S = 60.0
_LEAST_S = 0.05
_SHARE = 4  # of the time that is left, for one probe
_CRASH_NEWS_S = 1.0

Death = Callable[[], str | None]


def _not_known() -> str | None:
    return None


def wait_ready(
    target: Target, *, limit_ns: int, alive: Death = _not_known, story: Story | None = None
) -> Endpoint:
    """Wait for the server, decide dialect and model, and have one real question answered.

    Args:
        target: as the user named it; `api` may be "auto".
        limit_ns: for all of it together.
        alive: returns how the server's process ended, or None while it lives or is not known.
        story: takes what is asked and answered, also when it ends with an error.

    Returns:
        An endpoint whose target has all that was learnt.

    Raises:
        ServerUnusable: what was seen, and what to do.
        SetupError: no such API, or a request that cannot be built.
    """
    if target.api != "auto":
        dialect(target.api)
    opening = _Opening(target, addresses_of(target), limit_ns, alive, story or Story())
    try:
        opening.await_http()
        choice = opening.decide()
        return opening.first_request(choice)
    except ServerUnusable as error:
        opening.wire.close()
        raise ServerUnusable(told(str(error), target, keep="\n")) from None
    except BaseException:
        opening.wire.close()
        raise


class _Opening:
    """The first minutes with a server. Lives as long as `wait_ready`."""

    def __init__(
        self,
        target: Target,
        addresses: tuple[Address, ...],
        limit_ns: int,
        alive: Death,
        story: Story,
    ) -> None:
        self.target = target
        self.story = story
        self.addresses = addresses
        self.limit_ns = limit_ns
        self.alive = alive
        self.started = alive is not _not_known
        self.wire = Wire(target)
        self.deadline = time.monotonic() + limit_ns / NS_PER_S

    def left_s(self, most_s: float) -> float:
        return max(_LEAST_S, min(most_s, self.deadline - time.monotonic()))

    def ask(self, request: HttpRequest, limit_s: float) -> tuple[Exchange, Body]:
        """Ask; a server process that dies meanwhile ends it."""
        body = Body(PROBE_BYTES)
        exchange = Exchange(request, body, limit_s)
        self.wire.submit(exchange)
        while not self.wire.over(exchange, _PAUSE_S):
            self.check_alive()
        exchange.done.result()
        return exchange, body

    def check_alive(self) -> None:
        death = self.alive()
        if death is not None:
            raise ServerUnusable(f"the server ended before it was ready: {death}")

    def check_death_after(self, reply: Reply) -> None:
        """A connection that broke may be a crash, which the system reports a moment later."""
        deadline = time.monotonic() + (_CRASH_NEWS_S if reply.outcome in {RESET, CUT_OFF} else 0)
        self.check_alive()
        while time.monotonic() < deadline:
            time.sleep(_PAUSE_S / 2)
            self.check_alive()

    def await_http(self) -> None:
        """Wait for any HTTP answer but "loading"."""
        known = known_path(self.target.path)
        place = known.place if known else place_of(self.target.path)
        path = f"{place.base}{place.version}/models" if place.base or place.version != "/v1" else "/health"
        while True:
            self.check_alive()
            exchange, _ = self.ask(HttpRequest(method="GET", path=path), self.left_s(_TRY_LIMIT_S))
            if exchange.status is not None and not is_loading(exchange.status):
                self.check_alive()  # else what answers is another program on the same port
                return
            if hopeless(exchange.ending) or time.monotonic() > self.deadline:
                self.check_alive()
                ending = self._of_all_addresses(exchange.ending)
                raise ServerUnusable(
                    unreachable(
                        self.target.url, path, exchange.status, ending, self.limit_ns, started=self.started
                    )
                )
            time.sleep(_PAUSE_S)

    def _of_all_addresses(self, ending: Ending) -> Ending:
        """The same ending; of a name with several addresses, with what each of them said."""
        if ending.how != NOT_CONNECTED or ending.detail.startswith(TLS) or len(self.addresses) < 2:
            return ending
        return Ending(NOT_CONNECTED, attempts(self.addresses, _TRY_LIMIT_S))

    def decide(self) -> Choice:
        """Choose dialect, path and model."""
        target = self.target
        known = known_path(target.path)
        is_gradio = known is not None and known.api == "gradio"
        if target.api == "auto" and target.json_request is not None and not is_gradio:
            return Choice(api="json", path=target.path, because="--llm-json-request is given")
        if target.api != "auto":
            return self._led(look_up(target.api, target.path, asking := Asking()), asking)
        base = "http://127.0.0.1:{port}" if self.started else target.url.removesuffix(target.path)
        asking = Asking(target.key_env)
        return self._led(detect(target.path, target.url, asking, base), asking)

    def _led(self, detection: Detection, asking: Asking) -> Choice:
        """Ask what the detection wants to know, until it has chosen."""
        answer: ProbeAnswer | None = None
        try:
            while True:
                answer = self._probe(next(detection) if answer is None else detection.send(answer))
        except StopIteration as end:
            choice: Choice = end.value
            return choice
        finally:
            self.story.asked[:] = map(self._clean, asking.asked)

    def _clean(self, asked: Asked) -> Asked:
        """A server may repeat a key, and send what a terminal obeys, wherever it names itself."""
        return Asked(*(told(text, self.target) for text in (asked.probe, asked.answer, asked.so)))

    def _probe(self, probe: Probe) -> ProbeAnswer:
        """Ask; what hangs leaves most of the time that is left to the rest."""
        limit_s = _PROMPT_LIMIT_S if probe.body else _TRY_LIMIT_S
        headers = (("Content-Type", "application/json"),) if probe.body else ()
        request = HttpRequest(method=probe.method, path=probe.path, body=probe.body, headers=headers)
        share_s = round(self.left_s(math.inf) / _SHARE, 1)
        exchange, body = self.ask(request, max(_LEAST_S, min(limit_s, share_s)))
        error = exchange.ending.detail or None
        slow = exchange.ending.how == TIME_LIMIT
        if exchange.status is None:
            return ProbeAnswer(error=error, slow=slow)
        return ProbeAnswer(
            status=exchange.status, content_type=body.content_type, body=body.raw, error=error, slow=slow
        )

    def first_request(self, choice: Choice) -> Endpoint:
        """Ask one real question, in less and less demanding manners while the server refuses."""
        target = self._with_model(choice)
        manner = first_manner(choice.api, target.stream)
        replies: list[Reply] = []
        asked_at: list[str] = []
        while True:
            asked = manner.apply(target)
            endpoint = Endpoint(asked, wire=self.wire)
            limit_s = max(_LEAST_S, round(self.left_s(math.inf), 1))
            request = endpoint.encoded(FIRST_PROMPT, manner.params)
            asked_at.append(request.path)
            replies.append(endpoint.generate(FIRST_PROMPT, timeout=limit_s, **manner.params))
            self.story.tried.append(tried(asked, request, replies[-1]))
            if replies[-1].ok:
                endpoint.because = told(told_choice(choice, asked, replies), target)
                endpoint.story = self.story
                return endpoint
            following = next_manner(manner, replies[-1], choice.fallbacks, target.stream, choice.other_paths)
            if following is None:
                self.check_death_after(replies[-1])
                paths = self._paths(tuple(asked_at), named=choice.api == "json")
                raise ServerUnusable(refusal(target.url, replies, paths))
            manner = following

    def _paths(self, asked: tuple[str, ...], *, named: bool) -> Paths:
        """What the server's OpenAPI document says of its paths, where the user may name one."""
        target = self.target
        return Paths(
            asked=asked,
            posts=posts_in(self._probe(_OPENAPI)) if named else (),
            base=target.url.removesuffix(target.path),
            named=named,
            started=self.started,
            key_env=target.key_env,
        )

    def _with_model(self, choice: Choice) -> Target:
        target = self.target
        model = target.model
        if model is None and choice.models:
            if len(choice.models) > 1:
                raise ServerUnusable(several_models(target.url, choice.models))
            model = choice.models[0]
        return msgspec.structs.replace(
            target,
            path=choice.path,
            model=model,
            json_request=target.json_request or choice.json_request,
            json_answer=target.json_answer or choice.json_answer,
        )

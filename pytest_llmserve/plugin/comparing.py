"""`llm_load.compare`: what its arguments name, opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from pytest_llmserve.checks.params import named
from pytest_llmserve.domain.errors import LlmServeError, ServerUnusable, SetupError
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.replicas import only_at, urls_of
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.measure.compare import Contender, alike
from pytest_llmserve.measure.opening import OpenServer, open_server
from pytest_llmserve.measure.probes import Watched
from pytest_llmserve.measure.watch import Watch
from pytest_llmserve.plugin.settings import second_wish
from pytest_llmserve.serve.endpoint import Endpoint

if TYPE_CHECKING:
    from pytest_llmserve.plugin.testrun import TestRun

SIDE_KEYWORDS = ("params", "max_tokens", "stream", "users", "rate")

PlanOf = Callable[[Mapping[str, Any]], LoadPlan]


@contextmanager
def contenders(
    test: TestRun, sides: tuple[object, object], plan_of: PlanOf
) -> Iterator[tuple[Contender, Contender]]:
    """Both sides, opened; closed in the end but for the session's own server.

    Args:
        test: that compares.
        sides: the one under test and the reference: each a URL, an endpoint, or a dict of load keywords.
        plan_of: makes the plan of a side from its own keywords.

    Raises:
        SetupError: a side is nothing of these, or a keyword is wrong.
        ServerUnusable: a side's server cannot be used; the message says which.
    """
    keywords = [_keywords(side, name) for side, name in zip(sides, "ab", strict=True)]
    plans = [plan_of(given) for given in keywords]
    plans[1] = alike(plans[1], plans[0])
    with ExitStack() as opened:
        a, b = (
            _contender(test, side, name, plan, given, opened)
            for side, name, plan, given in zip(sides, "ab", plans, keywords, strict=True)
        )
        yield a, b


def _keywords(side: object, name: str) -> dict[str, Any]:
    if isinstance(side, (str, Endpoint)):
        return {}
    if not isinstance(side, Mapping):
        raise SetupError(
            f"llm_load.compare: {name} is {side!r}: give a URL, llm_endpoint, or a dict of load keywords"
            ' such as {"max_tokens": 64}'
        )
    strange = [str(key) for key in side if key not in SIDE_KEYWORDS]
    if strange:
        raise SetupError(
            f"llm_load.compare: {name} has {', '.join(strange)}: the sides may differ in"
            f" {', '.join(SIDE_KEYWORDS)}; give what they share beside them"
        )
    return dict(side)


def _contender(
    test: TestRun, side: object, name: str, plan: LoadPlan, keywords: Mapping[str, Any], opened: ExitStack
) -> Contender:
    session = test.state.open()
    told = named(keywords)
    target, watch = session.endpoint.target, test.watch
    if isinstance(side, Endpoint) and side.target != target:
        target, watch = side.target, _watch(None, "it is not the session's server", opened)
    elif isinstance(side, str) and session.beside and _url(side, name) in urls_of(target):
        target = only_at(target, _url(side, name))
        pid = session.pid_at(target)
        watch = _watch(pid, session.why if pid is not None else "its process is not known", opened)
    elif isinstance(side, str) and _url(side, name) != target.url:
        server = _open(test, side, name)
        opened.callback(server.close)
        target, watch = server.endpoint.target, _watch(server.pid, server.why, opened)
    assert watch is not None
    urls = ", ".join(urls_of(target))
    return Contender(name=f"{urls} ({told})" if told else urls, target=target, plan=plan, watch=watch)


def _url(side: str, name: str) -> str:
    try:
        return target_from_url(side).url
    except SetupError as error:
        raise SetupError(f"llm_load.compare: {name}: {error}") from None


def _open(test: TestRun, url: str, name: str) -> OpenServer:
    try:
        return open_server(second_wish(test.state.config, url), test.state.folder)
    except LlmServeError as error:
        raise ServerUnusable(f"llm_load.compare: {name}: {error}") from None


def _watch(pid: int | None, why: str, opened: ExitStack) -> Watch:
    watch = Watch(Watched(pid=pid, why=why))
    watch.start()
    opened.callback(watch.stop)
    return watch

"""What tests give the server they want, by `parametrize("llm_server", ..., indirect=True)`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.measure.serving import Values, command_for, key_of, value_names
from pytest_llmserve.plugin.options import ini, named_server
from pytest_llmserve.serve.command import ServeValue

ARGUMENT = "llm_server"
HEADING = "servers that cannot be started as the tests ask for them:"
_KEY = "llm_serve_values"
_MOST_CHARS = 40
_HOW = (
    f"write a default into the ini file, {_KEY} = {{name}}=1, or give the test values with"
    f' @pytest.mark.parametrize("{ARGUMENT}", [{{{{"{{name}}": 1}}}}, {{{{"{{name}}": 2}}}}], indirect=True);'
    " where these braces are the command's own, write {{{{{name}}}}}"
)


def served(config: pytest.Config) -> tuple[str | None, str | None]:
    """URL or name of the server, of several the first, and the command that serves it."""
    endpoints, serve = named_server(config)
    return next(iter(endpoints), None), serve


def default_values(config: pytest.Config) -> dict[str, ServeValue]:
    """What the ini file gives placeholders, name by name.

    Raises:
        SetupError: a line is not NAME=VALUE.
    """
    found: dict[str, ServeValue] = {}
    for line in ini(config, _KEY) or []:
        name, equals, value = line.partition("=")
        if not equals or not name.strip().isidentifier():
            raise SetupError(f"{_KEY}: {line!r}: write NAME=VALUE, one a line, such as workers=1")
        found[name.strip()] = value.strip()
    return found


def given_to(item: pytest.Item) -> tuple[Any, ...]:
    """The parameter of `llm_server` as the test has it; empty where it has none."""
    callspec = getattr(item, "callspec", None)
    return (callspec.params[ARGUMENT],) if callspec is not None and ARGUMENT in callspec.params else ()


def values_given(config: pytest.Config, item: pytest.Item) -> dict[str, ServeValue]:
    """What the test itself gives, by name.

    Raises:
        SetupError: names or values that the command does not take; all of them.
    """
    given, names = given_to(item), value_names(*served(config))
    return _named(given[0], names, _who(config)) if given and names is not None else {}


def values_of(config: pytest.Config, item: pytest.Item) -> dict[str, ServeValue]:
    """All values of the server that the test wants, in the order of the command. Raises as `values_given`."""
    return _in_order(config, default_values(config) | values_given(config, item))


def default_values_of(config: pytest.Config) -> dict[str, ServeValue]:
    """Those of a server for which no test gives any, in the order of the command."""
    return _in_order(config, default_values(config))


def _in_order(config: pytest.Config, known: Values) -> dict[str, ServeValue]:
    names = value_names(*served(config)) or ()
    return {name: known[name] for name in names if name in known}


def variant_of(config: pytest.Config, item: pytest.Item) -> dict[str, Any]:
    """{"variant": {"of", "values"}} of a test that is to be seen beside its like; else empty."""
    if not given_to(item) or value_names(*served(config)) is None:
        return {}
    others = {name: value for name, value in item.callspec.params.items() if name != ARGUMENT}  # type: ignore[attr-defined]
    file, colons, rest = item.nodeid.partition("::")
    rest = rest.partition("[")[0]
    shown = ", ".join(f"{name}={str(value)[:_MOST_CHARS]}" for name, value in others.items())
    of = f"{file}{colons}{rest}" + (f"[{shown}]" if shown else "")
    return {"variant": {"of": of, "values": values_given(config, item)}}


def not_served(config: pytest.Config, item: pytest.Item) -> str | None:
    """Why the test is skipped: it gives values, and the server is not started here."""
    given = given_to(item)
    if not given or value_names(*served(config)) is not None:
        return None
    return (
        f"{ARGUMENT} is to be started with {text_of(given[0], ())}, and the server is not started here:"
        " give --llm-serve='CMD --port {port}' with a placeholder for each value"
    )


def text_of(given: Any, names: Sequence[str]) -> str | None:
    """One parameter for people, "workers=2"; None where pytest's own name for it is as good."""
    if isinstance(given, Mapping):
        return ",".join(f"{name}={_shown(value)}" for name, value in given.items()) or "defaults"
    if len(names) == 1:
        return f"{names[0]}={_shown(given)}"
    return None if names else _shown(given)


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def faults_of(
    config: pytest.Config, items: Iterable[pytest.Item], wanting: Sequence[pytest.Item]
) -> list[str]:
    """All that is wrong with the values of the tests, each fault once, with the first test that has it.

    Args:
        config: of the session.
        items: all tests.
        wanting: those of them that need a server.
    """
    found: dict[str, str] = {}
    for fault, nodeid in _faults(config, items, wanting):
        found.setdefault(fault, nodeid)
    return [f"{nodeid}: {fault}" for fault, nodeid in found.items()]


def _faults(
    config: pytest.Config, items: Iterable[pytest.Item], wanting: Sequence[pytest.Item]
) -> Iterator[tuple[str, str]]:
    endpoint, serve = served(config)
    yield from ((_DIRECT, item.nodeid) for item in items if given_to(item) and not _is_indirect(item))
    if value_names(endpoint, serve) is None:
        return
    sets: dict[str, Values] = {}
    for item in wanting:
        try:
            values = values_of(config, item)
            yield from ((fault, item.nodeid) for fault in lacking_values(serve, values))
            if serve is not None and key_of(values) not in sets:
                command_for(endpoint, serve, 1, values)
        except SetupError as error:
            yield from ((fault, item.nodeid) for fault in str(error).split("\n"))
        else:
            sets[key_of(values)] = values
    if len(sets) > 1 and _is_spread(config):
        yield _SPREAD, wanting[0].nodeid


_DIRECT = (
    f'parametrize("{ARGUMENT}", ...) lacks indirect=True: without it the test gets the bare value, and no'
    " server is started with it"
)
_SPREAD = (
    "the tests want servers with different values, and workers of pytest-xdist would start them beside each"
    " other: leave -n out, or give -n 1, in a run of their own if others need more workers"
)


def lacking_values(serve: str | None, values: Values) -> Iterator[str]:
    """A fault for each placeholder of the command that has no value."""
    names = value_names(None, serve) if serve is not None else ()
    for name in names or ():
        if name not in values:
            yield f"--llm-serve {serve!r}: {{{name}}} has no value: {_HOW.format(name=name)}"


def _is_indirect(item: pytest.Item) -> bool:
    """Also where a hook has made the parameters, which no mark tells."""
    for mark in item.iter_markers("parametrize"):
        named = mark.args[0] if mark.args else mark.kwargs.get("argnames", ())
        names = [each.strip() for each in named.split(",")] if isinstance(named, str) else named
        indirect = mark.kwargs.get("indirect", mark.args[2] if len(mark.args) > 2 else False)
        if ARGUMENT in names:
            return indirect is True or (indirect is not False and ARGUMENT in indirect)
    return True


def _who(config: pytest.Config) -> str:
    endpoint, serve = served(config)
    return f"--llm-endpoint={endpoint}" if serve is None else f"--llm-serve {serve!r}"


def _named(given: Any, names: Sequence[str], who: str) -> dict[str, ServeValue]:
    takes = f"takes {', '.join(names)}" if names else "takes none: write {name} where a value belongs"
    if not isinstance(given, Mapping):
        if len(names) != 1:
            raise SetupError(
                f"{ARGUMENT}: {given!r} has no name, and {who} {takes}: give a dictionary,"
                f' such as {{"{(*names, "workers")[0]}": {given!r}}}'
            )
        given = {names[0]: given}
    unknown = [repr(name) for name in given if name not in names]
    faults = [f"{ARGUMENT}: {', '.join(unknown)}: {who} {takes}"] if unknown else []
    values = {str(name): _value(value) for name, value in given.items()}
    faults += [
        f"{ARGUMENT}: {name}: {given[name]!r} is no value: give a text, a number, or a list of texts, which"
        " are words of the command"
        for name, value in values.items()
        if value is None
    ]
    if faults:
        raise SetupError("\n".join(faults))
    return {name: value for name, value in values.items() if value is not None}


def _value(value: Any) -> ServeValue | None:
    """None for what is no value. True and False are none: programs spell them in different ways."""
    if isinstance(value, (list, tuple)):
        return tuple(value) if all(isinstance(each, str) for each in value) else None
    return value if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None


def _is_spread(config: pytest.Config) -> bool:
    # Not even --dist loadgroup keeps them on one worker: pytest-xdist 3.8 beside pytest 9.2 does not group.
    return bool(getattr(config, "workerinput", {}).get("workercount", 1) > 1)

"""From the user's `--llm-serve` text to a command that can be run."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
from collections.abc import Mapping
from itertools import chain

from pytest_llmserve.domain.errors import SetupError

ServeValue = str | int | float | tuple[str, ...]
"""What stands for a placeholder; a tuple stands for a whole word of the command, as so many words."""

PORT = "port"
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
# Only a bare name counts, so that JSON and templates in a command stay as they are.
_PLACEHOLDER = re.compile(r"\{\{(?P<literal>[A-Za-z_]\w*)\}\}|\{(?P<name>[A-Za-z_]\w*)\}", re.ASCII)


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that is free now. Another process may take it before the server does."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def placeholders(template: str) -> tuple[str, ...]:
    """The names in braces, "port" too, each once; `{{name}}` is none, and stands for the text "{name}"."""
    found = (match["name"] for match in _PLACEHOLDER.finditer(template))
    return tuple(dict.fromkeys(name for name in found if name is not None))


def check_command(template: str, *, port_is_fixed: bool = False) -> None:
    """Tell what can be told before values are known; raises as `command_from`."""
    words = _words(template)
    if PORT not in placeholders(template) and not port_is_fixed:
        raise SetupError(
            f"--llm-serve {template!r} has no {{port}}: write {{port}} where the server takes its port,"
            " such as 'CMD --port {port}'; one that listens at the same port always is named with it, such as"
            " --llm-endpoint=http://127.0.0.1:8000"
        )
    program = _program(words)
    if program is None or not placeholders(program):
        _find(template, program)


def command_from(template: str, port: int, values: Mapping[str, ServeValue] | None = None) -> list[str]:
    """Split `--llm-serve` into words and put port and values in. No shell is involved.

    Leading assignments ("CUDA_VISIBLE_DEVICES=0 vllm serve ...") are handed to `env`.

    Args:
        template: the text, with a `{name}` for each value.
        port: for `{port}`.
        values: by name; what has none here is not replaced.

    Raises:
        SetupError: quotes that do not close, a command that is not there, or several words in part of one.
    """
    known = {**(values or {}), PORT: port}
    words = list(chain.from_iterable(_filled(template, word, known) for word in _words(template)))
    program = _program(words)
    _find(template, program)
    return words if words[0] == program else ["env", *words]


def _words(template: str) -> list[str]:
    try:
        return shlex.split(template)
    except ValueError as error:
        raise SetupError(f"--llm-serve {template!r} cannot be split into words: {error}") from None


def _program(words: list[str]) -> str | None:
    return next((word for word in words if not _ASSIGNMENT.match(word)), None)


def _find(template: str, program: str | None) -> None:
    if program is None or shutil.which(program) is None:
        raise SetupError(
            f"--llm-serve {template!r}: command {program or ''!r} not found:"
            " give its full path or put its folder on PATH"
        )


def _filled(template: str, word: str, values: Mapping[str, ServeValue]) -> tuple[str, ...]:
    """The words that a word of the template becomes: one, but for a placeholder that stands for several."""
    alone = _PLACEHOLDER.fullmatch(word)
    several = values.get(alone["name"]) if alone is not None and alone["name"] else None
    if isinstance(several, tuple):
        return several

    def text(match: re.Match[str]) -> str:
        if match["literal"] is not None:
            return f"{{{match['literal']}}}"
        value = values.get(match["name"], match[0])
        if isinstance(value, tuple):
            raise SetupError(
                f"--llm-serve {template!r}: {match['name']} has several words, {list(value)}, but stands in"
                f" {word!r}: give it a word of its own in the command, or one text as its value"
            )
        return str(value)

    return (_PLACEHOLDER.sub(text, word),)

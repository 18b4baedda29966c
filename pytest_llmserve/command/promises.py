"""Checks as text: `latency(p99_ms=2000)`, read as data and never run."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from pytest_llmserve.checks import BARE, CHECKS, Check, check_class
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.keywords import build

EXAMPLE = "latency(p99_ms=2000)"
_KNOWN = "docs/markers.md has the keywords, as has pytest --markers"


def promises(
    texts: Sequence[str], allowed: Sequence[str] = tuple(CHECKS), elsewhere: str = ""
) -> list[Check]:
    """The checks that are written as markers are.

    Args:
        texts: one check each.
        allowed: names of checks that can be judged here.
        elsewhere: what to do for any other, a sentence.

    Raises:
        SetupError: names every fault of them all, a line each.
    """
    found: list[Check] = []
    faults = []
    for text in texts:
        try:
            found.append(_promise(text, allowed, elsewhere))
        except SetupError as error:
            faults.append(f"--check {text!r}: {error}")
    if faults:
        raise SetupError("\nERROR: ".join(faults))
    return found


def _promise(text: str, allowed: Sequence[str], elsewhere: str) -> Check:
    call = _call(text)
    name = _name(call.func)
    cls = check_class(name)
    if name not in allowed:
        raise SetupError(elsewhere)
    if not (call.args or call.keywords or name in BARE):
        raise SetupError(f"promises nothing without a keyword: write it as {name}(KEYWORD=VALUE), {_KNOWN}")
    args, kwargs = _given(call)
    check: Check = build(cls, name, args, kwargs)
    return check


def _call(text: str) -> ast.Call:
    try:
        tree = ast.parse(text.strip().removeprefix("@"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
        raise SetupError(f"is not written as a check is ({why}): write it as {EXAMPLE}") from None
    if isinstance(tree, (ast.Name, ast.Attribute)):
        return ast.Call(tree, [], [])
    if not isinstance(tree, ast.Call):
        raise SetupError(f"is not a check: write it as {EXAMPLE}")
    return tree


def _name(function: ast.expr) -> str:
    """The marker's, with or without `pytest.mark.` before it."""
    return ast.unparse(function).removeprefix("pytest.").removeprefix("mark.")


def _given(call: ast.Call) -> tuple[list[Any], dict[str, Any]]:
    """Arguments and keywords of a call, if all of them are literals."""
    faults: list[str] = []
    kwargs: dict[str, Any] = {}
    args = [_literal(node, "argument", faults) for node in call.args]
    for keyword in call.keywords:
        name = keyword.arg
        if name is None:
            faults.append(f"**{ast.unparse(keyword.value)}: write the keywords themselves")
        elif name in kwargs:
            faults.append(f"{name} is given twice")
        else:
            kwargs[name] = _literal(keyword.value, name, faults)
    if faults:
        raise SetupError("; ".join(faults))
    return args, kwargs


def _literal(node: ast.expr, name: str, faults: list[str]) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        faults.append(f"{name}: {ast.unparse(node)} is not a value: write the number or text itself")
        return None

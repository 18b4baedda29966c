"""From a command line to an exit code: those of pytest, so that a pipeline need not tell them apart."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from pytest_llmserve.domain.errors import SetupError

if TYPE_CHECKING:
    import argparse

    from pytest_llmserve.command.screen import Screen

HELD, BROKEN, INTERRUPTED, OURS, WRONG_USE = 0, 1, 2, 3, 4
"""Every limit holds; one is broken; Ctrl-C; a fault of our own; wrong use. As `pytest.ExitCode`."""

VERBS: dict[str, str] = {
    "report": "pytest_llmserve.command.report:run",
    "compare": "pytest_llmserve.command.compare:run",
}
"""First word -> function of the parsed arguments and the screen; True = every limit holds."""

Verb = Callable[["argparse.Namespace", "Screen"], bool]


def run(argv: Sequence[str] | None) -> int:
    """Do what the command line says.

    Args:
        argv: words after the command's name; None = those of this process.

    Returns:
        One of the codes above. What is wrong is told on stderr.
    """
    from pytest_llmserve.command.arguments import parsed
    from pytest_llmserve.command.screen import Screen

    try:
        arguments = parsed(argv)
    except SystemExit as end:  # argparse: --help, --version, or a fault it has told
        return WRONG_USE if end.code else HELD
    module, _, function = VERBS[arguments.verb].partition(":")
    try:
        verb: Verb = getattr(import_module(module), function)
        screen = Screen(sys.stdout, arguments.verbosity)
        code = HELD if verb(arguments, screen) else BROKEN
        screen.flush()
    except SetupError as error:
        return _told(f"ERROR: {error}", WRONG_USE)
    except KeyboardInterrupt:
        return _told("interrupted", INTERRUPTED)
    except Exception:
        traceback.print_exc()
        return _told("this is pytest-llmserve's fault, not the server's", OURS)
    return code


def _told(text: str, code: int) -> int:
    sys.stderr.write(f"{text}\n")
    return code

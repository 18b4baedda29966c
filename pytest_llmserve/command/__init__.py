"""`pytest-llmserve`: judge, report and compare kept runs, without a server and without pytest."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return its exit code, see `command.run`."""
    from pytest_llmserve.command.run import run

    return run(argv)

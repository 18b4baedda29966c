"""-o FILE: which writer each ending has, and what is said where a file cannot be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from pytest_llmserve.command.screen import Screen
from pytest_llmserve.domain.errors import SetupError


def outputs(names: Sequence[str], writers: Mapping[str, str]) -> dict[Path, str]:
    """Where to write, and with which of the writers.

    Args:
        names: as they were given.
        writers: ending -> dotted path of a function of a document and a path.

    Raises:
        SetupError: names every fault, a line each.
    """
    paths = [Path(name) for name in names]
    faults = []
    for path in paths:
        if path.suffix not in writers:
            faults.append(f"-o {path}: the ending must be one of {', '.join(writers)}")
        elif path.is_dir():
            faults.append(f"-o {path}: is a folder; name a file")
    if faults:
        raise SetupError("\nERROR: ".join(faults))
    return {path: writers[path.suffix] for path in paths}


def write_all(document: dict[str, Any], targets: Mapping[Path, str], screen: Screen) -> None:
    """Write every file, and name each.

    Raises:
        SetupError: one or more cannot be written; the others are.
        Exception: a fault of our own in one of them; the others are written.
    """
    faults: list[str] = []
    ours: list[Exception] = []
    for path, writer in targets.items():
        module, _, function = writer.partition(":")
        try:
            getattr(import_module(module), function)(document, path)
        except OSError as error:
            why = f"{error.strerror} ({error.filename or path})"
            faults.append(f"-o {path}: cannot be written: {why}; name a file that can be")
        except Exception as error:
            error.add_note(f"-o {path} is not written; what else was named is, but for what is told here")
            ours.append(error)
        else:
            screen.line(f"report: {path}")
    if ours:
        for fault in faults:
            ours[0].add_note(fault)
        raise ours[0]
    if faults:
        raise SetupError("\nERROR: ".join(faults))

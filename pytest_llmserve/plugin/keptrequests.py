"""--llm-report x.jsonl: the requests of a test go to a file of their own until the session ends."""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pytest_llmserve.plugin.collected import Collected
from pytest_llmserve.plugin.evidence import baseline_of, evidence_of
from pytest_llmserve.plugin.options import value
from pytest_llmserve.plugin.shards import jsonl_paths, session_name
from pytest_llmserve.plugin.testdocument import clean
from pytest_llmserve.reports.about import Asked, run_about, test_about
from pytest_llmserve.reports.jsonl_file import shard_path, write_shard
from pytest_llmserve.reports.private import SHARD
from pytest_llmserve.reports.request_line import request_lines

if TYPE_CHECKING:
    from pytest_llmserve.plugin.testrun import TestRun

_NUMBERS = itertools.count(1)


def with_shard(test: TestRun, document: dict[str, Any]) -> dict[str, Any]:
    """The document of a test, with where its requests are; they are written the first time.

    An error in the teardown makes a second document of one attempt: its requests are there once.
    """
    targets = jsonl_paths(test.state.config)
    if not targets or not test.runs:
        return document
    if test.shard is None:
        name = f"{session_name(test.state.folder)}-{os.getpid()}-{next(_NUMBERS)}"
        paths = [shard_path(target, name) for target in targets]
        test.shard = write_shard(paths, lambda: _lines(test, document))
    return document | {SHARD: test.shard}


def _lines(test: TestRun, document: Mapping[str, Any]) -> Iterator[bytes]:
    keep_text = bool(value(test.state.config, "--llm-keep-text"))
    strict = bool(value(test.state.config, "--llm-strict"))
    wall_ns = time.time_ns() - time.monotonic_ns()
    evidence = test.evidence or evidence_of(test)  # none yet, of a test that was interrupted
    there = Collected.of(test.state.config).environment()
    abouts = [
        {"run": number} | run_about(run, of_run, wall_ns, keep_text, baseline_of(test.against, run))
        for number, (run, of_run) in enumerate(zip(test.runs, document["runs"], strict=True), 1)
    ]
    unsent = [about for run, about in zip(test.runs, abouts, strict=True) if not run.everything]
    whole: dict[str, Any] | None = test_about(evidence, document, _asked(test), there, unsent, strict)
    for run, about in zip(test.runs, abouts, strict=True):
        if not run.everything:
            continue
        number = about.pop("run")
        if whole is not None:
            about, whole = about | {"test": whole}, None
        yield from request_lines(
            run,
            clean(test, about),
            test.redacted,
            nodeid=test.item.nodeid,
            attempt=test.attempt,
            number=number,
            keep_text=keep_text,
        )


def _asked(test: TestRun) -> list[Asked]:
    judged = {check.name for check in test.wishes.checks}
    return [
        Asked(name, {word: _plain(given) for word, given in keywords.items()})
        for name, keywords in test.wishes.asked.items()
        if name in judged
    ]


def _plain(given: Any) -> Any:
    """A keyword's value as JSON has it."""
    if isinstance(given, re.Pattern):
        flags = "".join(letter for letter, flag in _FLAGS.items() if given.flags & flag)
        return f"(?{flags}){given.pattern}" if flags else given.pattern
    if isinstance(given, Iterable) and not isinstance(given, (str, Mapping)):
        return [_plain(each) for each in given]
    return given


_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE, "a": re.ASCII}

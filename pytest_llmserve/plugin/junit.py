"""What stands in JUnit's file for the session as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from pytest_llmserve.domain.printable import printable
from pytest_llmserve.plugin.options import value

_MOST_CHARS = 500


def tell_suite(config: pytest.Config, document: dict[str, Any]) -> None:
    """Add the properties of the suite, where JUnit's file is written and a test used a server.

    It is what `record_testsuite_property` does, which as a fixture knows nothing under xdist.
    """
    from _pytest.junitxml import xml_key

    xml = config.stash.get(xml_key, None)
    if xml is None or not document["tests"]:
        return
    for name, text in suite_properties(document, value(config, "--llm-report") or []):
        xml.add_global_property(name, text)


def suite_properties(document: dict[str, Any], reports: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Names and values, each once: what several tests have together stands in one value.

    Args:
        document: of the session.
        reports: files that --llm-report names.
    """
    environment = document["environment"]
    servers = [test["server"] for test in document["tests"] if test.get("server")]
    plans = [run["plan"]["text"] for test in document["tests"] for run in test["runs"]]
    told = {
        "llmserve.version": [environment["pytest_llmserve"]],
        "llmserve.server": [server["url"] for server in servers],
        "llmserve.api": [server["api"] for server in servers],
        "llmserve.model": [server["model"] for server in servers],
        "llmserve.plan": plans,
        "llmserve.python": [environment["python"]],
        "llmserve.system": [f"{environment['system']} {environment['machine']}"],
        "llmserve.cpu": [f"{environment['cpus']} x {environment['cpu_model'] or 'not told'}"],
        "llmserve.memory_mb": [environment["memory_mb"]],
        "llmserve.report": reports,
    }
    for name, values in told.items():
        text = property_text("; ".join(dict.fromkeys(str(each) for each in values if each)))
        if text:
            yield name, text


def property_text(text: str) -> str:
    """What XML can hold, in one line that is not long."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= _MOST_CHARS else f"{line[: _MOST_CHARS - 1]}…"

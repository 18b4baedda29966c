"""Where the requests of each test lie until a .jsonl report is put together.

Such a shard is a .jsonl file in itself. It lies beside the report, so that what fills up a disk is where its
user looks; and it is named for the session, so that what a worker of pytest-xdist left behind is found.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_llmserve.plugin.keys import STATE
from pytest_llmserve.plugin.reportpaths import report_paths
from pytest_llmserve.reports.jsonl_file import shards_of


def jsonl_paths(config: pytest.Config) -> list[Path]:
    """The .jsonl reports that are asked for."""
    return [path for path in report_paths(config).values() if path.suffix == ".jsonl"]


def session_name(folder: Path) -> str:
    """What all processes of a session call it in the names of their shards; of its private folder."""
    return re.sub(r"[^a-z0-9_]", "", folder.name.rpartition("-")[2])


def shards_left(config: pytest.Config) -> list[Path]:
    """Those of all tests of the session; none in a worker of pytest-xdist, which shares them."""
    state = config.stash.get(STATE, None)
    if state is None or hasattr(config, "workerinput"):
        return []
    name = session_name(state.folder)
    return [shard for path in jsonl_paths(config) for shard in shards_of(path, name)]

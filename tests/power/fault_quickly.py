"""conftest.py of the quick form: one session, in which the server is started anew with each row's faults."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROWS = json.loads((HERE / "rows.json").read_text())


def pytest_generate_tests(metafunc):
    name = metafunc.function.__name__.removeprefix("test_")
    rows = [row for row in ROWS if name in row["needs"]]
    metafunc.parametrize("planted", rows, ids=[row["name"] for row in rows], indirect=True)


@pytest.fixture(autouse=True)
def planted(request, llm_server):
    (HERE / "planted").write_text("\n".join(request.param["faults"]))
    llm_server.stop()
    llm_server.restart()

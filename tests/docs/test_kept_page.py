"""docs/kept.md: its commands run, its table of keys is whole."""

from __future__ import annotations

import json
import shlex
import shutil

import pytest

from pytest_llmserve.command import main
from pytest_llmserve.command.sides import side_of
from pytest_llmserve.reports.kept import KeptRuns

SUITE = """
import pytest

@pytest.mark.load(users=2, requests=40)
@pytest.mark.error_rate(max=0.5)
def test_load(llm_load):
    llm_load()
"""


@pytest.mark.slow
def test_commands_of_the_page_run(document, mock_server, session, tmp_path, monkeypatch, capsys):
    """In a folder where the runs of a healthy server are kept, each as it stands there ends well."""
    server = mock_server("--ttft-ms", 2, "--itl-ms", 1)
    folder = tmp_path / "copied"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    (folder / "test_suite.py").write_text(SUITE)
    done = session(folder, f"--llm-endpoint={server.url}", "--llm-report=run.jsonl")
    assert done.exit == 0, done.text
    monkeypatch.chdir(folder)
    for name in ("main", "branch"):  # one run, so that it matters to none how busy this machine is
        shutil.copy("run.jsonl", f"{name}.jsonl")
        for (nodeid, _), run in side_of("run.jsonl", ".llmserve", []).kept.items():
            KeptRuns(folder / ".llmserve" / name, name).save(nodeid, [run])
    page = document("docs/kept.md")
    commands = [line for block in page.blocks("sh") for line in block.splitlines()]
    assert len(commands) == 6
    for command in commands:
        name, *words = shlex.split(command)
        code = main(words)
        assert (name, code) == ("pytest-llmserve", 0), (command, capsys.readouterr())
    assert {"run.html", "run.md", "difference.html", "difference.md"} <= {
        path.name for path in folder.iterdir()
    }
    assert main(["compare", "main", "branch", "-o", "d.json"]) == 0
    found = json.loads((folder / "d.json").read_text())
    run = found["runs"][0]
    keys = {*found, *run, *run["before"], *run["differences"][0]}
    assert keys <= page.words, keys - page.words

"""Isolation on a real model: a sound server is left alone, answers that change places are found."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_llmserve.serve.embedded import model_path

pytest.importorskip("fastapi")
pytest.importorskip("xllamacpp")
pytestmark = pytest.mark.proof

ROOT = Path(__file__).parents[2]
LIMIT_S = 900
SUITE = """
import pytest
from pytest_llmserve import Task

@pytest.mark.isolation()
def test_no_answer_belongs_to_somebody_else(llm_tasks):
    rivers = Task("rivers", ["Name a river.", "Name a lake.", "Name a sea."], params={"max_tokens": 8})
    llm_tasks(rivers, users=8, requests=%d, alone=%r)
"""


@contextlib.contextmanager
def running(*command):
    """A server of ours, ended with all its children."""
    process = subprocess.Popen([sys.executable, *map(str, command)], start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def port_of(file, process):
    deadline = time.monotonic() + 60
    while not file.exists():
        assert process.poll() is None, "the proxy ended"
        assert time.monotonic() < deadline, "the proxy did not start"
        time.sleep(0.05)
    return int(file.read_text())


@pytest.fixture
def session(tmp_path):
    """Run pytest in a folder: ``session(folder, options...)`` -> (exit status, output, report)."""

    def run(folder, *options):
        model_path()  # a missing model is told by name
        report = tmp_path / "report.json"
        command = ["pytest", *options, f"--llm-report={report}", "-p", "no:cacheprovider"]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "LLM_"))}
        env = kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=LIMIT_S)
        return done.returncode, done.stdout + done.stderr, json.loads(report.read_text())

    return run


@pytest.fixture
def judged(tmp_path, session):
    """Run the suite: ``judged(requests, alone, options...)``."""

    def run(requests, alone, *options):
        folder = tmp_path / "suite"
        folder.mkdir()
        (folder / "test_suite.py").write_text(SUITE % (requests, alone))
        return session(folder, *options)

    return run


def test_the_real_server_keeps_answers_apart(judged):
    """8 users, 120 requests, half of them canaries, some clients that leave."""
    status, text, report = judged(120, 15, "--llm-endpoint=embedded")
    assert status == 0, text
    verdict = report["tests"][0]["verdicts"][0]
    assert (verdict["verdict"], verdict["estimate"]) == ("pass", 0), verdict


@pytest.mark.parametrize("seed", range(3))
def test_answers_that_change_places_are_found_within_fifty_requests(judged, tmp_path, seed):
    """A proxy before the real server exchanges a tenth of the answers."""
    with running("-m", "pytest_llmserve.serve.embedded", "--port", 18641 + seed) as model:
        assert model.poll() is None
        proxy = ["--upstream", f"http://127.0.0.1:{18641 + seed}", "--share", 0.1, "--seed", seed]
        file = tmp_path / "port"
        with running(ROOT / "tests/servers/swap_proxy.py", *proxy, "--port-file", file) as process:
            url = f"http://127.0.0.1:{port_of(file, process)}"
            status, text, report = judged(50, False, f"--llm-endpoint={url}", "--llm-api=openai-chat")
    assert status == 1, text
    verdict = report["tests"][0]["verdicts"][0]
    assert (verdict["verdict"], verdict["n"] <= 50) == ("fail", True), verdict
    assert "carried another request's mark" in verdict["sentence"]
    assert "both under way at once" in text


@pytest.mark.parametrize("mistake", [False, True], ids=["sound", "shared prompt"])
def test_an_app_of_two_jobs(session, tmp_path, mistake):
    """The example as it stands passes with a model that errs; with its system prompts mixed it fails."""
    folder = tmp_path / "isolation"
    shutil.copytree(ROOT / "conftest_examples/isolation", folder)
    options = ["--llm-serve=python app.py --shared-prompt --port {port}"] if mistake else []
    status, text, _ = session(folder, *options)
    assert status == int(mistake), text
    if mistake:
        assert "right alone" in text

"""Starts real servers, and runs a user's suite against them."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.serve.command import free_port
from pytest_llmserve.serve.endpoint import Endpoint
from pytest_llmserve.serve.process import ServerProcess, start
from pytest_llmserve.serve.ready import wait_ready
from tests.real.environments import ROOT

READY_LIMIT_S = 300
SESSION_LIMIT_S = 600
# No server asks a model hub, or tells anyone that it runs.
ALONE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONPATH": "",
    "TOKENIZERS_PARALLELISM": "false",
    # Threads that wait for each other spin: on busy cores two are slower than one, by far.
    "OMP_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class Served:
    """A server that answers."""

    base: str
    process: ServerProcess
    endpoint: Endpoint

    def speaking(self, api: str, path: str = "", **known: Any) -> Endpoint:
        """The same server, asked in another API; to be closed."""
        target = msgspec.structs.replace(target_from_url(self.base + path), api=api, **known)
        return wait_ready(target, limit_ns=READY_LIMIT_S * NS_PER_S, alive=lambda: self.process.death)


@contextlib.contextmanager
def served(
    command: Sequence[str], folder: Path, *, env: Mapping[str, str] = ALONE, path: str = "", **known: Any
) -> Iterator[Served]:
    """Start a server, wait until it answers, and end its whole process tree.

    Args:
        command: `{port}` in it is the port it gets.
        folder: for its log; a new one.
        env: added to this process's environment.
        path: of its API, where the API has no fixed one.
        known: what a user names of it: fields of `Target`.
    """
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    target = msgspec.structs.replace(target_from_url(base + path), **known)
    with start([part.replace("{port}", str(port)) for part in command], folder, env=env) as process:
        endpoint = wait_ready(target, limit_ns=READY_LIMIT_S * NS_PER_S, alive=lambda: process.death)
        try:
            yield Served(base, process, endpoint)
        finally:
            endpoint.close()


@dataclass(frozen=True)
class Session:
    """What a user's pytest session said and wrote."""

    exit: int
    text: str
    report: dict[str, Any]

    def verdict(self, check: str) -> dict[str, Any]:
        """The first test's verdict of a check."""
        found = [each for each in self.report["tests"][0]["verdicts"] if each["check"] == check]
        assert found, self.text
        return found[0]

    @property
    def run(self) -> dict[str, Any]:
        """The first test's first run."""
        runs = self.report["tests"][0]["runs"]
        assert runs, self.text
        return runs[0]


def session(folder: Path, body: str, *options: str, env: Mapping[str, str] = ALONE) -> Session:
    """Run `body` as a user's test file, in a process of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "test_suite.py").write_text("import pytest\n\n" + body)
    report = folder / "report.json"
    command = [sys.executable, "-m", "pytest", *options, f"--llm-report={report}", "-p", "no:cacheprovider"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "LLM_"))}
    done = subprocess.run(
        command,
        cwd=folder,
        # The package of this checkout; what the server inherits is no package of its own environment.
        env={**kept, **env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SESSION_LIMIT_S,
    )
    found = json.loads(report.read_text()) if report.exists() else {"tests": []}
    return Session(done.returncode, done.stdout + done.stderr, found)


def joined(command: Sequence[str]) -> str:
    """A command as --llm-serve takes it."""
    return " ".join(part if part == "{port}" else shlex.quote(part) for part in command)

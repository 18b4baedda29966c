"""Reads the documents as a user copies from them, and runs what was copied as a user would."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LIMIT_S = 300.0
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Document:
    """One page of Markdown."""

    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    def blocks(self, language: str) -> list[str]:
        """The fenced blocks in a language, in their order."""
        return [code for found, code in _FENCE.findall(self.text) if found == language]

    def section(self, heading: str) -> str:
        """From a heading, given with its marks, to the next one of its level or above."""
        level = len(heading) - len(heading.lstrip("#"))
        following = self.text.split(f"\n{heading}\n", 1)[1]
        return re.split(rf"^#{{1,{level}}} ", following, maxsplit=1, flags=re.MULTILINE)[0]

    @property
    def words(self) -> set[str]:
        """Everything that stands in backticks."""
        return set(re.findall(r"`([^`\n]+)`", self.text))


@dataclass(frozen=True)
class Session:
    """A pytest session that is over."""

    exit: int
    text: str
    report: dict[str, Any] | None


@pytest.fixture
def document() -> Callable[[str], Document]:
    """``document("docs/report.md")`` -> a `Document`."""
    return lambda name: Document(ROOT / name)


@pytest.fixture
def documents() -> list[Document]:
    """README and every page of docs/."""
    return [Document(ROOT / "README.md"), *(Document(path) for path in sorted((ROOT / "docs").rglob("*.md")))]


@pytest.fixture
def session(tmp_path: Path) -> Callable[..., Session]:
    """Run pytest in a process of its own: ``session(folder, "--llm-scale=0.1")`` -> a `Session`.

    Tests of that folder alone, with its own ini file or none; `pytest` and `python` are this environment's.
    """

    def run(folder: Path, *options: object) -> Session:
        report = tmp_path / "session.json"
        command = ["pytest", *map(str, options), f"--llm-report={report}", "-p", "no:cacheprovider", "-rA"]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "LLM_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = _run(command, folder, kept | {"PATH": path, "COLUMNS": "100"})
        found = json.loads(report.read_text()) if report.exists() else None
        return Session(done.returncode, done.stdout, found)

    return run


def _run(command: Sequence[str], folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

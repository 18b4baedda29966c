"""Reports opened in Chromium, from the file system and without a network."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_llmserve.reports.html.page import write

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent / "reports"):  # for looking.py and sample_document.py
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LIMIT_MS = 60_000
"""Of one step; two browsers on two busy cores take their time."""


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on PATH")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=found, args=QUIET, timeout=LIMIT_MS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser):
    """visit(path, **context): the page of a file, loaded; what it says and asks for in `.said`, `.asked`.

    `before` is a script that runs ahead of all others.
    """
    contexts = []

    def opened(path: Path, before: str = "", **context):
        contexts.append(browser.new_context(offline=True, **context))
        contexts[-1].add_init_script(before)
        page = contexts[-1].new_page()
        page.set_default_timeout(LIMIT_MS)
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: page.said.append(f"error: {error}"))
        page.on("dialog", lambda dialog: page.said.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Path:
    """A report of a test that passed and of one that failed, with all kinds of plots."""
    from sample_document import bad_test, document, good_test

    path = tmp_path_factory.mktemp("sample") / "report.html"
    write(document(good_test(), bad_test()), path)
    return path

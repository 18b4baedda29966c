"""What people and pipelines read: messages, tables, files."""

from __future__ import annotations

REPORTS: dict[str, str] = {
    ".json": "pytest_llmserve.reports.json_file:write",
    ".jsonl": "pytest_llmserve.reports.jsonl_file:write",
    ".html": "pytest_llmserve.reports.html.page:write",
    ".md": "pytest_llmserve.reports.markdown:write",
}
"""Ending of `--llm-report` -> function that writes the document there.

Keys of the document that begin with an underscore are for some of them alone: `without_private`.
"""

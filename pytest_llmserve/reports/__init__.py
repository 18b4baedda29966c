"""What people and pipelines read: messages, tables, files."""

from __future__ import annotations

REPORTS: dict[str, str] = {
    ".json": "pytest_llmserve.reports.json_file:write",
}
"""Ending of `--llm-report` -> function that writes the document there."""

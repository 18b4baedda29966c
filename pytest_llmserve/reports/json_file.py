"""`--llm-report x.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_llmserve.reports.private import without_private
from pytest_llmserve.reports.whole import write_text


def write(document: dict[str, Any], path: Path) -> None:
    """Write the document, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    text = json.dumps(without_private(document), indent=1, ensure_ascii=True, allow_nan=False)
    write_text(text + "\n", path)

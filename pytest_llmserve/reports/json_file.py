"""`--llm-report x.json`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pytest_llmserve.reports.private import without_private


def write(document: dict[str, Any], path: Path) -> None:
    """Write the document, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + f".{os.getpid()}.part")
    text = json.dumps(without_private(document), indent=1, ensure_ascii=True, allow_nan=False)
    unfinished.write_text(text + "\n", encoding="ascii")
    unfinished.replace(path)

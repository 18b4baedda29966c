"""The reports in docs/ that show what one looks like, made of `sample_document`.

``python tests/reports/example_report.py`` writes them anew, after a change of what reports have.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import sample_document

from pytest_llmserve.reports import REPORTS

DOCS = Path(__file__).parents[2] / "docs"
MACHINE = {
    "pytest_llmserve": "1.0.0",
    "python": "3.12.11",
    "system": "Linux 6.12.0",
    "machine": "x86_64",
    "cpus": 8,
    "cpu_model": "AMD EPYC",
    "memory_mb": 32000,
}
"""In place of the one that writes it."""
NAMES = ("example-report.json", "example-report.md")


def write(folder: Path) -> None:
    """Write each of NAMES there."""
    document = sample_document.document()
    document["environment"] |= MACHINE
    for name in NAMES:
        module, function = REPORTS[Path(name).suffix].split(":")
        getattr(import_module(module), function)(document, folder / name)


if __name__ == "__main__":
    write(DOCS)

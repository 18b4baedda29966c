"""``python -m pytest_llmserve.simulator``."""

from __future__ import annotations

from pytest_llmserve.simulator.cli import main

if __name__ == "__main__":
    main()

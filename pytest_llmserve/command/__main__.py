"""`python -m pytest_llmserve.command`."""

from __future__ import annotations

from pytest_llmserve.command import main

if __name__ == "__main__":
    raise SystemExit(main())

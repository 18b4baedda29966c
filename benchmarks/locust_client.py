"""Locust by its command line, with locust_users.py: FastHttpUser, one process."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import client_program
import outside

if TYPE_CHECKING:
    import argparse

USERS = Path(__file__).parent / "locust_users.py"


def words(asked: argparse.Namespace) -> list[str]:
    """The command line of a run; it ends when locust_users.py says so."""
    return [
        *outside.command(asked, "locust"),
        *("--headless", "--only-summary", "--locustfile", str(USERS), "--host", asked.url),
        *("--users", str(asked.users), "--spawn-rate", str(asked.users), "--stop-timeout", "120"),
    ]


def main() -> None:
    asked = client_program.options(__doc__)
    os.environ["BENCH_SECONDS"] = str(asked.seconds)
    os.environ["BENCH_STREAM"] = str(int(asked.stream))
    os.environ["BENCH_OUT"] = str(asked.out.absolute())
    with tempfile.TemporaryDirectory() as name:
        outside.run(words(asked), Path(name))


if __name__ == "__main__":
    main()

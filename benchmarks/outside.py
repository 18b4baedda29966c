"""What the adapters of clients with a command line of their own share."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

LIMIT_S = 200.0
# No tool takes a run of a few milliseconds: a shorter one than this is a run of a request a user.
SHORTEST_S = 1.0


def command(asked: argparse.Namespace, name: str) -> list[str]:
    """The client's own program, which lies beside the python of its environment."""
    if asked.python is None:
        sys.exit(f"{name}_client.py needs --python, of an environment that has {name}")
    return [str(Path(asked.python).parent / name)]


def run(words: Sequence[object], folder: Path) -> None:
    """Run it in a folder of its own; what it says is shown when it fails."""
    said = folder / "said.txt"
    with said.open("wb") as out:
        ended = subprocess.run(
            [*map(str, words)], cwd=folder, stdout=out, stderr=subprocess.STDOUT, timeout=LIMIT_S, check=False
        )
    if ended.returncode:
        sys.exit(f"{words[0]} ended with {ended.returncode}: {said.read_text('utf-8', 'replace')[-2000:]}")

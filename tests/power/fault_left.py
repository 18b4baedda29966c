"""What was counted of planted faults, in a file that is whole after each session."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Left:
    """Mutable: grows by a session at a time.

    Args:
        place: of the file; None = nothing is left.
        resume: begin with the sessions that are in it.

    Attributes:
        sessions: which one -> what it showed.
    """

    def __init__(self, place: Path | None, resume: bool = False) -> None:
        self._place = place
        self.sessions: dict[str, dict[str, Any]] = {}
        if resume and place is not None and place.exists():
            self.sessions = json.loads(place.read_text())["sessions"]

    def add(self, key: str, session: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
        """Write all anew; who is interrupted meanwhile finds the file as it was before.

        Args:
            rows: the counts, as `fault_page` wants them.
        """
        self.sessions[key] = session
        if self._place is None:
            return
        machine = f"{platform.system()} with {os.cpu_count()} cores, Python {platform.python_version()}"
        where = {"date": datetime.date.today().isoformat(), "machine": machine}
        self._place.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._place.with_suffix(".new")
        told = where | {"rows": [row for row in rows if row["sessions"] + row["whole"]]}
        fresh.write_text(json.dumps(told | {"sessions": self.sessions}, indent=2) + "\n")
        fresh.replace(self._place)

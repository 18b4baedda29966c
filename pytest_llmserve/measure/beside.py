"""One call beside the loop that asked for it: what waits for a driver holds up nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable

POLL_S = 0.02


class Beside:
    """A call in a thread of its own. Mutable: what the call raised.

    Args:
        call: begins at once; left alone when nobody waits for its end.
        name: of the thread.
    """

    def __init__(self, call: Callable[[], object], name: str) -> None:
        self._call = call
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"llmserve-{name}", daemon=True)
        self._thread.start()

    def wait(self, sleep: Callable[[float], object]) -> None:
        """Until it has returned; raises what it raised, and what `sleep` raises meanwhile."""
        while self._thread.is_alive():
            sleep(POLL_S)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._call()
        except BaseException as error:  # whoever waits raises it
            self._error = error

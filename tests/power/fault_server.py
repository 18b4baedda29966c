"""Start the simulator with the faults that a file names, a line each: ``fault_server.py FILE PORT SEED``."""

from __future__ import annotations

import sys
from pathlib import Path

from pytest_llmserve.simulator.cli import main

planted = [word for fault in Path(sys.argv[1]).read_text().split() for word in ("--fault", fault)]
sys.argv[1:] = ["--port", sys.argv[2], "--seed", sys.argv[3], "--slots", "8", *planted]
main()

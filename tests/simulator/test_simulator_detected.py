"""auto names each of the simulator's faces rightly, by its pages and by nothing else."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

import pytest_llmserve
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.serve.ready import wait_ready
from pytest_llmserve.simulator import command
from pytest_llmserve.simulator.faces import FACES

LIMIT_S = 20.0
APIS = {"gradio-run": "gradio"}
"""A face that is another way to ask in this API."""


@pytest.mark.parametrize("face", FACES)
def test_a_face_alone_is_found_out(face: str, tmp_path: Path) -> None:
    """Asked with nothing but the URL, it is answered in its own API; with all faces it is chat."""
    assert opened(tmp_path, face) == APIS.get(face, face)


def test_all_faces_at_once_are_openai_chat(tmp_path: Path) -> None:
    assert opened(tmp_path) == "openai-chat"


def opened(folder: Path, *faces: str) -> str:
    """The API that is chosen for a simulator with these faces."""
    env = {**os.environ, "PYTHONPATH": str(Path(pytest_llmserve.__file__).parents[1])}
    options = [word for face in faces for word in ("--face", face)]
    port = folder / "port"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command(0), "--port-file", str(port), "--tokens", "3", "--itl-ms", "1", *options],
            env=env,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + LIMIT_S
        while not port.exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        endpoint = wait_ready(
            target_from_url(f"http://127.0.0.1:{port.read_text()}"), limit_ns=round(LIMIT_S * NS_PER_S)
        )
        endpoint.close()
        return endpoint.api
    finally:
        process.kill()
        process.wait(LIMIT_S)

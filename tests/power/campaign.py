"""Thousands of hostile inputs against one server: what each did, and the smallest that did harm.

``python tests/power/campaign.py --bodies 800 --endpoint embedded --out build/campaign.json``

Nothing fails here where a server is harmed: every harm is kept, by kind, with the smallest input that did it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SUITE = """
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pytest_llmserve import strategies as hostile

CASES, OUT = json.loads(os.environ["CAMPAIGN_CASES"]), Path(os.environ["CAMPAIGN_OUT"])
SEED = int(os.environ["CAMPAIGN_SEED"])
KINDS = {"prompts": {}, "bodies": {}, "params": {}, "valid params": {}}


def many(kind):
    return settings(
        max_examples=max(1, CASES[kind]), deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def keep(kind, shown, survival):
    rows = KINDS[kind]
    row = rows.setdefault(" | ".join(survival.faults) or "survived", {"cases": 0, "bytes": None})
    row["cases"] += 1
    outcomes = row.setdefault("outcomes", {})
    word = f"{survival.outcome} {survival.status or ''}".strip()
    outcomes[word] = outcomes.get(word, 0) + 1
    if row["bytes"] is None or survival.input_bytes < row["bytes"]:
        row.update(bytes=survival.input_bytes, smallest=shown[:2000], what=survival.what, sent=survival.sent)
    OUT.write_text(json.dumps(KINDS, indent=1))


@seed(SEED)
@pytest.mark.skipif(not CASES["prompts"], reason="not asked for")
@many("prompts")
@given(prompt=hostile.hostile_prompts(tokens=(200, 20_000)))
def test_prompts(llm_endpoint, prompt):
    keep("prompts", repr(prompt), llm_endpoint.survives(prompt=prompt, max_tokens=4, timeout="60s"))


@seed(SEED)
@pytest.mark.skipif(not CASES["bodies"], reason="not asked for")
@many("bodies")
@given(data=st.data())
def test_bodies(llm_endpoint, data):
    body = data.draw(hostile.malformed_bodies(llm_endpoint.api, model=llm_endpoint.model))
    keep("bodies", repr(body), llm_endpoint.survives(body, timeout="60s"))


@seed(SEED)
@pytest.mark.skipif(not CASES["params"], reason="not asked for")
@many("params")
@given(params=hostile.sampling_params(valid=False))
def test_params(llm_endpoint, params):
    params = {"max_tokens": 4, **params}
    keep("params", repr(params), llm_endpoint.survives(prompt="Say hi.", timeout="60s", **params))


@seed(SEED)
@pytest.mark.skipif(not CASES["valid params"], reason="not asked for")
@many("valid params")
@given(params=hostile.sampling_params(valid=True))
def test_valid_params(llm_endpoint, params):
    params = {**params, "max_tokens": 4}
    keep("valid params", repr(params), llm_endpoint.survives(prompt="Say hi.", timeout="60s", **params))
"""
INI = "[pytest]\naddopts = -p no:cacheprovider -q\n"


def campaign(cases: dict[str, int], endpoint: str, seed: int, limit_s: float) -> tuple[int, dict[str, Any]]:
    """(exit status of the session, by kind of input: harm -> how many cases, the smallest input)."""
    with tempfile.TemporaryDirectory() as folder:
        suite, out = Path(folder) / "test_campaign.py", Path(folder) / "found.json"
        suite.write_text(SUITE)
        (Path(folder) / "pytest.ini").write_text(INI)
        env = {"CAMPAIGN_CASES": json.dumps(cases), "CAMPAIGN_OUT": str(out), "CAMPAIGN_SEED": str(seed)}
        command = [sys.executable, "-m", "pytest", str(suite), f"--llm-endpoint={endpoint}"]
        done = subprocess.run(command, cwd=folder, env={**os.environ, **env}, timeout=limit_s, check=False)
        return done.returncode, json.loads(out.read_text()) if out.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=500, help="hostile prompts")
    parser.add_argument("--bodies", type=int, default=800, help="malformed bodies")
    parser.add_argument("--params", type=int, default=600, help="wrong sampling parameters")
    parser.add_argument("--valid", type=int, default=300, help="right ones, which must be answered")
    parser.add_argument("--endpoint", default="embedded")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit-s", type=float, default=7200)
    parser.add_argument("--out", type=Path, default=Path("build/campaign.json"))
    options = parser.parse_args()
    cases = {
        "prompts": options.prompts,
        "bodies": options.bodies,
        "params": options.params,
        "valid params": options.valid,
    }
    status, found = campaign(cases, options.endpoint, options.seed, options.limit_s)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    for kind, rows in found.items():
        for harm, row in sorted(rows.items(), key=lambda item: -item[1]["cases"]):
            print(f"{kind}: {row['cases']} x {harm} {row.get('outcomes')}")
    sys.exit(status)


if __name__ == "__main__":
    main()

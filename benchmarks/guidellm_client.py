"""GuideLLM by its command line: profile `concurrent`, an id in the prompt of each request."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import client_program
import outside

if TYPE_CHECKING:
    import argparse

PROMPTS = 20_000
ID = re.compile(r"\[([0-9a-f]{8})\]")


def words(asked: argparse.Namespace, prompts: Path, out: Path) -> list[str]:
    """The command line of a run."""
    enough = f"max_duration,seconds={asked.seconds:g}"
    if asked.seconds < outside.SHORTEST_S:
        enough = f"max_requests,count={asked.users}"
    backend = f"kind=openai_http,target={asked.url},model=timed"
    if not asked.stream:
        backend += ",stream=false"
    return [
        *outside.command(asked, "guidellm"),
        *("run", "--disable-console", "--backend", backend),
        *("--profile", f"kind=concurrent,streams={asked.users}"),
        *("--constraint", f"kind={enough}"),
        *("--data", f"kind=json_file,path={prompts}"),
        *("--output", f"kind=json,path={out}"),
    ]


def findings(report: dict[str, Any], stream: bool) -> dict[str, Any]:
    """From its JSON report. Requests it cut off at the end are neither answered nor failed."""
    requests = report["benchmarks"][0]["requests"]
    rows = []
    for request in requests["successful"] or ():
        name = ID.search(request["request_args"])
        ttft_ms = request["time_to_first_token_ms"] if stream else request["request_latency"] * 1e3
        rows.append((name and name[1], ttft_ms, 0, 0))
    return {"requests": rows, "failed": len(requests["errored"] or ())}


def main() -> None:
    asked = client_program.options(__doc__)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prompts, out = folder / "prompts.jsonl", folder / "report.json"
        lines = (json.dumps({"prompt": f"[{number:08x}] Say something."}) for number in range(PROMPTS))
        prompts.write_text("\n".join(lines) + "\n")
        outside.run(words(asked, prompts, out), folder)
        client_program.write(asked.out, findings(json.loads(out.read_text()), asked.stream))


if __name__ == "__main__":
    main()

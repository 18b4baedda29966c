"""AIPerf by its command line: `aiperf profile`, its own request ids, token counts of the server."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import client_program
import outside

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

# It does not start without a tokenizer, and would fetch one: the smallest there can be.
TOKENIZER = {
    "tokenizer.json": {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "word": 1}, "unk_token": "[UNK]"},
    },
    "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"},
}


def words(asked: argparse.Namespace, prompts: Path, tokenizer: Path, out: Path) -> list[str]:
    """The command line of a run."""
    enough = ["--benchmark-duration", f"{asked.seconds:g}", "--benchmark-grace-period", "120"]
    if asked.seconds < outside.SHORTEST_S:
        enough = ["--request-count", str(asked.users)]
    return [
        *outside.command(asked, "aiperf"),
        *("profile", "-m", "timed", "-u", asked.url, "--endpoint-type", "chat", "--ui", "none"),
        *("--tokenizer", str(tokenizer), "--use-server-token-count"),
        *("--input-file", str(prompts), "--custom-dataset-type", "single_turn"),
        *("--concurrency", str(asked.users), "--artifact-dir", str(out), *enough),
        *(["--streaming"] if asked.stream else []),
    ]


def findings(lines: Iterable[str], stream: bool) -> dict[str, Any]:
    """From its records, one JSON object a line; `x_request_id` is the header the server logs."""
    rows, failed = [], 0
    for line in lines:
        record = json.loads(line)
        ttft = record["metrics"].get("time_to_first_token" if stream else "request_latency")
        if record.get("error") or ttft is None:
            failed += 1
        else:
            rows.append((record["metadata"]["x_request_id"], ttft["value"], 0, 0))
    return {"requests": rows, "failed": failed}


def main() -> None:
    asked = client_program.options(__doc__)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prompts, tokenizer, out = folder / "prompts.jsonl", folder / "tokenizer", folder / "out"
        tokenizer.mkdir()
        for file, content in TOKENIZER.items():
            (tokenizer / file).write_text(json.dumps(content))
        prompts.write_text(json.dumps({"text": "Say something."}) + "\n")
        outside.run(words(asked, prompts, tokenizer, out), folder)
        lines = (out / "profile_export.jsonl").read_text().splitlines()
        client_program.write(asked.out, findings(lines, asked.stream))


if __name__ == "__main__":
    main()

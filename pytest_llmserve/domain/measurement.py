"""A run as it is kept to be compared with later: what was asked, where, and the raw series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

SERIES = ("e2e_ms", "ttft_ms", "tpot_ms")
"""The series of a measurement, one value a request."""

RATES = ("requests_per_s", "output_tokens_per_s")
"""Its rates, one value for each equal slice of the steady window."""


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One run, without prompts and answers.

    Attributes:
        name: what messages call it: of --llm-save, such as "main", or the URL of a second endpoint.
        plan: the `LoadPlan` as plain data (`msgspec.to_builtins`), all its fields; of `params` numbers and
            words of an API as they are and a hash of anything else, of `trace` the file's name.
        prompts: hash of the prompts in their order; None = not known.
        environment: `reports.environment` without the definitions.
        definitions: how the figures were defined, `metrics.DEFINITIONS` of then.
        server: "url", "api" and "model".
        series: name of `SERIES` -> a value for each request that was tried, each try of a retry too, in
            the order in which they began; all of one length. Infinite = failed; NaN = not defined
            for this request (the TPOT of a single token, the TTFT of an answer without one).
        rates: name of `RATES` -> rate per second in each equal slice of the steady window; empty
            where the answers were too few, or their tokens not counted.
        throughput: name of `RATES` -> rate over the whole window; NaN where it is not known.
        counts: "sent", "failed", "dropped".
        served_by: names of those that served, where several did; "served_by" in `series` then has for each
            request its place among them, NaN where it is not known.
        spoiled: why the load generator was the bottleneck, or None.
        gone: since when the server was gone, `GeneratorHealth.server_gone`, or None.
        ended: `GeneratorHealth.ended`: "complete", "interrupted", or a sentence.
        taken_at: ISO 8601 time, UTC, when it was kept.
    """

    name: str
    plan: dict[str, Any]
    prompts: str | None = None
    environment: dict[str, Any] = {}
    definitions: dict[str, str] = {}
    server: dict[str, Any] = {}
    series: dict[str, Sequence[float]] = {}
    rates: dict[str, Sequence[float]] = {}
    throughput: dict[str, float] = {}
    counts: dict[str, int] = {}
    served_by: list[str] = []
    spoiled: str | None = None
    gone: str | None = None
    ended: str = "complete"
    taken_at: str = ""

"""What has been counted, as a page in Prometheus' text form. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class Counts:
    """Mutable: lives as long as the server.

    Attributes:
        finished: why answers ended ("stop", "length", "load", "abort") -> how many.
        statuses: of all requests -> how many.
        held_tokens: of prompts and answers that are under way.
    """

    prompt_tokens: int = 0
    generation_tokens: int = 0
    held_tokens: int = 0
    finished: dict[str, int] = field(default_factory=lambda: {"stop": 0, "length": 0, "load": 0, "abort": 0})
    statuses: dict[int, int] = field(default_factory=dict)


def page(counts: Counts, *, model: str, running: int, waiting: int, room_tokens: int) -> bytes:
    """The page, with the names that vLLM gives its metrics (docs.vllm.ai, "Production Metrics").

    `room_tokens` is of all slots together; 0 = without a bound.
    """
    name = model.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    label = f'model_name="{name}"'
    used = min(1.0, counts.held_tokens / room_tokens) if room_tokens else 0.0
    rows = [
        *_metric("vllm:num_requests_running", "gauge", "Requests that have a slot.", {label: running}),
        *_metric("vllm:num_requests_waiting", "gauge", "Requests in the queue.", {label: waiting}),
        *_metric("vllm:kv_cache_usage_perc", "gauge", "Share of all slots' tokens in use.", {label: used}),
        *_metric("vllm:prompt_tokens_total", "counter", "Tokens read.", {label: counts.prompt_tokens}),
        *_metric(
            "vllm:generation_tokens_total", "counter", "Tokens sent.", {label: counts.generation_tokens}
        ),
        *_metric(
            "vllm:request_success_total",
            "counter",
            "Answers by the reason of their end.",
            {f'{label},finished_reason="{why}"': number for why, number in counts.finished.items()},
        ),
        *_metric(
            "http_requests_total",
            "counter",
            "Requests of all kinds by their status.",
            {f'status="{status}"': number for status, number in sorted(counts.statuses.items())},
        ),
    ]
    return ("\n".join(rows) + "\n").encode()


def _metric(name: str, kind: str, help_text: str, series: dict[str, float]) -> list[str]:
    values = [f"{name}{{{labels}}} {value}" for labels, value in series.items()]
    return [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}", *values]

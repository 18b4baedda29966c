"""Figures and names as a page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SIGNS = {
    "passed": "✓",
    "failed": "✗",
    "error": "!",
    "interrupted": "!",
    "skipped": "–",
    "xfailed": "✓",
    "xpassed": "?",
    "pass": "✓",
    "fail": "✗",
    "undecided": "?",
}
"""Outcome of a test, or word of a verdict -> the sign beside the word: colour alone tells nobody."""
WORDS = {"xfailed": "failed as expected", "xpassed": "passed though expected to fail"}
TONES = {
    "passed": "ok",
    "pass": "ok",
    "xfailed": "ok",
    "failed": "bad",
    "fail": "bad",
    "error": "bad",
    "interrupted": "unsure",
    "undecided": "unsure",
    "xpassed": "unsure",
    "skipped": "quiet",
}
"""Outcome or word -> colour of the style sheet."""


def word(outcome: str) -> str:
    """An outcome in words."""
    return WORDS.get(outcome, outcome)


def number(value: float | None) -> str:
    """A figure with the digits that matter: "0.42", "38.1", "2431", "12,345"; "-" where it is not known."""
    if value is None:
        return "-"
    if abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def whole(value: float | None) -> str:
    """A count: "42", "200,000"."""
    return "-" if value is None else f"{value:,.0f}"


def percent(share: float | None) -> str:
    """A share: "12.5 %"."""
    return "-" if share is None else f"{100 * share:.1f} %"


def change(ratio: float | None) -> str:
    """How much more, or less: "+14.0 %"."""
    return "-" if ratio is None else f"{100 * ratio:+.1f} %"


def count(amount: int, noun: str) -> str:
    """A number of things: "1 run", "3 runs"."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def latency(found: Mapping[str, Any], name: str, n: int) -> str:
    """A figure of a latency: "∞" where failed requests reach the quantile.

    Args:
        found: the latency's figures.
        name: of one of them.
        n: requests, failed ones too, that it rests on.
    """
    value = found.get(name)
    return "∞" if value is None and n and name.startswith("p") else number(value)


def latencies(row: Mapping[str, Any], *quantiles: str, n: int | None = None) -> list[str]:
    """TTFT and e2e of a row, each with these quantiles; `n` requests, where the figures do not tell."""
    return [
        latency(row[name], q, row[name].get("n", n or 0)) for name in ("ttft_ms", "e2e_ms") for q in quantiles
    ]


def shown(value: Any) -> str:
    """A value of the server or of the test: "--slots 4"."""
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)

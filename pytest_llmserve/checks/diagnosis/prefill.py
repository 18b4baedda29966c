"""First tokens that come later the longer the input is."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import correlation, linear_regression, median

from pytest_llmserve.checks.diagnosis.scene import Scene
from pytest_llmserve.checks.series import in_order
from pytest_llmserve.domain.diagnosis import Diagnosis
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.units import ms_text

FEWEST = 40
"""Answers: ten in each quarter of the lengths."""
MOST = 5000
"""Answers looked at, evenly over the run: more would only take longer."""
SPREAD = 2.0
"""The longest quarter of the inputs over the shortest, at the median: less spread shows no law."""
SLOWER = 2.0
SLOWER_MS = 100.0
EXPLAINED = 0.5
"""Of the variance of TTFT that lengths explain: half and more, and they are its main cause. Of 40 answers
that lengths say nothing of, this is beyond chance: P < 1e-6 (Student's t of the correlation, 6.2)."""


def prefill_bound(scene: Scene) -> Diagnosis | None:
    """TTFT, regressed on the length of the input."""
    answered = _streamed(scene)
    if len(answered) < FEWEST:
        return None
    answered = answered[:: -(-len(answered) // MOST)]
    (short_chars, short_ms), (long_chars, long_ms) = _ends(answered)
    if long_chars < SPREAD * short_chars or long_ms < SLOWER * short_ms or long_ms < short_ms + SLOWER_MS:
        return None
    chars, ttft_ms = [r.input_chars for r in answered], [r.ttft_sent_ms or 0.0 for r in answered]
    explained, ms_per_char = correlation(chars, ttft_ms) ** 2, linear_regression(chars, ttft_ms).slope
    if explained < EXPLAINED:
        return None
    sentence = (
        f"TTFT grows with the length of the input: p50 {ms_text(short_ms)} for its shortest quarter (about"
        f" {short_chars:.0f} characters), {ms_text(long_ms)} for its longest (about {long_chars:.0f}),"
        f" {ms_text(1000 * ms_per_char)} for each 1000 characters: keep a prefix cache for what prompts"
        " share, prefill in chunks (--enable-chunked-prefill), shorten prompts, or give long ones a limit of"
        " their own"
    )
    figures: dict[str, float | str] = {
        "ttft_p50_short_ms": round(short_ms, 3),
        "ttft_p50_long_ms": round(long_ms, 3),
        "ms_per_1000_chars": round(1000 * ms_per_char, 3),
        "explained": round(explained, 3),
    }
    return Diagnosis(what="prefill-bound", sentence=sentence, figures=figures)


def _streamed(scene: Scene) -> list[RequestRecord]:
    """Answers that came token by token: the first token of others is as late as their last."""
    run = scene.run
    if run is None or run.generator.saturated is not None or not run.plan.stream:
        return []
    return in_order([r for r in run.ok if r.ttft_sent_ms is not None and any(r.token_ns.gaps_ns)])


def _ends(answered: Sequence[RequestRecord]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Median length and TTFT of the shortest and of the longest quarter of the inputs."""
    by_length = sorted(answered, key=lambda r: r.input_chars)
    quarter = len(by_length) // 4
    return _middle(by_length[:quarter]), _middle(by_length[-quarter:])


def _middle(records: Sequence[RequestRecord]) -> tuple[float, float]:
    return median(r.input_chars for r in records), median(r.ttft_sent_ms or 0.0 for r in records)

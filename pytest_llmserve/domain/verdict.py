"""A verdict: what was promised, what was found, how sure."""

from __future__ import annotations

import math

import msgspec

from pytest_llmserve.domain.isolation import CarriedAnswers

PASS = "pass"
FAIL = "fail"
UNDECIDED = "undecided"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One limit, judged.

    Attributes:
        check: name of the marker.
        what: the quantity in the field's words, such as "p99 e2e latency".
        limit, estimate, interval: in the unit of `what`; estimate None = no evidence,
            infinite = failed requests reach this quantile.
        confidence: of the interval and the verdict, such as 0.95.
        n: number of independent-looking observations it rests on, as counted.
        verdict: "pass", "fail" or "undecided".
        holds: the point estimate is within the limit, or, of a difference, no more than chance gives;
            None = no estimate.
        about_sample: it is a statement about the requests that were sent, such as that on a maximum: if it
            is kept, one more may break it.
        sentence: the first line a person reads.
        spoiled: undecided for the load generator's sake, whatever the figures say.
        fate: the end of that sentence, where it tells what became of the server; alike for all limits.
        answers: of the marker `isolation`, what it rests on.
    """

    check: str
    what: str
    limit: float
    estimate: float | None
    interval: tuple[float, float] | None
    confidence: float
    n: int
    verdict: str
    sentence: str
    holds: bool | None = None
    about_sample: bool = False
    spoiled: bool = False
    fate: str | None = None
    answers: CarriedAnswers | None = None

    def fails(self, strict: bool) -> bool:
        """True when the test must fail.

        Undecided passes (with a warning) only when the estimate is within the limit;
        without an estimate it never does, and with `strict` it never does.
        """
        if self.verdict == UNDECIDED:
            return strict or not self.holds
        return self.verdict == FAIL

    @property
    def found(self) -> str:
        """The sentence without what became of the server."""
        return self.sentence if self.fate is None else self.sentence.removesuffix(self.fate).rstrip(":; ")

    @property
    def kept_until_then(self) -> bool:
        """It fails for what became of the server alone."""
        return self.fate is not None and self.verdict == FAIL and bool(self.holds)

    def as_json(self) -> dict[str, object]:
        """For the JSON report; infinite numbers become None."""

        def finite(value: float | None) -> float | None:
            return None if value is None or not math.isfinite(value) else round(value, 6)

        interval = None if self.interval is None else [finite(bound) for bound in self.interval]
        document: dict[str, object] = {
            "check": self.check,
            "what": self.what,
            "limit": self.limit,
            "estimate": finite(self.estimate),
            "interval": interval,
            "confidence": self.confidence,
            "n": self.n,
            "verdict": self.verdict,
            "holds": self.holds,
            "sentence": self.sentence,
        }
        return document if self.answers is None else document | {"answers": self.answers.as_json()}

"""What the engine promises, and a sentence for each thing it did not keep. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from figures import Figures, Memory
from scenarios import Scenario

QUIET_PERCENT = 10.0
P50_MS = 0.2
ENGINE = "engine"


@dataclass(frozen=True)
class Bound:
    """The most or the least that a figure of the engine may be.

    Attributes:
        figure: of `Figures`.
        either_side: its size counts, not its sign.
        quiet: holds on a core that nobody else uses; beside others, caches are cold and clocks shared.
        awake: holds where the core is kept awake. One that sleeps between packets takes up to twice as long
            for the same work when it wakes, which is the machine's doing.
    """

    letters: str
    figure: str
    what: str
    unit: str
    most: float | None = None
    least: float | None = None
    either_side: bool = False
    quiet: bool = False
    awake: bool = False

    def holds_for(self, scenario: Scenario) -> bool:
        return scenario.letter in self.letters and (scenario.awake or not self.awake)


@dataclass(frozen=True)
class Ratio:
    """The most or the least of engine / peer in the same run, on a core that nobody else uses."""

    letters: str
    figure: str
    what: str
    peer: str
    most: float | None = None
    least: float | None = None


BOUNDS: tuple[Bound, ...] = (
    Bound("A", "error_p99_ms", "TTFT p99 is off by", "ms", most=0.5, either_side=True),
    Bound("B", "error_p99_ms", "TTFT p99 is off by", "ms", most=2.0, either_side=True),
    Bound("C", "error_p99_ms", "TTFT p99 is off by", "ms", most=1.0, either_side=True),
    Bound("ABC", "error_p50_ms", "TTFT p50 is off by", "ms", most=P50_MS, either_side=True),
    Bound("S", "error_p99_ms", "TTFT p99 is off by", "ms", most=2.0, either_side=True),
    Bound("AB", "cpu_us_per_chunk", "CPU of a chunk is", "us", most=13.0, quiet=True, awake=True),
    Bound("D", "cpu_us_per_request", "CPU of a request is", "us", most=45.0, quiet=True),
    Bound("O", "send_lag_p99_ms", "send lag p99 is", "ms", most=2.0, quiet=True),
    Bound("O", "rate_error_percent", "the rate is off by", "%", most=0.5, either_side=True),
    Bound("O", "ks_p_value", "the gaps of the schedule are exponential with p", "", least=0.01),
)
RATIOS: tuple[Ratio, ...] = (
    Ratio("AB", "cpu_us_per_chunk", "CPU of a chunk", "aiohttp", most=0.55),
    Ratio("AB", "cpu_us_per_chunk", "CPU of a chunk", "httpx", most=0.1),
    Ratio("D", "requests_per_s", "requests a second", "aiohttp", least=3.0),
)
ACCOUNTED_LETTERS = "ABCDOWTS"
WORKERS_PERCENT = 3.0
TLS_TIMES = 2.0
PEAK_MB = 600.0
GROWTH_MB = 15.0

Rows = Mapping[Scenario, Sequence[Figures]]


@dataclass(frozen=True)
class Findings:
    """Sentences.

    Attributes:
        broken: bounds that do not hold.
        unjudged: bounds that could not be judged, and why.
    """

    broken: tuple[str, ...]
    unjudged: tuple[str, ...]

    def and_of(self, other: Findings) -> Findings:
        return Findings(self.broken + other.broken, self.unjudged + other.unjudged)


def judge(rows: Rows, asked: Sequence[Scenario]) -> Findings:
    """Hold every figure against its bound; what was asked for and not measured is not judged, and told."""
    broken: list[str] = []
    unjudged = _unmeasured(rows, asked)
    for scenario, clients in rows.items():
        of = {figures.client: figures for figures in clients}
        if ENGINE not in of:
            continue
        for bound in BOUNDS:
            if bound.holds_for(scenario):
                _hold(scenario, bound, of[ENGINE], broken, unjudged)
        _hold_ratios(scenario, clients, broken, unjudged)
        if scenario.letter in ACCOUNTED_LETTERS and of[ENGINE].accounted:
            broken.append(f"{scenario.name}: {of[ENGINE].accounted}")
    (unjudged if _disturbed(rows, "W") else broken).extend(_workers(rows))
    (unjudged if _disturbed(rows, "T") else broken).extend(_tls(rows))
    broken += _stamps(rows)
    return Findings(tuple(broken), tuple(unjudged))


def judge_memory(memory: Memory | None) -> Findings:
    """The same of the long run; None = not measured."""
    if memory is None:
        return Findings((), ("M: memory was not measured",))
    broken = []
    if not memory.peak_mb <= PEAK_MB:
        broken.append(f"M: the peak of all processes is {memory.peak_mb:.0f} MB, more than {PEAK_MB:g} MB")
    if not memory.growth_mb <= GROWTH_MB:
        broken.append(f"M: the load workers grew by {memory.growth_mb:.1f} MB, more than {GROWTH_MB:g} MB")
    if memory.failed:
        broken.append(f"M: {memory.failed} of {memory.requests} requests failed")
    return Findings(tuple(broken), ())


def _unmeasured(rows: Rows, asked: Sequence[Scenario]) -> list[str]:
    """Sentences, each once: rows of one letter may have one name."""
    said = []
    for scenario in asked:
        measured = {figures.client for figures in rows.get(scenario, ())}
        if ENGINE not in measured:
            said.append(f"{scenario.name}: the engine was not measured")
            continue
        said += [
            f"{scenario.name}: {ratio.what} of {ratio.peer} was not measured"
            for ratio in RATIOS
            if scenario.letter in ratio.letters and ratio.peer not in measured
        ]
    return list(dict.fromkeys(said))


def _hold(scenario: Scenario, bound: Bound, engine: Figures, broken: list[str], unjudged: list[str]) -> None:
    value = getattr(engine, bound.figure)
    size = abs(value) if bound.either_side else value
    over = _outside(size, bound.most, bound.least)
    if not over:
        return
    sentence = (
        f"{scenario.name}: {bound.what} {value:.4g} {bound.unit}".rstrip() + f", {over} {bound.unit}".rstrip()
    )
    if bound.quiet and engine.others_percent > QUIET_PERCENT:
        unjudged.append(f"{sentence}, but others used {engine.others_percent:.0f} % of the core meanwhile")
    else:
        broken.append(sentence)


def _outside(value: float, most: float | None, least: float | None) -> str | None:
    """What the value breaks, or None; a value that is not a number breaks everything."""
    if most is not None and not value <= most:
        return f"more than {most:g}"
    if least is not None and not value >= least:
        return f"less than {least:g}"
    return None


def ratio_of(ratio: Ratio, scenario: Scenario, clients: Sequence[Figures]) -> float | None:
    """Engine / peer, or None when the ratio is not for this scenario or one of the two was not measured."""
    of = {figures.client: figures for figures in clients}
    if scenario.letter not in ratio.letters or not {ENGINE, ratio.peer} <= set(of):
        return None
    return getattr(of[ENGINE], ratio.figure) / getattr(of[ratio.peer], ratio.figure)


def _hold_ratios(
    scenario: Scenario, clients: Sequence[Figures], broken: list[str], unjudged: list[str]
) -> None:
    others = {figures.client: figures.others_percent for figures in clients}
    for ratio in RATIOS:
        value = ratio_of(ratio, scenario, clients)
        if value is not None and (over := _outside(value, ratio.most, ratio.least)):
            sentence = f"{scenario.name}: {ratio.what} is {value:.3g} times that of {ratio.peer}, {over}"
            if max(others[ENGINE], others[ratio.peer]) > QUIET_PERCENT:
                unjudged.append(f"{sentence}, but others used the core meanwhile")
            else:
                broken.append(sentence)


def _engines(rows: Rows, letter: str) -> dict[Scenario, Figures]:
    return {
        scenario: figures
        for scenario, clients in rows.items()
        for figures in clients
        if scenario.letter == letter and figures.client == ENGINE
    }


def _disturbed(rows: Rows, letter: str) -> bool:
    return any(figures.others_percent > QUIET_PERCENT for figures in _engines(rows, letter).values())


def workers_times(rows: Rows) -> float | None:
    """Capacity of two workers over that of one, when both were measured.

    Capacity is requests by second of CPU, times the workers: what they would do with a core each.
    """
    by_workers = {scenario.workers: figures for scenario, figures in _engines(rows, "W").items()}
    if set(by_workers) != {1, 2}:
        return None
    return 2 * by_workers[1].cpu_us_per_request / by_workers[2].cpu_us_per_request


def workers_pairs(rows: Rows) -> list[float]:
    """The same of each pair of runs, which follow each other."""
    each = {
        scenario.workers: figures.each_us_per_request for scenario, figures in _engines(rows, "W").items()
    }
    return [2 * one / two for one, two in zip(each.get(1, ()), each.get(2, ()), strict=False)]


def _workers(rows: Rows) -> list[str]:
    times = workers_times(rows)
    if times is None or abs(times / 2 - 1) <= WORKERS_PERCENT / 100:
        return []
    sentence = f"W: two workers do {times:.3g} times what one does, not 2 times within {WORKERS_PERCENT:g} %"
    return [f"{sentence}, but others used the core meanwhile" if _disturbed(rows, "W") else sentence]


def tls_times(rows: Rows) -> float | None:
    """CPU of a chunk under TLS over that without, when both were measured."""
    by_tls = {scenario.tls: figures for scenario, figures in _engines(rows, "T").items()}
    if set(by_tls) != {False, True}:
        return None
    return by_tls[True].cpu_us_per_chunk / by_tls[False].cpu_us_per_chunk


def _tls(rows: Rows) -> list[str]:
    times = tls_times(rows)
    if times is None or times <= TLS_TIMES:
        return []
    sentence = f"T: CPU of a chunk under TLS is {times:.3g} times that without, more than {TLS_TIMES:g}"
    return [f"{sentence}, but others used the core meanwhile" if _disturbed(rows, "T") else sentence]


def _stamps(rows: Rows) -> list[str]:
    return [
        f"T: stamps {'under' if scenario.tls else 'without'} TLS are {figures.clock or 'unknown'}, not kernel"
        for scenario, figures in _engines(rows, "T").items()
        if figures.clock != "kernel"
    ]

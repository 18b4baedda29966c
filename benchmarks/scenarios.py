"""The loads that are measured: one row each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Scenario:
    """One load against one timing of the server.

    Attributes:
        letter: what `--only` names; rows of one letter are compared with each other.
        seconds: how long new requests are begun.
        busy: processes that compute without pause on the client's core.
        awake: a process of lowest priority keeps the client's core from sleeping.
        rate: requests a second of an open loop; None = a closed loop of `users`.
        clients: those it is measured with; None = all.
        repeated: the figures are medians over several runs.
        least_runs: of a repeated scenario, whatever was asked for.
    """

    letter: str
    title: str
    users: int = 64
    seconds: float = 20.0
    tokens: int = 64
    ttft_ms: float = 50.0
    itl_ms: float = 20.0
    stream: bool = True
    busy: int = 0
    awake: bool = False
    rate: float | None = None
    workers: int = 1
    python_server: bool = False
    tls: bool = False
    clients: tuple[str, ...] | None = ("engine",)
    repeated: bool = False
    least_runs: int = 1

    @property
    def name(self) -> str:
        """What sentences and lines of tables call it."""
        return f"{self.letter}, core kept awake" if self.awake else self.letter

    @property
    def server_options(self) -> tuple[object, ...]:
        """Of timed_server.py."""
        return ("--tokens", self.tokens, "--ttft-ms", self.ttft_ms, "--itl-ms", self.itl_ms)

    @property
    def client_options(self) -> tuple[object, ...]:
        """Of every client program."""
        options = ["--users", self.users, "--seconds", self.seconds, "--tokens", self.tokens]
        options += ["--workers", self.workers]
        if not self.stream:
            options.append("--no-stream")
        if self.rate is not None:
            options += ["--rate", self.rate]
        return tuple(options)


# memory.py: a program of its own: it measures itself, and has no peers.
MEMORY = "M"
PLAIN = ("engine", "aiohttp", "httpx")
_WORKER = Scenario(
    "W",
    "one worker",
    seconds=8.0,
    tokens=1,
    ttft_ms=0.0,
    itl_ms=0.0,
    stream=False,
    repeated=True,
    least_runs=5,
)
SCENARIOS: tuple[Scenario, ...] = (
    Scenario("A", "64 streams", clients=None, repeated=True),
    Scenario("A", "64 streams, core kept awake", awake=True, clients=PLAIN, repeated=True),
    Scenario("B", "512 streams", users=512, clients=None, repeated=True),
    Scenario("B", "512 streams, core kept awake", users=512, awake=True, clients=PLAIN, repeated=True),
    Scenario("C", "64 streams, three busy processes on the client's core", busy=3, clients=None),
    Scenario(
        "D",
        "64 users, not streamed, answered at once",
        seconds=8.0,
        tokens=1,
        ttft_ms=0.0,
        itl_ms=0.0,
        stream=False,
        clients=None,
        repeated=True,
    ),
    Scenario("O", "open loop, 2,000 requests a second", tokens=8, ttft_ms=20.0, itl_ms=5.0, rate=2000.0),
    _WORKER,
    replace(_WORKER, title="two workers", workers=2),
    Scenario("T", "64 streams, plain", python_server=True),
    Scenario("T", "64 streams, TLS", python_server=True, tls=True),
    Scenario("S", "2,000 streams", users=2000, seconds=60.0, itl_ms=100.0),
)


def start_up(workers: int) -> Scenario:
    """Measures what starting a client costs: a request a worker, answered at once."""
    timing = {"tokens": 1, "ttft_ms": 0.0, "itl_ms": 0.0}
    return Scenario("-", "start-up", users=workers, workers=workers, seconds=0.001, **timing)


def grouped(rows: Iterable[Scenario]) -> list[list[Scenario]]:
    """Those of one letter together: they are measured in turns, for a machine drifts."""
    groups: dict[str, list[Scenario]] = {}
    for scenario in rows:
        groups.setdefault(scenario.letter, []).append(scenario)
    return list(groups.values())


def letters(given: str | None) -> list[str]:
    """Of "A,D", in the table's order, the one of memory.py last; all when none is given.

    Raises:
        ValueError: a letter that no scenario has.
    """
    known = [*dict.fromkeys(s.letter for s in SCENARIOS), MEMORY]
    if given is None:
        return known
    wanted = [letter.strip().upper() for letter in given.split(",")]
    unknown = [letter for letter in wanted if letter not in known]
    if unknown:
        raise ValueError(f"--only names {', '.join(unknown)}; the scenarios are {', '.join(known)}")
    return [letter for letter in known if letter in wanted]

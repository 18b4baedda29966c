"""The loads that are measured: one row each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scenario:
    """One load against one timing of the server.

    Attributes:
        letter: what `--only` names; rows of one letter are compared with each other.
        seconds: how long new requests are begun.
        busy: processes that compute without pause on the client's core.
        rate: requests a second of an open loop; None = a closed loop of `users`.
        every_client: measured with all clients, not with the engine alone.
        repeated: the figures are medians over several runs.
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
    rate: float | None = None
    workers: int = 1
    python_server: bool = False
    tls: bool = False
    every_client: bool = False
    repeated: bool = False

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


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("A", "64 streams", every_client=True, repeated=True),
    Scenario("B", "512 streams", users=512, every_client=True, repeated=True),
    Scenario("C", "64 streams, three busy processes on the client's core", busy=3, every_client=True),
    Scenario(
        "D",
        "64 users, not streamed, answered at once",
        seconds=8.0,
        tokens=1,
        ttft_ms=0.0,
        itl_ms=0.0,
        stream=False,
        every_client=True,
        repeated=True,
    ),
    Scenario("O", "open loop, 2,000 requests a second", tokens=8, ttft_ms=20.0, itl_ms=5.0, rate=2000.0),
    Scenario("W", "one worker", seconds=8.0, tokens=1, ttft_ms=0.0, itl_ms=0.0, stream=False, repeated=True),
    Scenario(
        "W",
        "two workers",
        seconds=8.0,
        tokens=1,
        ttft_ms=0.0,
        itl_ms=0.0,
        stream=False,
        workers=2,
        repeated=True,
    ),
    Scenario("T", "64 streams, plain", python_server=True),
    Scenario("T", "64 streams, TLS", python_server=True, tls=True),
    Scenario("S", "2,000 streams", users=2000, seconds=60.0, itl_ms=100.0),
)


def start_up(workers: int) -> Scenario:
    """Measures what starting a client costs: a request a worker, answered at once."""
    timing = {"tokens": 1, "ttft_ms": 0.0, "itl_ms": 0.0}
    return Scenario("-", "start-up", users=workers, workers=workers, seconds=0.001, **timing)


def chosen(letters: str | None) -> list[Scenario]:
    """The scenarios of "A,D", in the table's order; all without letters.

    Raises:
        ValueError: a letter that no scenario has.
    """
    if letters is None:
        return list(SCENARIOS)
    wanted = [letter.strip().upper() for letter in letters.split(",")]
    known = list(dict.fromkeys(s.letter for s in SCENARIOS))
    unknown = [letter for letter in wanted if letter not in known]
    if unknown:
        raise ValueError(f"--only names {', '.join(unknown)}; the scenarios are {', '.join(known)}")
    return [s for s in SCENARIOS if s.letter in wanted]

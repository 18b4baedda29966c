"""The program's options."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence

from pytest_llmserve.simulator import MODEL_NAME
from pytest_llmserve.simulator.faces import FACES
from pytest_llmserve.simulator.faults.fault import Fault
from pytest_llmserve.simulator.settings import MIB, Settings
from pytest_llmserve.simulator.switches import UnknownFault, listing, make_fault
from pytest_llmserve.simulator.timing import TimingLaw


def parser() -> argparse.ArgumentParser:
    """The options of the program."""
    found = argparse.ArgumentParser(
        prog="python -m pytest_llmserve.simulator",
        description="A simulated model server: it keeps a timing law, and fails as it is told to.",
    )
    add = found.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=_port, default=8000, help="0 takes a free one (default: %(default)s)")
    add("--port-file", metavar="FILE", help="the port is written here when it listens")
    add("--fault", action="append", default=[], metavar="NAME:KEY=VALUE,...", help="plant it; repeatable")
    add("--list-faults", action="store_true", help="print the faults and their keys, and end")
    add("--face", action="append", choices=list(FACES), help="speak this API only; repeatable")
    add("--model", default=MODEL_NAME, help="name of the model (default: %(default)s)")
    add("--quiet", action="store_true", help="no line in the log for each request")
    _add_law(found.add_argument_group("how fast, and how much"))
    return found


def _add_law(group: argparse._ArgumentGroup) -> None:
    law, settings = TimingLaw(), Settings()
    add = group.add_argument
    add("--ttft-ms", type=_measure, default=law.ttft_ms, help="to the first token (default: %(default)s)")
    add("--prefill-ms", type=_measure, default=0.0, help="more for each 1000 tokens of the prompt")
    add("--cliff", type=_cliff, default=(0, 0.0), metavar="TOKENS:MS", help="a longer prompt waits MS more")
    add("--itl-ms", type=_measure, default=law.itl_ms, help="from token to token (default: %(default)s)")
    add("--spread", type=_measure, default=0.0, help="sigma of a lognormal law around these times")
    add("--tokens", type=_at_least_one, default=settings.tokens, help="of an answer (default: %(default)s)")
    add(
        "--slots",
        type=_count,
        default=settings.slots,
        help="answers at a time; 0 = any (default: %(default)s)",
    )
    add("--context", type=_at_least_one, default=settings.context, help="tokens (default: %(default)s)")
    add("--most-body-mb", type=_at_least_one, default=settings.most_body_bytes // MIB, help="of a request")
    add("--seed", type=int, default=0, help="of the law's spread, and of faults that draw lots")


def _measure(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e12:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, 0 or more")
    return value


def _whole(least: int, most: int, words: str) -> Callable[[str], int]:
    def convert(text: str) -> int:
        value = int(text) if re.fullmatch(r"[0-9]{1,12}", text) else -1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, {words}")
        return value

    return convert


_count = _whole(0, 10**12, "0 or more")
_at_least_one = _whole(1, 10**12, "1 or more")
_port = _whole(0, 65535, "0 to 65535")


def _cliff(text: str) -> tuple[int, float]:
    tokens, colon, late_ms = text.partition(":")
    try:
        return _at_least_one(tokens), _measure(late_ms)
    except argparse.ArgumentTypeError as error:
        why = f" ({error})" if colon else ""
        raise argparse.ArgumentTypeError(f"{text!r} is not TOKENS:MS, such as 4000:250{why}") from None


def settings_from(options: argparse.Namespace) -> Settings:
    """What the options say."""
    law = TimingLaw(
        ttft_ms=options.ttft_ms,
        prefill_ms=options.prefill_ms,
        cliff_tokens=options.cliff[0],
        cliff_ms=options.cliff[1],
        itl_ms=options.itl_ms,
        spread=options.spread,
        seed=options.seed,
    )
    return Settings(
        model=options.model,
        law=law,
        tokens=options.tokens,
        slots=options.slots,
        context=options.context,
        most_body_bytes=options.most_body_mb * MIB,
        faces=tuple(options.face or FACES),
        seed=options.seed,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the process is ended."""
    found = parser()
    options = found.parse_args(arguments)
    if options.list_faults:
        sys.stdout.write(listing() + "\n")
        return
    try:
        faults = [make_fault(text, options.seed) for text in options.fault]
    except UnknownFault as error:
        found.error(f"--fault: {error}")
    _run(options, faults)


def _run(options: argparse.Namespace, faults: list[Fault]) -> None:
    from pytest_llmserve.simulator.server import Simulator, serve

    # No answer is finished first, and nothing is said: whoever ends a simulator has done with it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    def listening(port: int) -> None:
        sys.stderr.write(f"serving {options.model} at http://{options.host}:{port}\n")
        sys.stderr.flush()
        if options.port_file:
            _write_port(options.port_file, port)

    simulator = Simulator(settings_from(options), faults, None if options.quiet else sys.stderr)
    try:
        asyncio.run(serve(simulator, options.host, options.port, listening))
    except OSError as error:
        sys.exit(f"cannot listen at {options.host}:{options.port}: {_reason(error)}")


def _write_port(path: str, port: int) -> None:
    """Whole or not at all: whoever waits for the file reads it at once."""
    try:
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(str(port))
        os.replace(path + ".new", path)
    except OSError as error:
        sys.exit(f"cannot write --port-file {path}: {_reason(error)}")


def _reason(error: OSError) -> str:
    """Asyncio puts its own words before the system's; a name that cannot be looked up has numbers below 0."""
    number = error.errno or 0
    return os.strerror(number) if number > 0 else str(error.strerror or error)

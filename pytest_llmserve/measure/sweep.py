"""Sends prompts of several lengths by turns, and looks for the length that the server refuses."""

from __future__ import annotations

import contextlib
import random
import threading
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pytest_llmserve.checks.length_cliff import cliff_of, least_jumps_of
from pytest_llmserve.checks.lengths import (
    CHARS_A_TOKEN,
    LengthLimit,
    LengthRow,
    LengthSweep,
    cut_at,
    row_of,
)
from pytest_llmserve.dialects import dialect
from pytest_llmserve.dialects.encoding import asked
from pytest_llmserve.dialects.input_tokens import input_tokens
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.marks import salt_after
from pytest_llmserve.domain.outcome import HTTP_4XX, TIMED_OUT, Outcome
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.load.engine import Progress
from pytest_llmserve.load.filler import filler
from pytest_llmserve.load.prompts import with_nonce
from pytest_llmserve.measure.run import Stopped, measured_run
from pytest_llmserve.measure.watch import Watch
from pytest_llmserve.serve.endpoint import Endpoint

CHARS, TOKENS = UNITS = ("chars", "tokens")
MAX_TOKENS = 16
# What a server answers to an input that it takes to be too long; not 401, 404 or 429.
_REFUSALS = frozenset({400, 413, 414, 422})
_WITHIN = 0.05
_SHORT, _LONG = 400, 2000
_FIRST_SEEDS = 1_000_000


@dataclass(frozen=True)
class Lengths:
    """What a sweep asks.

    Attributes:
        lengths: in `unit`.
        requests: of each.
        front: what each prompt begins with, behind its mark.
    """

    lengths: tuple[int, ...]
    requests: int
    unit: str = CHARS
    front: str = ""


def checked(wish: Lengths) -> Lengths:
    """The same, ascending.

    Raises:
        SetupError: all that is wrong with it.
    """
    faults = []
    numbers = [*wish.lengths, wish.requests]
    if not wish.lengths:
        faults.append("lengths is empty: give several, such as [50, 100, 200, 400, 800]")
    if any(not isinstance(each, int) or isinstance(each, bool) or each < 1 for each in numbers):
        faults.append(
            f"lengths={list(wish.lengths)!r}, requests={wish.requests!r}: give whole numbers from 1 on"
        )
    elif len(set(wish.lengths)) < len(wish.lengths):
        faults.append(f"lengths={list(wish.lengths)!r}: a length stands there twice")
    if wish.unit not in UNITS:
        faults.append(f'unit={wish.unit!r} is not known: write "chars" or "tokens"')
    if not isinstance(wish.front, str):
        faults.append(f"prompt={wish.front!r} is not a text: the lengths are made by what is put behind it")
    if faults:
        raise SetupError("llm_load.sweep: " + "; ".join(faults))
    return Lengths(tuple(sorted(wish.lengths)), wish.requests, wish.unit, wish.front)


def swept(
    target: Target,
    wish: Lengths,
    plan: LoadPlan,
    folder: Path,
    watch: Watch,
    *,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> LengthSweep:
    """Ask each length once, then all by turns, then look for the length that is refused.

    Args:
        target: the server.
        wish: what was asked for, checked.
        plan: of the load, with its requests scaled already; prompts and their order are set here.
        folder: private to the run.
        watch: of the server, already started.
        stop: set from another thread to end the sweep.
        progress: told how far the load is.

    Raises:
        SetupError: a length has no room for its mark, or the server refuses even the shortest.
        GeneratorError: a worker died.
        Stopped: `stop` was set.
    """
    with contextlib.closing(_Scout(target, plan, wish.front, stop)) as scout:
        chars = _chars(scout, wish)
        scout.look_at(chars)
        asked = [length for length in chars if length not in scout.refused]
        if not asked:
            error = scout.refused[chars[0]].error
            raise SetupError(
                f"llm_load.sweep: the server refuses even the shortest of {chars[0]} characters: {error}"
            )
        rounds, turns = max(1, round((plan.requests or 0) / len(chars))), 1 + len(target.beside)
        rounds = -(-rounds // turns) * turns  # as many of each length to each
        run = measured_run(
            target,
            msgspec.structs.replace(plan, params=scout.params, requests=rounds * len(asked), in_order=True),
            _prompts(asked, rounds, plan, wish.front, turns),
            folder,
            watch,
            lambda _: None,
            stop=stop,
            progress=progress,
        )
        of = {length: [r for r in run.requests if r.input_chars == length] for length in asked}
        rows = tuple(
            row_of(length, of.get(length, []), scout.counts.get(length), scout.error_at(length))
            for length in chars
        )
        limit = scout.limit(chars)
    return _found(rows, [row for row in rows if row.length_chars in of], limit, run)


def _found(
    rows: tuple[LengthRow, ...], sent: list[LengthRow], limit: LengthLimit | None, run: LoadResult
) -> LengthSweep:
    """What the rows tell; those that were refused before the load tell of the limit alone."""
    cliff, no_cliff = cliff_of(sent)
    return LengthSweep(
        rows=rows,
        cliff=cliff,
        limit=limit,
        no_cliff=no_cliff,
        least_jumps=least_jumps_of(sent) if cliff is None and no_cliff is None else (),
        cut_chars=cut_at([(row.length_chars, row.input_tokens) for row in rows]),
        run=run,
    )


def mark_chars(plan: LoadPlan) -> int:
    """How much of a prompt is its mark."""
    return len(str(with_nonce("", plan.salt, 0)))


def _prompts(lengths: list[int], rounds: int, plan: LoadPlan, front: str, turns: int = 1) -> list[str]:
    """All lengths in each round, each round in an order of its own: drift does not look like length.

    Of so many that take turns each is asked one request of any so many in a row (`Rota`): a length so often
    in a row is asked of each once, and no length meets the slow one more often than another.
    """
    draw, room = random.Random(plan.seed), mark_chars(plan)
    prompts = []
    for _ in range(rounds // turns):
        order = list(lengths)
        draw.shuffle(order)
        each = (length for length in order for _ in range(turns))
        prompts += [filler(length - room, draw.getrandbits(32), front) for length in each]
    return prompts


def _chars(scout: _Scout, wish: Lengths) -> list[int]:
    """The lengths in characters.

    Raises:
        SetupError: one has no room for its mark and what it begins with.
    """
    lengths = list(wish.lengths)
    if wish.unit == TOKENS:
        each, before = scout.tokens_law()
        lengths = [max(1, round((length - before) / each)) for length in lengths]
    if lengths[0] < scout.least_chars or len(set(lengths)) < len(lengths):
        raise SetupError(
            f"llm_load.sweep: lengths: {wish.lengths[0]} {wish.unit} are too few: the mark that tells prompts"
            f" apart (nonce=) and prompt= alone take {scout.least_chars} characters"
        )
    return lengths


class _Scout:
    """Asks single requests. Mutable: what was answered, what was refused, and the fields the server takes."""

    def __init__(self, target: Target, plan: LoadPlan, front: str, stop: threading.Event | None) -> None:
        self._target = msgspec.structs.replace(target, stream=False)
        self._endpoint = Endpoint(self._target)
        self._plan, self._front, self._stop = plan, front, stop
        self._room = mark_chars(plan)
        self._asked = 0
        # Marks that no request of the load has.
        self._salt = None if plan.salt is None else salt_after(plan.salt, _FIRST_SEEDS)
        self.params = dict(plan.params)
        field = self._target.limit_name
        given = field is not None and {"max_tokens", field.partition(".")[0]} & set(self.params)
        self._adds_limit = field is not None and not given
        if self._adds_limit:
            self.params["max_tokens"] = MAX_TOKENS
        self.counts: dict[int, int | None] = {}
        self.refused: dict[int, Outcome] = {}
        self._answered: list[int] = []
        self._failing: dict[int, Outcome] = {}
        self.least_chars = self._room + len(front) + 1

    def close(self) -> None:
        """Close the connections."""
        self._endpoint.close()

    def look_at(self, lengths: list[int]) -> None:
        """Ask each length once; a warm-up of the server, too."""
        for length in lengths:
            answer = self._sorted(length)
            if not self._refuses(answer):
                self.counts[length] = input_tokens(answer.body) if answer.ok else None

    def _sorted(self, length: int) -> Outcome:
        """Ask a length, and note whether it was answered, refused, or neither."""
        answer = self.ask(length)
        if self._refuses(answer):
            self.refused[length] = answer
        elif answer.ok:
            self._answered.append(length)
        else:
            self._failing[length] = answer
        return answer

    def ask(self, length: int) -> Outcome:
        """Send one prompt of so many characters; the first one again without max_tokens if it is refused.

        Raises:
            Stopped: the sweep was told to end.
        """
        answer = self._ask(length)
        if self._asked == 1 and self._refuses(answer) and self._adds_limit:
            del self.params["max_tokens"]
            answer = self._ask(length)
        return answer

    def _ask(self, length: int) -> Outcome:
        if self._stop is not None and self._stop.is_set():
            raise Stopped
        self._asked += 1
        text = filler(length - self._room, _FIRST_SEEDS + self._asked, self._front)
        prompt = with_nonce(text, self._salt, self._asked)
        request = asked(dialect(self._target.api), self._target, prompt, self.params)
        headers, limit_s = dict(request.headers), self._plan.timeout_ns / NS_PER_S
        return self._endpoint.send(request.body, path=request.path, headers=headers, timeout=limit_s)

    def tokens_law(self) -> tuple[float, float]:
        """(tokens a character, tokens of an empty prompt), from two prompts; estimated if none are told."""
        counts = [input_tokens(self.ask(length).body) for length in (_SHORT, _LONG)]
        if counts[0] is None or counts[1] is None or counts[1] <= counts[0]:
            return 1 / CHARS_A_TOKEN, 0.0
        each = (counts[1] - counts[0]) / (_LONG - _SHORT)
        return each, counts[0] - each * _SHORT

    def error_at(self, length: int) -> str | None:
        """Why a length was refused, or None."""
        answer = self.refused.get(length)
        return None if answer is None else _error(answer)

    def limit(self, lengths: list[int]) -> LengthLimit | None:
        """Where refusals begin, within a twentieth; None where the longest is not refused."""
        if lengths[-1] not in self.refused:
            return None
        taken = max(length for length in lengths if length not in self.refused)
        refused = min(length for length in self.refused if length > taken)
        while refused - taken > max(1, _WITHIN * refused):
            middle = (taken + refused) // 2
            answer = self._sorted(middle)
            if self._refuses(answer):
                refused = middle
            elif answer == TIMED_OUT:  # each further one may take as long: what is known stands
                break
            else:
                taken = middle
        accepted = max((length for length in self._answered if length < refused), default=None)
        last = self.refused[refused]
        return LengthLimit(
            accepted_chars=accepted,
            refused_chars=refused,
            status=last.status,
            error=_error(last),
            between=self._between(accepted or 0, refused),
        )

    def _between(self, accepted: int, refused: int) -> str | None:
        """What came of the shortest length that was neither answered nor refused."""
        length = min((each for each in self._failing if accepted < each < refused), default=None)
        if length is None:
            return None
        return f"{length} characters: {_error(self._failing[length])} ({self._failing[length]!s})"

    @staticmethod
    def _refuses(answer: Outcome) -> bool:
        return answer == HTTP_4XX and answer.status in _REFUSALS


def _error(answer: Outcome) -> str:
    return answer.error or str(answer)

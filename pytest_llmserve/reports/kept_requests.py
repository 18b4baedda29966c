"""Reads what `--llm-report x.jsonl` wrote: runs that can be judged and reported again without a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.log import LogWindow
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import NOT_KEPT, RequestRecord
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult
from pytest_llmserve.domain.samples import MemoryChange
from pytest_llmserve.reports.about import Asked
from pytest_llmserve.reports.columns import window_of
from pytest_llmserve.reports.kept_run import KeptRun, KeptTest, SessionTest
from pytest_llmserve.reports.measurement_file import exact_measurement
from pytest_llmserve.reports.request_line import SCHEMA, RequestLine

_REPORTS = {
    ".json": "the JSON report",
    ".html": "the HTML report",
    ".md": "the Markdown report",
    ".xml": "the file of JUnit",
}
ONLY_REQUESTS = "report and compare read the .jsonl of the session, written by pytest --llm-report=FILE.jsonl"
_REMEDY = "measure again with --llm-report"
_ANEW = f"copy the file anew, or {_REMEDY}"


class _TestAbout(msgspec.Struct, kw_only=True):
    runs: tuple[int, ...]
    unsent: tuple[_Unsent, ...] = ()
    environment: dict[str, Any]
    server: dict[str, Any] | None
    started_ns: int | None
    no_run: str
    death: str | None
    resources: dict[str, Any]
    log: LogWindow
    checks: tuple[Asked, ...]
    verdicts: tuple[dict[str, Any], ...]
    marks: tuple[dict[str, Any], ...] = ()
    report: dict[str, Any] = {}
    strict: bool = False


class _About(msgspec.Struct, kw_only=True):
    schema: str
    requests: int
    plan: LoadPlan
    generator: GeneratorHealth
    start_ns: int
    steady_ns: tuple[int, int]
    wall_ns: int
    prompts: str | None
    rounds: int | None
    resources: dict[str, Any]
    memory: MemoryChange | None
    baseline: str | dict[str, Any] | None = None
    report: dict[str, Any] = {}
    test: _TestAbout | None = None
    session: tuple[SessionTest, ...] = ()


class _Unsent(_About, kw_only=True):
    run: int


class _Schema(msgspec.Struct):
    schema: str | None = None


class _First(msgspec.Struct):
    about: _Schema | None = None


class KeptTexts:
    """Reads the answers back from the lines, on demand.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, at: int) -> str:
        """Return the answer of the line that begins at this byte.

        Raises:
            SetupError: answers are not in the file, or the file is no longer there or another one.
        """
        if at == NOT_KEPT:
            raise SetupError(f"this answer is not in {self._path}: {_REMEDY} and --llm-keep-text")
        try:
            with self._path.open("rb") as file:
                file.seek(at)
                return str(msgspec.json.decode(file.readline(), type=RequestLine).text)
        except (OSError, ValueError) as error:
            raise SetupError(f"the answer can no longer be read from {self._path}: {error}") from None


def read_runs(path: Path) -> list[KeptRun]:
    """The runs of a file, in its order.

    Raises:
        SetupError: it cannot be read, is empty, damaged, cut off, of another schema, or none of ours; the
            text names the line.
    """
    return read_session(path)[0]


def read_session(path: Path) -> tuple[list[KeptRun], list[SessionTest]]:
    """The runs of a file, and what became of all tests of its session; none where the file does not tell.

    Raises:
        SetupError: as `read_runs`.
    """
    if path.suffix in _REPORTS and path.is_file():
        raise SetupError(f"{path} is {_REPORTS[path.suffix]}: {ONLY_REQUESTS}")
    if path.is_dir():
        raise SetupError(f"{path} is a folder: {ONLY_REQUESTS}")
    reader = _Reader(path)
    return reader.runs(), reader.session


@dataclass(frozen=True)
class _Line:
    number: int
    at: int
    line: RequestLine


class _Reader:
    """Mutable; goes through a file once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._texts = KeptTexts(path)
        self._decoder = msgspec.json.Decoder(RequestLine)
        self._test: KeptTest | None = None
        self._unsent: list[KeptRun] = []
        self._copies: Counter[tuple[str, int]] = Counter()
        self.session: list[SessionTest] = []

    def runs(self) -> list[KeptRun]:
        found: list[KeptRun] = []
        about: tuple[_Line, _About] | None = None
        records: list[RequestRecord] = []
        for line in self._lines():
            if line.line.about is not msgspec.UNSET:
                if about is not None:
                    found.append(self._run(*about, records))
                about, records = (line, self._about(line)), []
            self._check_place(line, about)
            records.append(self._record(line))
        if about is None:
            raise SetupError(f"{self._path} has no request in it: {_REMEDY}")
        return _in_order([*found, self._run(*about, records), *self._unsent])

    def _lines(self) -> Iterator[_Line]:
        at = 0
        try:
            with self._path.open("rb") as file:
                for number, raw in enumerate(file, 1):
                    yield _Line(number, at, self._decoded(raw, number))
                    at += len(raw)
        except OSError as error:
            raise SetupError(f"{self._path} cannot be read: {error.strerror}; check the path") from None

    def _decoded(self, raw: bytes, number: int) -> RequestLine:
        try:
            if number == 1:
                self._check_schema(raw)
            line = self._decoder.decode(raw)
        except (ValueError, RecursionError) as error:
            if not raw.endswith(b"\n"):
                whole = f"the {number - 1} lines before it are whole" if number > 1 else "no line is whole"
                self._refuse(number, f"is cut off; {whole}: {_ANEW}")
            self._refuse(number, f"is damaged ({error}): {_ANEW}")
        return line

    def _check_schema(self, raw: bytes) -> None:
        """Before anything else of it is read, which may have another form there."""
        first = msgspec.json.decode(raw, type=_First)
        if first.about is None or first.about.schema is None:
            whence = "it was not written by --llm-report x.jsonl, or its beginning is missing"
            self._refuse(1, f"is not the first request of a run: {whence}: {_ANEW}")
        if first.about.schema != SCHEMA:
            remedy = f"read it with the version of pytest-llmserve that wrote it, or {_REMEDY}"
            self._refuse(1, f"is of schema {first.about.schema!r}, and {SCHEMA!r} is needed: {remedy}")

    def _about(self, line: _Line) -> _About:
        assert line.line.about is not msgspec.UNSET
        try:
            about = msgspec.json.decode(line.line.about, type=_About)
            if about.schema != SCHEMA:
                self._check_schema(b'{"about": %b}' % line.line.about)
            self.session += about.session
            if about.test is not None:
                at = _place(line.line)[:2]
                self._copies[at] += 1
                self._test = test = _kept_test(about.test, line.line, self._copies[at])
                self._unsent += [_kept_run(test, each.run, each, []) for each in about.test.unsent]
        except (ValueError, RecursionError) as error:
            self._refuse(line.number, f"is damaged ({error} of about): {_ANEW}")
        return about

    def _check_place(self, here: _Line, about: tuple[_Line, _About] | None) -> None:
        """Lines that were sorted or left out would make a smaller run of it, silently."""
        if about is None or _place(here.line) != _place(about[0].line):
            self._refuse(here.number, f"is of {_told(here.line)}, whose first line is not before it: {_ANEW}")

    def _record(self, here: _Line) -> RequestRecord:
        line = here.line
        if line.text is msgspec.UNSET or line.text is None:
            text_at = NOT_KEPT if line.output_chars else None
        else:
            text_at = here.at if line.text else None
        return RequestRecord(
            id=line.id,
            scheduled_ns=line.scheduled_ns,
            sent_ns=line.sent_ns,
            first_byte_ns=line.first_byte_ns,
            end_ns=line.end_ns,
            token_ns=line.token_ns,  # type: ignore[arg-type]
            status=line.status,
            outcome=line.outcome,
            error=line.error,
            input_chars=line.input_chars,
            output_chars=line.output_chars,
            output_tokens=line.output_tokens,
            tokens_from=line.tokens_from,
            finish_reason=line.finish_reason,
            task=line.task,
            warm_up=line.warm_up,
            attempt=line.attempt,
            stage=line.stage,
            from_schedule=line.from_schedule,
            text_at=text_at,
            steps=line.steps,
            served_by=line.served_by,
            turn=line.turn,
            texts=self._texts,
        )

    def _run(self, first: _Line, about: _About, records: list[RequestRecord]) -> KeptRun:
        if len(records) != about.requests:
            had = f"{len(records)} of the {about.requests} requests of {_told(first.line)} are there"
            raise SetupError(f"{self._path} is not whole: {had}: {_ANEW}")
        test = self._test
        if test is None or (test.nodeid, test.attempt) != _place(first.line)[:2]:
            behind = f"is of {_told(first.line)}, and its test's first run is not before it"
            self._refuse(first.number, f"{behind}: {_ANEW}")
        try:
            return _kept_run(test, first.line.run, about, records)
        except ValueError as error:
            self._refuse(first.number, f"is damaged ({error}): {_ANEW}")

    def _refuse(self, number: int, why: str) -> NoReturn:
        raise SetupError(f"{self._path}, line {number}, {why}")


def _place(line: RequestLine) -> tuple[str, int, int]:
    return line.nodeid, line.test_attempt, line.run


def _told(line: RequestLine) -> str:
    attempt = f" (attempt {line.test_attempt})" if line.test_attempt > 1 else ""
    return f"run {line.run} of {line.nodeid}{attempt}"


def _in_order(runs: list[KeptRun]) -> list[KeptRun]:
    """Those of each test by their number, the tests as they stand."""
    tests = {id(test): place for place, test in reversed(list(enumerate(run.test for run in runs)))}
    return sorted(runs, key=lambda run: (tests[id(run.test)], run.number))


def _kept_run(test: KeptTest, number: int, about: _About, records: list[RequestRecord]) -> KeptRun:
    there = about.baseline
    result = LoadResult(
        about.plan,
        records,
        about.generator,
        about.steady_ns,
        window_of(about.resources),
        about.memory,
        start_ns=about.start_ns,
        prompts=about.prompts,
        rounds=about.rounds,
    )
    baseline = exact_measurement(there) if isinstance(there, dict) else there
    return KeptRun(test, number, result, about.wall_ns, baseline, about.report)


def _kept_test(about: _TestAbout, line: RequestLine, copy: int) -> KeptTest:
    fields = {
        name: getattr(about, name) for name in about.__struct_fields__ if name not in ("checks", "unsent")
    }
    return KeptTest(
        nodeid=line.nodeid,
        attempt=line.test_attempt,
        asked=about.checks,
        copy=copy,
        **(fields | {"resources": window_of(about.resources)}),
    )

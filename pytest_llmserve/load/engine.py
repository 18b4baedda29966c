"""Starts load workers, waits for them, and puts their records together."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from pytest_llmserve.domain.addresses import Address, addresses_of
from pytest_llmserve.domain.entry import Entry
from pytest_llmserve.domain.errors import GeneratorError, SetupError
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.progress import LoadProgress
from pytest_llmserve.domain.replicas import replicas_of, servers_of, with_stream
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.task import Manner
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.load.beforehand import prompts_json, try_encoding
from pytest_llmserve.load.job import DRAIN, Job, Message, WorkerSummary
from pytest_llmserve.load.merge import merge
from pytest_llmserve.load.pacing import workers_of
from pytest_llmserve.load.progress import ProgressTally
from pytest_llmserve.load.prompts import prompts_hash
from pytest_llmserve.load.so_far import SoFar
from pytest_llmserve.load.trace import end_of, read_trace, rows_to_json, within_plan
from pytest_llmserve.load.worker import LENGTH

_READY_LIMIT_S = 30.0
_SILENCE_LIMIT_S = 60.0
_STOP_LIMIT_S = 1.5
_HEAD_START_NS = 20_000_000
# In open loop the first connections are opened before the first request is due.
_OPEN_HEAD_START_NS = 150_000_000

# The worker imports the very package that runs here, wherever it lies, and nothing else from beside it:
# neither the working directory nor the neighbours of the package may shadow the standard library.
_WORKER = (
    "import sys; sys.path.insert(0, sys.argv[1]); import pytest_llmserve; del sys.path[0];"
    " from pytest_llmserve.load.worker import main; main()"
)
_PACKAGE_ROOT = str(Path(__file__).parents[2])

Progress = Callable[[LoadProgress], object]


class LoadRun:
    """One run. `start`, then `wait` or `stop`, then `result`; in a `with` statement no process stays.

    Args:
        target: a server whose dialect is decided; those beside it take turns with it.
        prompts: sent in a seeded order, over and over.
        folder: private to the run; records and texts are written there.
        tasks: task name of each prompt, or empty.
        manners: of the tasks whose requests differ from the others, by name.
        address: of the server; looked up when not given.

    Raises:
        SetupError: no prompts, a wrong trace, or a prompt, parameter or header that cannot be sent.
        ServerUnusable: the host's name is not known.
    """

    def __init__(
        self,
        target: Target,
        plan: LoadPlan,
        prompts: Sequence[Entry],
        folder: Path,
        *,
        tasks: Sequence[str] = (),
        manners: Mapping[str, Manner] | None = None,
        address: Address | None = None,
    ) -> None:
        self.plan = plan
        target = with_stream(target, plan.stream)
        written = prompts_json(prompts)
        workers = workers_of(plan)
        rows = [] if plan.trace is None else within_plan(read_trace(plan.trace, plan.speed), plan)
        try_encoding(target, plan, prompts, rows, tasks, manners)
        self._plan = msgspec.structs.replace(plan, workers=workers)
        folder.mkdir(parents=True, exist_ok=True)
        self._shards = [str(folder / f"shard-{index}") for index in range(workers)]
        others = [addresses_of(each)[0] for each in servers_of(replicas_of(target))[1:]]
        where = address or addresses_of(target)[0]
        self._jobs = [
            Job(
                target=target,
                plan=self._plan,
                prompts_json=written,
                tasks=list(tasks),
                manners=dict(manners or {}),
                address=where,
                others=others,
                index=index,
                shard=shard,
                trace_json=rows_to_json(rows[index::workers]),
                trace_end_ns=end_of(rows),
            )
            for index, shard in enumerate(self._shards)
        ]
        self._prompts_hash = prompts_hash(self._jobs[0].prompts_json, rows_to_json(rows))
        self._workers: list[_Worker] = []
        self._tally: ProgressTally | None = None
        self._so_far: SoFar | None = None
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> LoadRun:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the workers, wait until all are ready, and give them one instant to begin at.

        Raises:
            GeneratorError: a worker did not start.
            SetupError: a worker cannot write the requests.
        """
        for job in self._jobs:
            worker = _Worker(job)
            self._workers.append(worker)
            self._selector.register(worker.stdout, selectors.EVENT_READ, worker)
        self._pump(lambda w: w.ready, _READY_LIMIT_S)
        head_start_ns = _OPEN_HEAD_START_NS if self._plan.is_open else _HEAD_START_NS
        begin_ns = time.monotonic_ns() + head_start_ns
        self._tally = ProgressTally(self._plan, begin_ns)
        self._so_far = SoFar(self._plan, self._shards, begin_ns)
        for worker in self._workers:
            worker.tell(LENGTH.pack(begin_ns))

    def wait(self, progress: Progress | None = None) -> None:
        """Wait until every worker is done.

        Args:
            progress: called a few times a second, with the very object of the last call as long as
                there is no news; last with the figures of the end.

        Raises:
            GeneratorError: a worker died, fell silent or does not end; the run is void.
            SetupError: a worker cannot write the requests.
        """
        self._pump(lambda w: w.summary is not None, _wait_limit_s(self._plan), progress)

    def over(self, figure: str, limit_ms: float) -> tuple[int, int]:
        """Measured answers over a limit so far, and of how many requests; as `ProgressTally.over`."""
        return (0, 0) if self._tally is None else self._tally.over(figure, limit_ms)

    def known(self) -> int:
        """How many measured requests `so_far` would give now; reads no more than what is new.

        Raises:
            GeneratorError: a shard is missing or damaged.
        """
        assert self._so_far is not None
        return self._so_far.count()

    def so_far(self) -> LoadResult:
        """All requests begun up to an instant, as in `SoFar`; call between `start` and `result`.

        With `plan.until` that instant is close to now; else workers write their records when many have come.

        Raises:
            GeneratorError: a shard is missing or damaged.
        """
        self.known()
        assert self._so_far is not None
        return self._so_far.result()

    def drain(self) -> None:
        """Let no further request begin; `wait` then waits for those under way."""
        for worker in self._workers:
            worker.tell(DRAIN)

    def stop(self) -> None:
        """End the load now; what was measured stays.

        Raises:
            GeneratorError: a worker did not end in time.
        """
        for worker in self._workers:
            worker.stop()
        self._pump(lambda w: w.summary is not None, _STOP_LIMIT_S)

    def result(self) -> LoadResult:
        """All records, merged. Call after `wait` or `stop`.

        Raises:
            GeneratorError: a shard is missing or damaged.
        """
        self._so_far = None  # all records are read once more: not twice in memory
        summaries = [w.summary for w in self._workers if w.summary is not None]
        result = merge(self._plan, self._shards, summaries)
        result.prompts = self._prompts_hash
        return result

    def close(self) -> None:
        """End every worker for certain."""
        for worker in self._workers:
            worker.kill()
        self._selector.close()

    def _pump(
        self, done: Callable[[_Worker], bool], limit_s: float | None, progress: Progress | None = None
    ) -> None:
        """Read messages until `done` holds for every worker."""
        started = time.monotonic()
        while waiting := [worker for worker in self._workers if not done(worker)]:
            for key, _ in self._selector.select(0.2):
                for message in key.data.read():
                    self._take(key.data, message)
                if key.data.ended:
                    self._selector.unregister(key.fileobj)
            now = time.monotonic()
            for worker in waiting:
                if not done(worker):
                    worker.check(now)
            if limit_s is not None and now - started > limit_s:
                raise GeneratorError(f"a load worker did not answer within {limit_s:g} s; the run is void")
            if progress is not None:
                self._show(progress)

    def _take(self, worker: _Worker, message: Message) -> None:
        if self._tally is not None and message.beat is not None:
            self._tally.add(worker.index, message.beat, time.monotonic_ns())
            if self._so_far is not None and message.beat.strain is not None:
                self._so_far.hear(worker.index, message.beat.strain)
        if message.fault is not None:
            raise SetupError(message.fault)
        if message.summary is not None:
            worker.summary = message.summary

    def _show(self, progress: Progress) -> None:
        over = all(worker.summary is not None for worker in self._workers)
        if self._tally is not None:
            progress(self._tally.progress(time.monotonic_ns(), over=over))


class _Worker:
    """A worker process as its parent sees it."""

    def __init__(self, job: Job) -> None:
        self.index = job.index
        self._stderr = Path(job.shard + ".stderr")
        with self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _WORKER, _PACKAGE_ROOT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                bufsize=0,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self.stdout = self._process.stdin, self._process.stdout
        self._pending = b""
        self._heard = time.monotonic()
        self.ready = self.ended = False
        self.summary: WorkerSummary | None = None
        raw = msgspec.msgpack.encode(job)
        self.tell(LENGTH.pack(len(raw)) + raw)

    def tell(self, data: bytes) -> None:
        """Write to the worker; one that is gone is noticed by `check`."""
        view = memoryview(data)
        try:
            while view:
                view = view[self._stdin.write(view) or 0 :]
        except BrokenPipeError:
            return

    def stop(self) -> None:
        """The end of its stdin tells a worker to stop."""
        self._stdin.close()

    def read(self) -> Iterator[Message]:
        """The messages that the worker has written since the last read."""
        data = os.read(self.stdout.fileno(), 1 << 20)
        if not data:
            self.ended = True
            return
        self._heard = time.monotonic()
        self._pending += data
        while len(self._pending) >= LENGTH.size:
            size = LENGTH.unpack_from(self._pending)[0]
            if len(self._pending) < LENGTH.size + size:
                return
            raw, self._pending = self._pending[8 : 8 + size], self._pending[8 + size :]
            self.ready = True
            yield msgspec.msgpack.decode(raw, type=Message)

    def check(self, now: float) -> None:
        """Raise GeneratorError when the worker can no longer finish."""
        if self.ended:
            code = self._process.wait(5)
            why = f"load worker {self.index} ended with {code}; the run is void"
            raise GeneratorError(": ".join(part for part in (why, self._said()) if part))
        if now - self._heard > _SILENCE_LIMIT_S:
            raise GeneratorError(
                f"load worker {self.index} has said nothing for {_SILENCE_LIMIT_S:g} s; the run is void"
            )

    def _said(self) -> str:
        return self._stderr.read_text("utf-8", "replace")[-2000:].strip()

    def kill(self) -> None:
        """End the process and wait for it."""
        self._stdin.close()
        if self.summary is None and self._process.poll() is None:
            self._process.kill()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self.stdout.close()


def _wait_limit_s(plan: LoadPlan) -> float | None:
    """When a run of that plan is over for certain, its decoding too; None when only requests bound it."""
    if plan.deadline_ns is None:
        return None
    retries_ns = plan.retries * (plan.timeout_ns + plan.connect_timeout_ns + NS_PER_S)
    return (plan.deadline_ns + retries_ns) / NS_PER_S + _SILENCE_LIMIT_S


def run_load(
    target: Target, plan: LoadPlan, prompts: Sequence[Entry], folder: Path, *, tasks: Sequence[str] = ()
) -> LoadResult:
    """Run a load from beginning to end.

    Raises:
        SetupError: no prompts, a wrong trace, or a prompt, parameter or header that cannot be sent.
        ServerUnusable: the host's name is not known.
        GeneratorError: a worker died; the run is void.
    """
    with LoadRun(target, plan, prompts, folder, tasks=tasks) as run:
        run.start()
        run.wait()
        return run.result()

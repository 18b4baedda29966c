"""A load worker: a process of its own that runs `main`, driven through its pipes.

stdin:  the length of the job (8 bytes), the job, then the start instant (8 bytes, monotonic
        ns) once all workers are ready. After that a `DRAIN` byte means: begin nothing more;
        anything else, its end included: stop now. So a worker never outlives the process
        that started it.
stdout: messages, each behind its length.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import struct
import sys
import threading
import time

import msgspec

from pytest_llmserve.domain.errors import GeneratorError, SetupError
from pytest_llmserve.load.flight import Recorder
from pytest_llmserve.load.health import GcPauses, joined
from pytest_llmserve.load.job import Job, Message, Strain, WorkerSummary
from pytest_llmserve.load.loop import LoadLoop
from pytest_llmserve.load.open_loop import OpenLoop
from pytest_llmserve.load.pinning import pin
from pytest_llmserve.load.shard import ShardWriter

LENGTH = struct.Struct("<Q")
_PROGRESS_S = 0.5


def main() -> None:
    """Run one job. What is wrong with it ends the worker with a sentence, not with a traceback."""
    try:
        _run()
    except SetupError as error:
        with _stdout_lock:
            _say(Message(kind="fault", fault=str(error)))
        sys.exit(1)
    except GeneratorError as error:
        sys.exit(str(error))
    sys.stderr.flush()
    os._exit(0)  # all is written; to free every object takes the interpreter as long as many a load


def _run() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    _raise_file_limit()
    job = msgspec.msgpack.decode(_read(LENGTH.unpack(_read(8))[0]), type=Job)
    pinned = pin(job.index, job.plan.workers)
    writer = ShardWriter(job.shard)
    recorder = Recorder(job.target, writer, from_schedule=job.plan.is_open)
    loop = (OpenLoop if job.plan.is_open else LoadLoop)(job, recorder, control_fd=0)
    _say(Message(kind="ready"))
    begin_ns = LENGTH.unpack(_read(8))[0]
    _report_progress(loop, writer if job.plan.until is not None else None)
    gc.collect()
    gc.freeze()
    gc.disable()
    cpu_before_ns = time.process_time_ns()
    with GcPauses() as pauses:
        loop.run(begin_ns)
    end_ns, cpu_ns = time.monotonic_ns(), time.process_time_ns() - cpu_before_ns
    loop.decode_rest()
    writer.close()
    _tell(loop, _summary(loop, end_ns, cpu_ns, pauses, pinned))


def _summary(loop: LoadLoop, end_ns: int, cpu_ns: int, pauses: GcPauses, pinned: bool) -> WorkerSummary:
    transport = loop.transport
    return WorkerSummary(
        index=loop.job.index,
        start_ns=loop.start_ns,
        drain_ns=loop.drain_ns,
        end_ns=end_ns,
        cpu_ns=cpu_ns,
        chunks=loop.recorder.chunks,
        stamped_reads=transport.stamped,
        unstamped_reads=transport.unstamped,
        send_lag_ns=transport.send_lag.sample(),
        receive_lag_ns=transport.receive_lag.sample(),
        merged=transport.merged,
        reopened=transport.reopened,
        unfinished=loop.unfinished,
        crowded=loop.crowded,
        resent=transport.resent,
        ended=loop.ended,
        pinned=pinned,
        gc_pauses=pauses.count,
        gc_longest_ns=pauses.longest_ns,
        protocols=sorted(transport.protocols),
        server_gone=loop.presence.gone,
        gone_ns=loop.presence.since_ns,
        stalls_ns=joined([*transport.send_lag.stalls, *transport.receive_lag.stalls]),
    )


def _read(size: int) -> bytes:
    """Exactly so many bytes of stdin; the end of stdin ends the worker."""
    data = bytearray()
    while len(data) < size:
        piece = os.read(0, size - len(data))
        if not piece:
            sys.exit("the test process is gone")
        data += piece
    return bytes(data)


_encode = msgspec.msgpack.Encoder().encode
_stdout_lock = threading.Lock()


def _say(message: Message) -> None:
    raw = _encode(message)
    data = LENGTH.pack(len(raw)) + raw
    while data:
        data = data[os.write(1, data) :]


def _strain(loop: LoadLoop, cpu_ns: int) -> Strain:
    return Strain(
        elapsed_ns=max(0, time.monotonic_ns() - loop.start_ns),
        cpu_ns=cpu_ns,
        crowded=loop.crowded,
        send_lag_ns=loop.transport.send_lag.news(),
    )


def _oldest_ns(loop: LoadLoop) -> int | None:
    """For how long the server has had the request that it has had longest."""
    due_ns = loop.transport.answering.first_ns()
    return None if due_ns is None else max(0, time.monotonic_ns() + loop.plan.timeout_ns - due_ns)


def _tell(loop: LoadLoop, summary: WorkerSummary | None = None, strain: Strain | None = None) -> None:
    """Say what has ended since the last time."""
    with _stdout_lock:  # from the taking on: nothing may be said after the last message
        landed = loop.landed  # before `sent`, which may only grow meanwhile
        beat = loop.recorder.pulse.take(loop.sent, 0 if summary else loop.sent - landed)
        beat = msgspec.structs.replace(beat, strain=strain, oldest_ns=None if summary else _oldest_ns(loop))
        _say(Message(kind="done" if summary else "progress", beat=beat, summary=summary))


def _report_progress(loop: LoadLoop, writer: ShardWriter | None) -> None:
    """Say twice a second how far it is; this is also the sign of life the parent waits for.

    With a writer, what it holds back is written each time, and how the worker does is told too.
    """
    cpu_before_ns = time.process_time_ns()

    def tell() -> None:
        while True:
            time.sleep(_PROGRESS_S)
            strain = None
            if writer is not None:
                writer.flush()
                strain = _strain(loop, time.process_time_ns() - cpu_before_ns)
            try:
                _tell(loop, strain=strain)
            except OSError:  # the parent is gone; the loop sees the end of stdin
                return

    threading.Thread(target=tell, daemon=True).start()


def _raise_file_limit() -> None:
    """A connection a user: take as many descriptors as the system lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in {soft, resource.RLIM_INFINITY}:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

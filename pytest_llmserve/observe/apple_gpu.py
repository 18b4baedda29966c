"""The GPU of an Apple silicon Mac, as macmon or powermetrics tell it; its memory is that of the machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import GPU, GpuSample
from pytest_llmserve.observe.probe import Probe, Silent

NO_PROGRAM = (
    "the GPU's use and power are not available, because macmon is not installed, and powermetrics may be run"
    " by root alone: brew install macmon"
)
ENDED = "the GPU's use and power are no longer available, because {} ended with {}"
MOST_BYTES = 1_000_000
"""Of one report; it takes a few thousand."""
END_S = 2.0


class Program(NamedTuple):
    """A program that reports once a second until it is ended.

    Attributes:
        command: its command line.
        end: of each report.
        read: one report, or None where it tells nothing of the GPU.
    """

    command: tuple[str, ...]
    end: bytes
    read: Callable[[bytes], GpuSample | None]


def gpu_of_macmon(line: bytes) -> GpuSample | None:
    """What a line of `macmon pipe` tells: W, degrees, shares of 1.

    Releases before `gpu_active_ratio` have the share in `gpu_usage`, behind the frequency.
    """
    try:
        told = json.loads(line)
    except ValueError:
        return None
    if not isinstance(told, dict):
        return None
    usage = told.get("gpu_usage")
    share = told.get("gpu_active_ratio", usage[1] if isinstance(usage, list) and len(usage) == 2 else None)
    temperature = told.get("temp", {}).get("gpu_temp_avg")
    return _sample(share, told.get("gpu_power"), temperature)


def gpu_of_powermetrics(report: bytes) -> GpuSample | None:
    """What a report of `powermetrics --samplers gpu_power -f plist` tells: mJ since the last one, ns."""
    import plistlib
    from xml.parsers.expat import ExpatError

    try:
        told = plistlib.loads(report.strip(b"\0\r\n "))
    except (ValueError, ExpatError):
        return None
    gpu = told.get("gpu", {})
    idle, energy_mj, elapsed_ns = gpu.get("idle_ratio"), gpu.get("gpu_energy"), told.get("elapsed_ns")
    power_w = energy_mj * 1e6 / elapsed_ns if energy_mj is not None and elapsed_ns else None
    return _sample(None if idle is None else 1 - idle, power_w, None)


MACMON = Program(("macmon", "pipe", "-i", "1000"), b"\n", gpu_of_macmon)
POWERMETRICS = Program(
    ("powermetrics", "--samplers", "gpu_power", "-i", "1000", "-b", "0", "-f", "plist"),
    b"</plist>",
    gpu_of_powermetrics,
)


def apple_gpu(
    platform: str = sys.platform,
    which: Callable[[str], str | None] = shutil.which,
    is_root: Callable[[], bool] = lambda: os.geteuid() == 0,
) -> Probe | None:
    """What reads this Mac's GPU, or says why nothing does; None elsewhere."""
    if platform != "darwin":
        return None
    if which("macmon"):
        return AppleGpu(MACMON)
    return AppleGpu(POWERMETRICS) if is_root() and which("powermetrics") else Silent(GPU, NO_PROGRAM)


class AppleGpu:
    """Runs a program beside the test and hands over each of its reports once; `close` ends it.

    Should this process be killed, the program ends at its next report: nobody reads it any more.
    Mutable: the last report, guarded by `_lock`.

    Args:
        program: begins with the first `read`.
    """

    source = GPU

    def __init__(self, program: Program) -> None:
        self.missing: str | None = None
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._unread: GpuSample | None = None

    def read(self, full: bool) -> dict[str, Any]:  # noqa: ARG002 - both cost the same
        """The last report, if it was not handed over yet; never waits.

        Raises:
            ProbeLost: the program has ended.
        """
        if self._process is None:
            self._begin()
        elif self.missing is not None:
            raise ProbeLost(self.missing)
        with self._lock:
            unread, self._unread = self._unread, None
        return {} if unread is None else {"gpus": (unread,)}

    def close(self) -> None:
        """End the program and wait for it; calling it again does nothing."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(END_S)

    def _begin(self) -> None:
        command = self._program.command
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        except OSError as error:
            self.missing = (
                f"the GPU's use and power are not available, because {command[0]}: {error.strerror}"
            )
            raise ProbeLost(self.missing) from None
        threading.Thread(
            target=self._take, args=(self._process,), name="llmserve-apple-gpu", daemon=True
        ).start()

    def _take(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        left = said = b""
        with process.stdout as output:
            while data := os.read(output.fileno(), 65536):
                reports, left = whole_reports(left + data, self._program.end)
                told = [sample for report in reports if (sample := self._program.read(report)) is not None]
                said = b"" if told else (said + data)[-1000:]
                if told:
                    with self._lock:
                        self._unread = told[-1]
        last = said.decode("utf-8", "replace").strip()[-200:]
        ending = f"{process.wait()}" + (f": {last}" if last else "")
        self.missing = ENDED.format(self._program.command[0], ending)


def whole_reports(data: bytes, end: bytes) -> tuple[Sequence[bytes], bytes]:
    """Reports that are complete, and what has come of the next; too long a one is thrown away."""
    *whole, left = data.split(end)
    return [report + end for report in whole], left if len(left) <= MOST_BYTES else b""


def _sample(share: Any, power_w: Any, temperature_c: Any) -> GpuSample | None:
    sample = GpuSample(
        index=0,
        percent=None if share is None else 100 * float(share),
        power_w=None if power_w is None else float(power_w),
        temperature_c=temperature_c or None,  # macmon writes 0 where a sensor is missing
    )
    return None if sample == GpuSample(index=0) else sample

"""Cores that are busy, denied, or idle beside one that is not."""

from __future__ import annotations

from pytest_llmserve.checks.diagnosis.scene import Scene
from pytest_llmserve.checks.wording import amount
from pytest_llmserve.domain.diagnosis import Diagnosis
from pytest_llmserve.domain.units import NS_PER_S

ALL_CORES_SHARE = 0.9
"""Of the cores that the server may use: the rest is the system's, and the load generator's."""
MACHINE_FULL_PERCENT = 95.0
MACHINE_IDLE_PERCENT = 75.0
"""At least a quarter of the machine had nothing to do."""
ONE_CORE = (90.0, 110.0)
"""CPU of a process with one busy thread: below it has spare time, above it has several."""
OTHERS_SHARE = 0.6
"""Where the server and the load generator together have less of busy cores, others have much."""
WORKING_PERCENT = 25.0
"""Of a core: a server that takes less even of a busy machine waits for something else than its CPU."""
THROTTLED_SHARE = 0.1
"""Of the time: the run was a tenth longer for it."""


def compute_bound(scene: Scene) -> Diagnosis | None:
    """The server's processes use nearly all cores."""
    used, cores, machine = scene.mean("cpu_percent"), scene.window.cores, scene.mean("host_cpu_percent")
    if used is None:
        return None
    if cores is not None and used >= ALL_CORES_SHARE * 100 * cores:
        of = f"{amount(used / 100)} of the {cores} cores it may use" if cores > 1 else "its only core"
        figures: dict[str, float | str] = {"cpu_percent": round(used, 2), "cores": cores}
    elif cores is None and used >= ONE_CORE[0] and machine is not None and machine >= MACHINE_FULL_PERCENT:
        of = f"{amount(used / 100)} cores of a machine that was {amount(machine)}% busy"
        figures = {"cpu_percent": round(used, 2), "host_cpu_percent": round(machine, 2)}
    else:
        return None
    sentence = (
        f"the server used {of}: send it less at once, generate fewer tokens, take a smaller or"
        " quantized model, or give it more cores or a GPU"
    )
    return Diagnosis(what="compute-bound", sentence=sentence, figures=figures)


def one_worker(scene: Scene) -> Diagnosis | None:
    """One process is at the end of its core while others are idle."""
    busiest, used, cores = scene.mean("busiest_percent"), scene.mean("cpu_percent"), scene.window.cores
    if busiest is None or used is None or not ONE_CORE[0] <= busiest <= ONE_CORE[1]:
        return None
    # A process that waits for a GPU often does so in a busy loop: its CPU says nothing.
    if scene.devices or scene.peak("gpu_mb"):
        return None
    machine = scene.mean("host_cpu_percent")
    idle = machine is not None and machine <= MACHINE_IDLE_PERCENT
    if cores is None or cores < 2 or not idle or used > OTHERS_SHARE * 100 * cores:
        return None
    assert machine is not None
    sentence = (
        f"one of the server's processes used {amount(busiest)}% of a core, all it can with one thread at"
        f" work, while the machine was {amount(machine)}% busy: start more workers (--workers) or threads"
        " (--threads), or move work off the event loop"
    )
    figures: dict[str, float | str] = {
        "busiest_percent": round(busiest, 2),
        "cpu_percent": round(used, 2),
        "host_cpu_percent": round(machine, 2),
        "cores": cores,
    }
    return Diagnosis(what="one worker saturated", sentence=sentence, figures=figures)


def machine_busy(scene: Scene) -> Diagnosis | None:
    """All cores are busy, and not with this test, while the server works with its CPU."""
    used, cores, machine = scene.mean("cpu_percent"), scene.window.cores, scene.mean("host_cpu_percent")
    if used is None or cores is None or machine is None or machine < MACHINE_FULL_PERCENT:
        return None
    if used < WORKING_PERCENT or scene.devices:
        return None
    ours = 0.0
    if scene.run is not None and scene.run.duration_s:
        ours = 100 * scene.run.generator.cpu_s / scene.run.duration_s
    if used + ours >= OTHERS_SHARE * 100 * cores:
        return None
    sentence = (
        f"the machine was {amount(machine)}% busy, but the server had only {amount(used / 100)} of {cores}"
        f" cores and the load generator {amount(ours / 100)}: other programs took the rest; end them, or"
        " test on a machine of its own"
    )
    figures: dict[str, float | str] = {
        "host_cpu_percent": round(machine, 2),
        "cpu_percent": round(used, 2),
        "generator_cpu_percent": round(ours, 2),
        "cores": cores,
    }
    return Diagnosis(what="busy machine", sentence=sentence, figures=figures)


def throttled(scene: Scene) -> Diagnosis | None:
    """The control group's quota denies the server CPU."""
    told = [s for s in scene.window.samples if s.throttled_ns is not None]
    waited_s = scene.window.rise("throttled_s")
    if waited_s is None or not told:
        return None
    seconds = (told[-1].at_ns - told[0].at_ns) / NS_PER_S
    if seconds < 1 or waited_s < THROTTLED_SHARE * seconds:
        return None
    sentence = (
        f"the server's control group waited {amount(waited_s)} s for CPU in {amount(seconds)} s, denied by"
        " its quota: raise the quota (docker --cpus, resources.limits.cpu), or start no more threads than"
        " it allows"
    )
    figures: dict[str, float | str] = {"throttled_s": round(waited_s, 3), "duration_s": round(seconds, 3)}
    return Diagnosis(what="throttled CPU", sentence=sentence, figures=figures)

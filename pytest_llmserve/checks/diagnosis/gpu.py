"""GPUs that are full, busy, or held back."""

from __future__ import annotations

from pytest_llmserve.checks.diagnosis.scene import Device, Scene
from pytest_llmserve.checks.wording import amount, percent
from pytest_llmserve.domain.diagnosis import Diagnosis

FULL_PERCENT = 95.0
"""Of a device's memory. Servers that reserve memory in advance take about 90 % as they are delivered."""
IDLE_PERCENT = 80.0
"""A device that is busy for less of the time waits for something other than itself."""
BUSY_PERCENT = 90.0
"""A device that is busy for so much of the time has nothing left to give."""
FEW_BLOCKS_PERCENT = 90.0
"""A KV cache below this still has room: full device memory is then only reserved."""
GREW_PERCENT = 2.0
"""Of a device's memory: growth under load, which memory reserved in advance does not show."""
FAILED_SHARE = 0.01
WAITING = 1.0
THROTTLED_SHARE = 0.25
"""Of the time: shorter spells hardly move a percentile."""
_HARMFUL = ("thermal", "hardware", "brake", "slowdown")
"""Words of reasons that speak of trouble; a power cap is how a loaded GPU keeps to its rating."""


def memory_bound(scene: Scene) -> Diagnosis | None:
    """Memory is full while the GPU is not busy, and the server is short of something."""
    for device in _fullest_first(scene):
        full, busy = device.memory_percent, device.percent
        if full is None or busy is None or full < FULL_PERCENT or busy >= IDLE_PERCENT:
            continue
        kv = scene.peak("kv_cache_percent")
        if (kv is not None and kv < FEW_BLOCKS_PERCENT) or not _pressed(scene, device):
            continue
        figures: dict[str, float | str] = {
            "gpu": device.name,
            "gpu_memory_percent": round(full, 2),
            "gpu_percent": round(busy, 2),
        }
        also = ""
        if scene.failed_share:
            also = f", and {percent(scene.failed_share)}% of requests failed"
            figures["failed_percent"] = round(100 * scene.failed_share, 3)
        sentence = (
            f"{device.name} was up to {amount(full)}% full, but busy only {amount(busy)}% of the time{also}:"
            " memory ran short before compute did; lower max_tokens or the context length, allow fewer"
            " requests at once, quantize the model or its KV cache, or use a GPU with more memory"
        )
        return Diagnosis(what="memory-bound", sentence=sentence, figures=figures)
    return None


def compute_bound(scene: Scene) -> Diagnosis | None:
    """A GPU is busy all the time."""
    told = [(busy, device) for device in scene.devices if (busy := device.percent) is not None]
    if not told:
        return None
    busy, device = max(told, key=lambda pair: pair[0])
    if busy < BUSY_PERCENT:
        return None
    figures: dict[str, float | str] = {"gpu": device.name, "gpu_percent": round(busy, 2)}
    full = device.memory_percent
    memory = ""
    if full is not None:
        figures["gpu_memory_percent"] = round(full, 2)
        memory = f", its memory up to {amount(full)}% full"
    sentence = (
        f"{device.name} was busy {amount(busy)}% of the time{memory}: send it less at once, generate fewer"
        " tokens, take a smaller or quantized model, or add a GPU"
    )
    return Diagnosis(what="compute-bound", sentence=sentence, figures=figures)


def throttled(scene: Scene) -> Diagnosis | None:
    """A GPU's clocks are held down for heat, or by its board."""
    for device in scene.devices:
        share = device.throttled(_harmful)
        if share is None or share < THROTTLED_SHARE:
            continue
        reasons = ", ".join(reason for reason in device.reasons() if _harmful(reason))
        figures: dict[str, float | str] = {
            "gpu": device.name,
            "throttled_percent": round(100 * share, 2),
            "reasons": reasons,
        }
        hot = ""
        if device.temperature_c is not None:
            figures["gpu_temperature_c"] = device.temperature_c
            hot = f", at up to {device.temperature_c:.0f} °C"
        sentence = (
            f"{device.name} held its clocks down for {amount(100 * share)}% of the time ({reasons}{hot}):"
            " see to its cooling and power supply, or it will be slower the longer it works"
        )
        return Diagnosis(what="throttled GPU", sentence=sentence, figures=figures)
    return None


def _fullest_first(scene: Scene) -> list[Device]:
    return sorted(scene.devices, key=lambda device: device.memory_percent or 0.0, reverse=True)


def _pressed(scene: Scene, device: Device) -> bool:
    """Full memory alone may be memory reserved; this is what makes it a shortage."""
    return (
        scene.failed_share >= FAILED_SHARE
        or device.memory_growth >= GREW_PERCENT
        or (scene.mean("queue") or 0.0) >= WAITING
        or (scene.peak("kv_cache_percent") or 0.0) >= FEW_BLOCKS_PERCENT
    )


def _harmful(reason: str) -> bool:
    return any(word in reason.lower() for word in _HARMFUL)

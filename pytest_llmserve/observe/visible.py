"""Which GPUs a server may use, as its environment says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pytest_llmserve.observe.nvml import Device

VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible(environments: Iterable[Mapping[str, str]], devices: Sequence[Device]) -> frozenset[int] | None:
    """Places in `devices` of those that any of a server's processes may use; None = they do not say.

    CUDA reads the list up to the first word it does not know; no device at all is an answer too.
    Numbers count only where CUDA's order is the driver's: with ``CUDA_DEVICE_ORDER=PCI_BUS_ID``, or among
    GPUs of one model (CUDA C++ Programming Guide, "CUDA Environment Variables").
    """
    said = [environment for environment in environments if VISIBLE in environment]
    if not said:
        return None
    places: set[int] = set()
    alike = len({device.model for device in devices}) < 2
    for environment in said:
        numbered = alike or environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
        for word in environment[VISIBLE].split(","):
            found = _places(word.strip(), devices)
            if found is None or (word.strip().isdigit() and not numbered):
                return None
            if not found:
                break
            places |= found
    return frozenset(places)


def _places(word: str, devices: Sequence[Device]) -> set[int] | None:
    """Of one word: a number, or the beginning of a UUID; all MIG instances of a GPU that is named.

    None for a name that is none of these devices': it may be an older form of one.
    """
    if word.startswith(("GPU-", "MIG-")):
        return {place for place, device in enumerate(devices) if device.uuid.startswith(word)} or None
    return {place for place, device in enumerate(devices) if word.isdigit() and device.chip == int(word)}


def environments(pids: Iterable[int]) -> list[Mapping[str, str]]:
    """Of those processes whose environment may be read."""
    import psutil

    found: list[Mapping[str, str]] = []
    for pid in pids:
        try:
            found.append(psutil.Process(pid).environ())
        except (psutil.Error, OSError):  # gone, or another user's
            continue
    return found

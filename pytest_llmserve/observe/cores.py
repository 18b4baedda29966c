"""How many CPUs a server may use."""

from __future__ import annotations


def cores_of(pid: int) -> int | None:
    """CPUs on which a process may run: those it is bound to, else all of the machine; None = not known.

    A quota of its control group is no matter of this: it shows as time that the group was denied.
    """
    import psutil

    everywhere: int | None = psutil.cpu_count()
    if not hasattr(psutil.Process, "cpu_affinity"):  # macOS binds nobody
        return everywhere
    try:
        return len(psutil.Process(pid).cpu_affinity())
    except psutil.Error:
        return everywhere

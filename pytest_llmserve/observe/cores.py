"""How many CPUs a server may use."""

from __future__ import annotations


def cores_of(pid: int) -> int | None:
    """CPUs on which a process may run: those it is bound to, else all of the machine; None = not known.

    A quota of its control group is no matter of this: it shows as time that the group was denied.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        return len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else psutil.cpu_count()
    except psutil.Error:
        return psutil.cpu_count()

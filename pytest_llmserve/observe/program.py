"""Which program a process runs."""

from __future__ import annotations


def program_of(pid: int) -> str | None:
    """Path of the program, or its name where the system does not tell that; None = no such process."""
    import psutil

    try:
        process = psutil.Process(pid)
        try:
            return str(process.exe() or process.name())
        except psutil.AccessDenied:  # another user's
            return str(process.name())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None

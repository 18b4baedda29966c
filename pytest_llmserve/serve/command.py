"""From the user's `--llm-serve` text to a command that can be run."""

from __future__ import annotations

import re
import shlex
import shutil
import socket

from pytest_llmserve.domain.errors import SetupError

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that is free now. Another process may take it before the server does."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def command_from(template: str, port: int) -> list[str]:
    """Split `--llm-serve` into words and put the port in. No shell is involved.

    Leading assignments ("CUDA_VISIBLE_DEVICES=0 vllm serve ...") are handed to `env`.

    Raises:
        SetupError: no "{port}", quotes that do not close, or a command that is not there.
    """
    if "{port}" not in template:
        raise SetupError(
            f"--llm-serve {template!r} has no {{port}}: write {{port}} where the server takes its port,"
            " such as 'CMD --port {port}'"
        )
    try:
        words = [word.replace("{port}", str(port)) for word in shlex.split(template)]
    except ValueError as error:
        raise SetupError(f"--llm-serve {template!r} cannot be split into words: {error}") from None
    program = next((word for word in words if not _ASSIGNMENT.match(word)), None)
    if program is None or shutil.which(program) is None:
        raise SetupError(
            f"--llm-serve {template!r}: command {program or ''!r} not found:"
            " give its full path or put its folder on PATH"
        )
    return words if words[0] == program else ["env", *words]

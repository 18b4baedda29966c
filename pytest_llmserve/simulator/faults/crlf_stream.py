"""Event streams with CRLF."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pytest_llmserve.simulator.faults.fault import Asked, Fault, Stream


@dataclass
class CrlfStream(Fault):
    """Not a fault: lines of the stream end in CRLF, as event streams may."""

    def streamed(self, asked: Asked, stream: Stream) -> None:  # noqa: ARG002
        stream.parts[:] = [replace(part, data=part.data.replace(b"\n", b"\r\n")) for part in stream.parts]

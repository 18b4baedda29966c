"""Waiting for sockets: epoll where there is one, poll elsewhere. Both give (fd, mask) pairs.

To be woken for each packet costs more than to read it. The kernel has stamped the packet by
then, so a socket in mid-stream may wait a little and be read together with others: that costs
no exactness, but for two events of one stream within that little, which would share a stamp.
So sockets are made `patient` one by one, and waiting is only done while packets are many.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable

IN = select.POLLIN
OUT = select.POLLOUT

Ready = list[tuple[int, int]]

# Waiting delays what follows an answer, so it is a small part of what answers take; and a fraction
# of the time between the events of a stream, so that two do not come together.
_LONGEST_MS, _PART_OF_ANSWER, _PART_OF_GAP = 5, 250, 3
# Packets a second from which on waiting is cheaper than being woken, and below which it is not.
_MANY_A_S, _FEW_A_S = 1500, 750
_LOOK_EVERY = 256
_LEARNT = 8  # answers that count in how long streams take
# epoll and poll wait in whole milliseconds; select is exact.
_EXACT_S = 0.005
_TICK_S = 0.001


def patience_s(answer_ns: float, gap_ns: float) -> float:
    """How long a patient socket may wait; whole milliseconds, or 0.

    Args:
        answer_ns: how long answers take.
        gap_ns: how long it is from piece to piece of one.
    """
    longest_ms = min(answer_ns / _PART_OF_ANSWER, gap_ns / _PART_OF_GAP) // 1_000_000
    return max(0, min(_LONGEST_MS, longest_ms)) / 1000


def gathers(packets: int, elapsed_ns: int, gathering: bool) -> bool:
    """Whether to wait for packets to come together, by how many came of late."""
    least = _FEW_A_S if gathering else _MANY_A_S
    return packets * 1_000_000_000 >= least * elapsed_ns > 0


class Poller:
    """The few calls a loop needs.

    `register(fd, mask)` and `modify(fd, mask)` are those of epoll; `forget(fd)` is due when a
    socket is closed. `patient(fd)` makes a socket wait, `prompt(fd)` ends that; between them
    the socket is only watched for input.

    Attributes:
        patience_s: how long patient sockets wait; 0 = they do not.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._poll: select.epoll | select.poll
        self.wait: Callable[[float], Ready]
        self._gathering = False
        self._answer_ns = self._gap_ns = self.patience_s = 0.0
        if hasattr(select, "epoll"):
            self._poll = prompt = select.epoll()
            self._patient = select.epoll()
            self._clock_ns = clock_ns
            self._calls = self._packets = 0
            self._looked_ns = clock_ns()
            self._nested = (self._patient.fileno(), IN)  # ready when a patient socket is
            prompt.register(*self._nested)
            self._prompt_fd = prompt.fileno()
            self.wait = self._wait
            self.forget: Callable[[int], None] = lambda _: None  # closing is enough for epoll
        else:
            poll = self._poll = select.poll()
            self.wait = lambda timeout_s: poll.poll(timeout_s * 1000)
            self.forget = poll.unregister
        self.register = self._poll.register
        self.modify = self._poll.modify

    def learn(self, answer_ns: int, pieces: int) -> None:
        """A stream took that long and came in so many pieces: the next ones will be alike."""
        self._answer_ns += (answer_ns - self._answer_ns) / _LEARNT
        self._gap_ns += (answer_ns / pieces - self._gap_ns) / _LEARNT
        self.patience_s = patience_s(self._answer_ns, self._gap_ns)

    def patient(self, fd: int) -> bool:
        """Let a socket wait; False where that cannot be."""
        if not hasattr(self, "_patient"):
            return False
        self._poll.unregister(fd)
        self._patient.register(fd, IN)
        return True

    def prompt(self, fd: int) -> None:
        """Watch a patient socket for input at once again."""
        self._patient.unregister(fd)
        self._poll.register(fd, IN)

    def _wait(self, timeout_s: float) -> Ready:
        """What is ready, at the latest after `timeout_s`."""
        gathering = self._gathering
        if gathering and timeout_s > self.patience_s:
            timeout_s = self.patience_s
        elif 0 < timeout_s < _EXACT_S:
            select.select((self._prompt_fd,), (), (), timeout_s)
            timeout_s = 0
        elif timeout_s > 0:
            timeout_s -= _TICK_S  # the last part of the wait, at the next call, is exact
        ready: Ready = self._poll.poll(timeout_s)
        if not gathering:
            if self._nested not in ready:
                return ready
            ready.remove(self._nested)
        gathered: Ready = self._patient.poll(0)
        self._calls += 1
        self._packets += len(gathered)
        if self._calls >= _LOOK_EVERY:
            self._look()
        return ready + gathered if ready else gathered

    def _look(self) -> None:
        now_ns = self._clock_ns()
        wanted = self.patience_s > 0 and gathers(self._packets, now_ns - self._looked_ns, self._gathering)
        if wanted != self._gathering:
            self._gathering = wanted
            self._poll.modify(self._nested[0], 0 if wanted else IN)
        self._calls = self._packets = 0
        self._looked_ns = now_ns

    def close(self) -> None:
        """Give the kernel objects back."""
        for poll in (self._poll, getattr(self, "_patient", None)):
            close = getattr(poll, "close", None)
            if close is not None:
                close()

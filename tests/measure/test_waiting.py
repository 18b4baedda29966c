"""What is said of a server that takes its time."""

from __future__ import annotations

import threading

from pytest_llmserve.measure.waiting import told_while_waiting, waiting_line

URL = "http://127.0.0.1:8000"


def test_the_line_has_the_end_of_the_log():
    """What it does tells more than how long it does it."""
    waited_ns = 75_000_000_000
    begin = f"llmserve: waiting for {URL} for 75 s"
    assert (
        waiting_line(URL, waited_ns, "Loading weights")
        == f"{begin}; the last line of its log: Loading weights"
    )
    assert waiting_line(URL, waited_ns, "x" * 201).endswith(f": {'x' * 200}...")
    assert waiting_line(URL, waited_ns, "") == f"{begin}; its log is empty"
    assert waiting_line(URL, waited_ns, None) == begin


def test_it_is_said_again_and_again_until_the_wait_is_over():
    """And not at all where no progress is wanted."""
    said: list[str] = []
    enough = threading.Event()

    def tell(line: str) -> None:
        said.append(line)
        if len(said) > 1:
            enough.set()

    with told_while_waiting(tell, 10_000_000, URL, lambda: "Loading"):
        assert enough.wait(10)
    number = len(said)
    with told_while_waiting(tell, 0, URL, lambda: "Loading"):
        assert not threading.Event().wait(0.05)
    assert len(said) == number
    assert all(line.endswith("; the last line of its log: Loading") for line in said)

"""The process at a port, looked up as seldom as it may be."""

from __future__ import annotations

import os

from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.measure import listener
from pytest_llmserve.measure.listener import Listener
from pytest_llmserve.observe.port_owner import Owner

TARGET = target_from_url("http://127.0.0.1:9")
GONE = 2**22 + 1
"""A pid that no process has."""


def test_a_process_found_before_is_taken_for_it_while_it_runs(monkeypatch):
    """One that has ended since is looked up anew, as is one never looked for."""
    asked = []

    def owner_of(target):
        asked.append(target)
        return Owner(os.getpid(), "told")

    monkeypatch.setattr(listener, "owner_of", owner_of)
    assert (Listener(TARGET, os.getpid()).pid(), asked) == (os.getpid(), [])
    for found in (GONE, None):
        known = Listener(TARGET, found)
        assert [known.pid(), known.pid()] == [os.getpid()] * 2
        assert (known.ended, len(asked)) == (False, 1)
        asked.clear()

"""What looks after a server ends with the test, and sooner where someone waits."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.stacks import Profile
from pytest_llmserve.measure import vigil as module
from pytest_llmserve.measure.vigil import Vigil


@pytest.mark.parametrize(("error", "limits"), [(KeyboardInterrupt, [(1.0,)]), (ValueError, [()])])
def test_an_interrupt_gives_a_profile_a_second(error, limits, monkeypatch, tmp_path):
    """Any other end gives it the time that it takes."""
    given = []

    class Recorder:
        def __init__(self, pid, file, limit_s):
            assert pid == 12

        def start(self):
            pass

        def stop(self, *limit_s):
            given.append(limit_s)
            return Profile(missing="told")

    monkeypatch.setattr(module, "Recording", Recorder)
    vigil = Vigil(None)
    monkeypatch.setattr(vigil.liveness, "main_pid", lambda: (12, ""))
    with pytest.raises(error), vigil.profiled([], LoadPlan(), tmp_path / "a.svg"):
        raise error
    assert given == limits

"""Locks that fall with their process."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.errors import LlmServeError
from pytest_llmserve.serve.lease import Lease, is_locked, turn


def test_shared_by_many_sole_to_one(tmp_path):
    """Any number may share; sole() is for the only one."""
    first, second = Lease(tmp_path / "l"), Lease(tmp_path / "l")
    assert first.share()
    assert second.share()
    assert not first.sole()
    first.release()
    assert second.sole()
    assert not Lease(tmp_path / "l").share()


def test_release_twice_is_no_harm(tmp_path):
    """A second release does nothing."""
    lease = Lease(tmp_path / "l")
    assert lease.held
    lease.release()
    lease.release()
    assert not lease.held


def test_lock_is_seen_from_outside(tmp_path):
    """is_locked tells a held lock from a free one and from no file."""
    path = tmp_path / "lock"
    assert not is_locked(path)
    with turn(path, limit_s=1):
        assert is_locked(path)
    assert not is_locked(path)


def test_turn_that_does_not_come_is_told(tmp_path):
    """Waiting for a turn has an end."""
    path = tmp_path / "turn"
    with turn(path, limit_s=1), pytest.raises(LlmServeError) as caught, turn(path, limit_s=0.05):
        pass
    assert str(caught.value) == f"another process held {path} for over 0.05 s: look for a stuck test worker"

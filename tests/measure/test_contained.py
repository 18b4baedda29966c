"""A server in a container: which process and which control group are watched."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.measure import contained
from pytest_llmserve.measure.contained import in_container
from pytest_llmserve.measure.opening import ServerWish, open_server
from pytest_llmserve.measure.watch import Watch
from pytest_llmserve.observe.cgroup_paths import Folder
from pytest_llmserve.observe.container import Container


@pytest.fixture
def container(tmp_path, monkeypatch):
    """A container "model" of one process, this one; its group holds 5 MB."""
    (tmp_path / "cgroup.procs").write_text(f"{os.getpid()}\n")
    (tmp_path / "memory.current").write_text("5000000\n")
    folder = Folder(path=tmp_path, top=tmp_path, version=2)
    made = Container(id="a" * 64, folders={"memory": folder})
    monkeypatch.setattr(contained, "container_of", {"model": made}.__getitem__)
    return made


@pytest.fixture
def opened(mock_server, tmp_path):
    server = mock_server()
    opened = open_server(ServerWish(endpoint=server.url, ready_ns=30 * NS_PER_S), tmp_path)
    yield opened
    opened.close()


def test_the_first_process_of_the_container_and_its_group_are_watched(opened, container):
    """Not what holds the port, which is a forwarder as a rule."""
    inside = in_container(opened, "model")
    assert (inside.pid, inside.why, inside.server.pid) == (
        os.getpid(),
        "first process of --llm-container model",
        os.getpid(),
    )
    watch = Watch(inside.watched)
    watch.start()
    watch.sample_now()
    watch.stop()
    assert (watch.window().peak("cgroup_mb"), watch.window().missing) == (5.0, None)
    assert watch.window().absent["cgroup_limit_mb"] == (
        "the control group of container aaaaaaaaaaaa has no memory limit"
    )
    told = in_container(replace(opened, why="--llm-server-pid"), "model")
    assert (told.pid, told.container) == (opened.pid, container)


def test_a_container_whose_processes_are_not_seen_has_its_group_watched(opened, container):
    """As in a container beside it, where all its numbers are 0."""
    (container.folders["memory"].path / "cgroup.procs").write_text("0\n0\n")
    inside = in_container(opened, "model")
    watch = Watch(inside.watched)
    watch.sample_now()
    watch.stop()
    assert (inside.pid, inside.server, watch.window().peak("cgroup_mb")) == (None, None, 5.0)
    assert watch.window().missing == (
        "no process of --llm-container model is seen from here: run pytest outside of containers;"
        " for a server on this machine give --llm-server-pid"
    )


def test_without_a_container_nothing_changes_and_one_that_is_not_there_closes_the_server(opened, monkeypatch):
    assert in_container(opened, None) is opened
    closed = []
    monkeypatch.setattr(type(opened), "close", lambda self: closed.append(self))
    with pytest.raises(SetupError, match=r"^--llm-container no-such: "):
        in_container(opened, "no-such")
    assert closed == [opened]

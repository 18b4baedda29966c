"""A server in a container: which process and which control group are watched."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.measure import contained, opening
from pytest_llmserve.measure.contained import in_container
from pytest_llmserve.measure.opening import TOLD, ServerWish, open_server
from pytest_llmserve.measure.watch import Watch
from pytest_llmserve.observe.cgroup_paths import Folder
from pytest_llmserve.observe.container import Container
from pytest_llmserve.serve.process import start


def held_by(group, pid, letter):
    """A container "model" of one process; its group holds 5 MB."""
    group.mkdir()
    (group / "cgroup.procs").write_text(f"{pid}\n")
    (group / "memory.current").write_text("5000000\n")
    folder = Folder(path=group, top=group, version=2)
    return Container(id=letter * 64, folders={"memory": folder}, named="model")


@pytest.fixture
def container(tmp_path, monkeypatch):
    """A container "model" of one process, this one."""
    made = held_by(tmp_path / "group", os.getpid(), "a")
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


def test_a_restarted_container_is_watched_as_its_new_process(opened, container, tmp_path, monkeypatch):
    """Also behind a command of ours, such as "docker run"; one made anew is found by its name."""
    group = container.folders["memory"].path
    with start([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "ours") as ours:
        first = in_container(replace(opened, server=ours), "model")
        assert first.renewed() is first
        (group / "cgroup.procs").write_text(f"{opened.pid}\n")
        again = first.renewed()
        assert (again.pid, again.server) == (opened.pid, ours)
        assert again.renewed() is again
    (group / "cgroup.procs").write_text("")
    assert again.renewed() is again

    made_anew = held_by(tmp_path / "new", os.getpid(), "b")
    monkeypatch.setattr(opening, "container_of", {"model": made_anew}.__getitem__)
    assert again.renewed() is again
    shutil.rmtree(group)
    foreign = replace(again, server=opened.server)
    assert (foreign.renewed().pid, foreign.renewed().container) == (os.getpid(), made_anew)
    told = replace(again, why=TOLD)
    assert (told.renewed().pid, told.renewed().container) == (told.pid, made_anew)
    monkeypatch.setattr(opening, "container_of", contained_nowhere)
    assert again.renewed() is again


def contained_nowhere(named):
    raise SetupError(f"--llm-container {named}: none")


def test_without_a_container_nothing_changes_and_one_that_is_not_there_closes_the_server(opened, monkeypatch):
    assert in_container(opened, None) is opened
    closed = []
    monkeypatch.setattr(type(opened), "close", lambda self: closed.append(self))
    with pytest.raises(SetupError, match=r"^--llm-container no-such: "):
        in_container(opened, "no-such")
    assert closed == [opened]

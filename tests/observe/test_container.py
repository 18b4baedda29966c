"""A container by id or name, among the groups of all engines, in folders made by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.observe.container import container_of, first_of, id_in

ONE, TWO, POD = "1" * 64, "1" * 12 + "2" * 52, "ab" * 32


@pytest.mark.parametrize(
    "name",
    [
        ONE,
        f"docker-{ONE}.scope",
        f"libpod-{ONE}.scope",
        f"cri-containerd-{ONE}.scope",
        f"crio-{ONE}.scope",
        f"kubepods-besteffort-pod7.slice:cri-containerd:{ONE}",
    ],
)
def test_the_id_in_the_name_of_a_group(name):
    assert id_in(name) == ONE


@pytest.mark.parametrize(
    "name", ["system.slice", f"libpod-conmon-{ONE}.scope", f"pod{ONE}", ONE + "1", "docker-0a1b.scope"]
)
def test_groups_that_are_no_container(name):
    """The program that looks after a container is not the container."""
    assert id_in(name) is None


@pytest.fixture
def machine(tmp_path):
    """A machine with version 2: mountinfo, and its groups; ``machine.wanted(text)`` looks for a container."""

    class Machine:
        top = tmp_path / "sys/fs/cgroup"
        mountinfo = f"30 23 0:26 / {top} rw - cgroup2 cgroup2 rw\n"

        def group(self, path: str, pids: str = "", **files: str) -> Path:
            folder = self.top / path
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "cgroup.procs").write_text(pids)
            (folder / "memory.current").write_text("5000\n")
            return folder

        def file(self, path: str, told: object) -> None:
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(told))

        def wanted(self, text: str):
            return container_of(text, self.mountinfo, tmp_path, tmp_path / "home/me")

    made = Machine()
    made.top.mkdir(parents=True)
    return made


@pytest.mark.parametrize("wanted", [ONE, ONE[:13], TWO[:13].upper()])
def test_an_id_or_its_beginning_finds_the_group(wanted, machine):
    """Of engines in a container, which have groups of their own below, the uppermost."""
    machine.group(f"system.slice/docker-{ONE}.scope")
    machine.group(f"system.slice/docker-{ONE}.scope/docker/{ONE}")
    machine.group(f"kubepods.slice/pod7/{TWO}")
    found = machine.wanted(wanted)
    where = "docker-" + ONE + ".scope" if wanted[12:13] == "1" else TWO
    assert {folder.path.name for folder in found.folders.values()} == {where}
    assert found.group.read(True) == {"cgroup_bytes": 5000}
    assert found.group.absent["cgroup_limit_mb"] == (
        "the control group of container 111111111111 has no memory limit"
    )


def test_a_name_is_looked_up_where_engines_keep_it(machine):
    """Docker's, Podman's of root, Podman's of the user; those that do not run are left out."""
    machine.group(f"docker/{ONE}")
    machine.group(f"machine.slice/libpod-{POD}.scope/container")
    machine.file(f"var/lib/docker/containers/{ONE}/config.v2.json", {"ID": ONE, "Name": "/model"})
    machine.file(f"var/lib/docker/containers/{TWO}/config.v2.json", {"ID": TWO, "Name": "/model"})
    machine.file(
        "home/me/.local/share/containers/storage/overlay-containers/containers.json",
        [{"id": POD, "names": ["chat"]}, {"id": "x"}],
    )
    assert machine.wanted("model").id == ONE
    assert machine.wanted("chat").id == POD


def test_version_1_has_a_folder_for_each_controller(machine, tmp_path):
    """The one of version 2 beside them, as systemd mounts it, holds no figures."""
    for part in ("memory", "cpu", "unified"):
        machine.group(f"{part}/docker/{ONE}")
    mounts = (
        f"41 31 0:38 / {machine.top}/unified rw - cgroup2 cgroup2 rw\n"
        f"35 31 0:32 / {machine.top}/memory rw - cgroup cgroup rw,memory\n"
        f"36 31 0:33 / {machine.top}/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
    )
    found = container_of(ONE, mounts, tmp_path, tmp_path)
    assert {name: (f.version, f.path.parts[-3]) for name, f in found.folders.items()} == {
        "memory": (1, "memory"),
        "cpu": (1, "cpu"),
    }


HOW = "give its id (docker inspect --format '{{.Id}}' NAME)"


def test_what_is_not_found_or_not_clear_is_told_with_the_way_out(machine, tmp_path):
    def told(wanted: str, mountinfo: str | None = None) -> str:
        with pytest.raises(SetupError) as fault:
            container_of(wanted, mountinfo or machine.mountinfo, tmp_path, tmp_path)
        return str(fault.value)

    outside = "run pytest on the machine on which it runs, outside of containers"
    assert told("model") == f"--llm-container model: no container is seen here; {outside}"
    assert told("model", "\n") == (
        f"--llm-container model: control groups are not mounted, so no container is seen here; {outside}"
    )
    machine.group(f"docker/{ONE}")
    machine.group(f"docker/{TWO}")
    assert told("model") == (
        f"--llm-container model: of the 2 containers seen here none is called so; is it running? Else {HOW}"
    )
    assert told("111") == told("model").replace("model", "111")
    assert told("111111111111") == (
        f"--llm-container 111111111111: several containers are called so ({ONE}, {TWO}); {HOW}"
    )


def test_the_first_process_of_a_container_is_the_one_that_began_first(machine, child):
    """Those below count too; numbers that mean nothing here, 0 or gone, do not."""
    later = child.tell("spawn import sys; sys.stdin.read()")
    machine.group(f"docker/{ONE}", f"{later}\n0\n")
    machine.group(f"docker/{ONE}/sub", f"{child.pid}\n999999999\n")
    pids = machine.wanted(ONE).pids()
    assert pids == {later, child.pid, 999999999}
    assert first_of(pids) == child.pid
    assert first_of([999999999]) is None
    assert first_of([os.getpid()]) == os.getpid()

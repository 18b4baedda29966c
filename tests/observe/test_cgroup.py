"""What a control group tells, in both versions, in folders made by hand and of this very process."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.observe.cgroup import ControlGroup, counts_in, group_of, has_quota, limit_in
from pytest_llmserve.observe.cgroup_paths import Folder

MB = 1_000_000
NO_LIMIT_V1 = "9223372036854771712\n"


def test_counts_are_read_by_name():
    """As memory.events, memory.oom_control and cpu.stat write them; what is no number is left out."""
    events = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"
    assert counts_in(events)["oom_kill"] == 2
    assert counts_in("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")["oom_kill"] == 1
    assert counts_in("nr_periods 5\nthrottled_time 81\nburst x\n\n") == {
        "nr_periods": 5,
        "throttled_time": 81,
    }


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("536870912\n", 536870912),
        ("max\n", None),
        (NO_LIMIT_V1, None),
        ("9223372036854710272\n", None),
        ("", None),
    ],
)
def test_no_limit_is_told_in_several_ways(text, limit):
    """The last of them on machines with pages of 64 KB."""
    assert limit_in(text) == limit


@pytest.mark.parametrize(
    ("text", "limited"),
    [("max 100000\n", False), ("50000 100000\n", True), ("-1\n", False), ("50000\n", True), ("", False)],
)
def test_a_quota_of_cpu(text, limited):
    assert has_quota(text) is limited


def put(folder: Path, **files: str) -> None:
    """Files of a group: `memory_current="5"` is memory.current."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(text)


def folder(top: Path, group: str, version: int) -> Folder:
    return Folder(path=top / group, top=top, version=version)


def unified(top: Path) -> ControlGroup:
    return ControlGroup("pid 12", folder(top, "a/b", 2), folder(top, "a/b", 2))


def test_all_figures_of_version_2(tmp_path):
    """The smallest limit on the way up counts; CPU is waited for where it is limited, here one above."""
    put(tmp_path / "a", memory_max="800000000\n", cpu_max="50000 100000\n", cpu_stat="throttled_usec 3000\n")
    put(
        tmp_path / "a/b",
        memory_current="600000000\n",
        memory_max="900000000\n",
        memory_events="max 4\noom_kill 2\n",
        cpu_max="max 100000\n",
        cpu_stat="throttled_usec 0\n",
    )
    group = unified(tmp_path)
    assert group.read(True) == {
        "cgroup_bytes": 600 * MB,
        "cgroup_limit_bytes": 800 * MB,
        "oom_kills": 2,
        "throttled_ns": 3_000_000,
    }
    assert (group.missing, group.absent) == (None, {})


def test_all_figures_of_version_1(tmp_path):
    """Where each controller has a hierarchy of its own."""
    memory, cpu = tmp_path / "memory", tmp_path / "cpu"
    put(memory, memory_limit_in_bytes=NO_LIMIT_V1)
    put(
        memory / "a",
        memory_usage_in_bytes="600000000\n",
        memory_limit_in_bytes="700000000\n",
        memory_oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    )
    put(cpu / "b", cpu_cfs_quota_us="-1\n", cpu_stat="nr_periods 9\nnr_throttled 2\nthrottled_time 4321\n")
    group = ControlGroup("pid 12", folder(memory, "a", 1), folder(cpu, "b", 1))
    assert group.read(True) == {
        "cgroup_bytes": 600 * MB,
        "cgroup_limit_bytes": 700 * MB,
        "oom_kills": 1,
        "throttled_ns": 4321,
    }


def test_what_a_group_does_not_tell_is_left_out_with_its_reason(tmp_path):
    """Never 0: a controller that is off counts nothing."""
    put(tmp_path / "a/b", memory_current="5\n", memory_max="max\n")
    group = unified(tmp_path)
    assert group.read(True) == {"cgroup_bytes": 5}
    assert group.absent == {
        "cgroup_limit_mb": "the control group of pid 12 has no memory limit",
        "oom_kills": (
            "the count of processes killed in the control group of pid 12 is not available:"
            " this kernel keeps none"
        ),
        "throttled_s": (
            "the time that the control group of pid 12 waits for CPU is not available,"
            " because the CPU controller is not on for it"
        ),
    }
    put(tmp_path / "c", cpu_stat="throttled_usec 7\n")
    other = ControlGroup("pid 12", folder(tmp_path, "c", 2), folder(tmp_path, "c", 2))
    assert other.absent["cgroup_mb"] == (
        "the memory of the control group of pid 12 is not available,"
        " because the memory controller is not on for it"
    )


def test_a_group_without_figures_says_so(tmp_path):
    put(tmp_path / "a/b")
    assert unified(tmp_path).missing == (
        f"the control group of pid 12 is not available, because there are no figures in {tmp_path}/a/b"
    )
    assert ControlGroup("pid 12", None, None).missing == (
        "the control group of pid 12 is not available, because no hierarchy of control groups"
        " that holds it is mounted here"
    )


def test_a_group_is_read_after_its_processes_until_it_is_removed(tmp_path):
    """The count of kills is told after the kill: /proc/PID/cgroup is gone with the process by then."""
    proc, top = tmp_path / "proc", tmp_path / "cgroup"
    put(proc / "12")
    (proc / "12/cgroup").write_text("0::/a\n")
    put(proc / "self")
    (proc / "self/mountinfo").write_text(f"30 23 0:26 / {top} rw - cgroup2 cgroup2 rw\n")
    put(top / "a", memory_current="5\n", memory_events="oom_kill 0\n")
    group = group_of(12, proc)
    shutil.rmtree(proc)
    put(top / "a", memory_events="oom_kill 1\n")
    assert group.read(False)["oom_kills"] == 1
    shutil.rmtree(top)
    with pytest.raises(ProbeLost, match=r"^the control group of pid 12 was removed with its last process$"):
        group.read(False)
    assert group_of(12, proc).missing == (
        f"the control group of pid 12 is not available, because {proc}/12/cgroup cannot be read:"
        " No such file or directory"
    )


@pytest.mark.skipif(not Path("/proc/self/cgroup").exists(), reason="this system has no control groups")
def test_the_group_of_this_very_process():
    """Whatever this machine has: figures that can be true, or a reason."""
    group = group_of(os.getpid())
    if group.missing is not None:
        assert group.missing.startswith(f"the control group of pid {os.getpid()} is not available, because ")
        return
    told = group.read(True)
    assert told or group.absent
    assert all(value >= 0 for value in told.values())
    if "cgroup_bytes" in told:
        assert told["cgroup_bytes"] > 1 * MB

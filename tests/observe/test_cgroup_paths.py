"""Where a control group lies, from what Linux writes on machines of all kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_llmserve.observe.cgroup_paths import Folder, folder_of, groups_in, mounts_in

UNIFIED = (
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
)
SPLIT = (
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
)
IN_DOCKER_1 = "35 31 0:32 /docker/0a1b /sys/fs/cgroup/memory ro master:17 - cgroup cgroup rw,memory\n"
SPACED = r"30 23 0:26 / /mnt/my\040groups rw - cgroup2 cgroup2 rw" + "\n"
LEGACY = "9:name=systemd:/user.slice\n4:memory:/api/job 7\n2:cpu,cpuacct:/api\n0::/user.slice\n"


def folder(path: str, top: str, version: int) -> Folder:
    return Folder(path=Path(path), top=Path(top), version=version)


@pytest.mark.parametrize(
    ("controller", "cgroup", "mountinfo", "found"),
    [
        (
            "memory",
            "0::/user.slice/session-2.scope\n",
            UNIFIED,
            folder("/sys/fs/cgroup/user.slice/session-2.scope", "/sys/fs/cgroup", 2),
        ),
        ("memory", "0::/\n", UNIFIED, folder("/sys/fs/cgroup", "/sys/fs/cgroup", 2)),
        (
            "memory",
            LEGACY,
            SPLIT,
            folder("/sys/fs/cgroup/memory/api/job 7", "/sys/fs/cgroup/memory", 1),
        ),
        ("cpu", LEGACY, SPLIT, folder("/sys/fs/cgroup/cpu,cpuacct/api", "/sys/fs/cgroup/cpu,cpuacct", 1)),
        (
            "memory",
            "4:memory:/docker/0a1b/sub\n",
            IN_DOCKER_1,
            folder("/sys/fs/cgroup/memory/sub", "/sys/fs/cgroup/memory", 1),
        ),
        ("memory", "4:memory:/docker/0a1bc\n", IN_DOCKER_1, None),
        ("memory", "0::/../other\n", UNIFIED, None),
        ("memory", "0::/a\n", SPACED, folder("/mnt/my groups/a", "/mnt/my groups", 2)),
        ("memory", "0::/a:b\n", UNIFIED, folder("/sys/fs/cgroup/a:b", "/sys/fs/cgroup", 2)),
        ("memory", "", UNIFIED, None),
        ("memory", "0::/a\n", "", None),
        ("memory", "0::/a\n", "35 31 - cgroup\n", None),
    ],
    ids=[
        "version 2",
        "root of a container's namespace",
        "hybrid",
        "two controllers in one",
        "version 1 in a container",
        "another group whose name begins alike",
        "outside the namespace",
        "escaped mount point",
        "colon in a name",
        "no group",
        "nothing mounted",
        "a line cut short",
    ],
)
def test_the_folder_of_a_controller(controller, cgroup, mountinfo, found):
    assert folder_of(controller, groups_in(cgroup), mounts_in(mountinfo)) == found


def test_a_group_lies_in_those_above_it_up_to_what_is_mounted():
    upwards = list(folder("/sys/fs/cgroup/a/b", "/sys/fs/cgroup", 2).upwards)
    assert upwards == [Path("/sys/fs/cgroup/a/b"), Path("/sys/fs/cgroup/a"), Path("/sys/fs/cgroup")]

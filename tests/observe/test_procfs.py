"""What Linux's /proc tells, from literals and from real processes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.observe import family as family_module
from pytest_llmserve.observe import procfs
from pytest_llmserve.observe.family import Family, descendants, parse_stat
from pytest_llmserve.observe.memory import MemoryReader, memory_change, take_baseline
from pytest_llmserve.observe.process_tree import ProcessTree
from pytest_llmserve.observe.procfs import ProcfsTree, parse_rollup

linux = pytest.mark.skipif(not psutil.LINUX, reason="only Linux has this /proc")
pytestmark = linux

STAT = (
    b"4711 (a) S (b\n) R 42 4711 4711 0 -1 4194304 913 0 7 0 150 50 30 20 20 0 9 0 8123456 123456789 2500"
    b" 18446744073709551615 1 1 0 0 0 0 0 16781312 2 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
)
ROLLUP = """55ba9919a000-7fff82ff0000 ---p 00000000 00:00 0                          [rollup]
Rss:                1000 kB
Pss:                 400 kB
Pss_Dirty:           260 kB
Pss_Anon:            200 kB
Pss_File:            140 kB
Pss_Shmem:            80 kB
Shared_Clean:        500 kB
Shared_Dirty:        120 kB
Private_Clean:        40 kB
Private_Dirty:       200 kB
Private_Hugetlb:      60 kB
Swap:                 30 kB
SwapPss:              30 kB
"""


def test_a_process_is_parsed_whatever_its_name():
    stat = parse_stat(STAT, tick_s=0.01)
    assert (stat.ended, stat.parent, stat.started, stat.threads, stat.rss_pages) == (
        False, 42, 8123456, 9, 2500
    )  # fmt: skip
    assert (stat.cpu.own_s, stat.cpu.waited_s) == (2.0, 0.5)
    assert parse_stat(STAT.replace(b" R 42", b" Z 42"), tick_s=0.01).ended


def test_unique_shared_and_swapped_memory_are_told_apart():
    """No file backs 340 kB. Of the 260 that were written nobody else has 200."""
    rollup = parse_rollup(ROLLUP.encode())
    kilobytes = [
        size // 1024
        for size in (
            rollup.uss_bytes,
            rollup.pss_bytes,
            rollup.anon_bytes,
            rollup.shared_bytes,
            rollup.swap_bytes,
        )
    ]
    assert kilobytes == [300, 400, 340, 60, 30]


@pytest.mark.parametrize(
    ("without", "kilobytes"),
    [("Pss_Dirty:", 80), ("Pss_", None)],
    ids=["before Linux 6.0", "before Linux 5.4"],
)
def test_an_older_kernel_tells_shared_memory_otherwise_or_not_at_all(without, kilobytes):
    text = "".join(line for line in ROLLUP.splitlines(keepends=True) if not line.startswith(without))
    rollup = parse_rollup(text.encode())
    assert rollup.shared_bytes == (None if kilobytes is None else kilobytes * 1024)
    assert (rollup.anon_bytes is None) is (kilobytes is None)


@pytest.mark.parametrize(
    ("born", "found"),
    [
        ({7: (1, 50), 8: (7, 60), 9: (8, 70), 3: (1, 10)}, [7, 8, 9]),
        ({7: (1, 50), 8: (7, 40)}, [7]),
        ({3: (1, 10)}, []),
    ],
    ids=["children's children", "a child older than its parent is another's", "gone"],
)
def test_a_family_is_found_from_who_is_whose_child(born, found):
    assert descendants(7, born) == found


class Proc:
    """A process file system of plain files."""

    def __init__(self, root):
        self.root = root
        (root / "self").mkdir()
        (root / "self" / "smaps_rollup").write_text(ROLLUP)
        self.newest = 0

    def put(self, name, **files):
        folder = self.root / str(name)
        (folder / "fd").mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (folder / file).write_text(text)

    def start(self, pid, parent=1, started=100, state="S", swap_kb=0):
        """A process, or one that has changed."""
        words = ["0"] * 50
        words[0], words[1], words[17], words[19], words[21] = state, str(parent), "1", str(started), "10"
        rollup = ROLLUP.replace("Swap:                 30", f"Swap: {swap_kb}")
        self.put(pid, stat=f"{pid} (x) {' '.join(words)}", smaps_rollup=rollup)
        self.tell(pid)

    def tell(self, pid):
        self.newest = max(self.newest, pid)
        (self.root / "loadavg").write_text(f"0.01 0.02 0.00 1/100 {self.newest}\n")

    def end(self, pid):
        shutil.rmtree(self.root / str(pid))


@pytest.fixture
def proc(tmp_path):
    made = Proc(tmp_path)
    made.start(7)
    return made


def family_pids(family, at_once=True):
    return sorted(family.stats(at_once))


@pytest.fixture
def listed(monkeypatch):
    """What has been listed so far."""
    found = []
    listdir = family_module.os.listdir
    monkeypatch.setattr(family_module.os, "listdir", lambda path: found.append(path) or listdir(path))
    return found


def test_nothing_is_listed_while_nobody_is_born(proc, listed):
    """A scan of all processes at each reading would be dear on a large host."""
    now = [0]
    family = Family(7, str(proc.root), clock=lambda: now[0], cpu_s=lambda: 0.0)
    assert family_pids(family) == [7]
    assert family_pids(family) == [7]
    assert len(listed) == 1
    proc.start(8, parent=7)
    assert family_pids(family) == [7, 8]
    assert len(listed) == 2
    now[0] = 2_000_000_000
    assert family_pids(family) == [7, 8]
    assert len(listed) == 3


def test_a_dear_list_is_not_made_at_each_birth(proc, listed):
    """0.5 ms each: once a second, where a full reading does not ask for it at once."""
    now, cpu_s = [0], iter(n * 0.0005 for n in range(100))
    family = Family(7, str(proc.root), clock=lambda: now[0], cpu_s=lambda: next(cpu_s))
    assert family_pids(family) == [7]
    proc.start(8, parent=7)
    now[0] = 999_000_000
    assert family_pids(family, at_once=False) == [7]
    assert family.pids() == {7}
    now[0] = 1_001_000_000
    assert family_pids(family, at_once=False) == [7, 8]
    proc.start(9, parent=7)
    assert family_pids(family, at_once=False) == [7, 8]
    assert family_pids(family, at_once=True) == [7, 8, 9]
    assert len(listed) == 3


def test_a_child_is_found_where_the_system_does_not_tell_of_births(proc):
    now = [0]
    family = Family(7, str(proc.root), clock=lambda: now[0])
    assert family_pids(family) == [7]
    proc.start(8, parent=7)
    (proc.root / "loadavg").write_text("0.00 0.00 0.00 0/0 7\n")
    assert family_pids(family) == [7]
    now[0] = 2_000_000_000
    assert family_pids(family) == [7, 8]


def test_who_is_adopted_by_another_leaves_the_family(proc):
    proc.start(8, parent=7)
    proc.start(9, parent=8)
    family = Family(7, str(proc.root))
    assert family_pids(family) == [7, 8, 9]
    proc.end(8)
    proc.start(9, parent=1)
    assert family_pids(family) == [7]
    assert family.pids() == {7}


def test_a_pid_that_was_given_to_another_is_not_the_server(proc):
    tree = ProcfsTree(7, str(proc.root))
    proc.end(7)
    proc.start(7, started=200)
    with pytest.raises(ProbeLost, match=r"^the server's process 7 ended$"):
        tree.readings(full=False)


def test_memory_that_is_swapped_out_is_still_held(proc):
    """500 MB of swap more, and nothing less: memory is both."""
    reader = MemoryReader(ProcessTree(7, reader=ProcfsTree(7, str(proc.root))))
    before = take_baseline(reader, sleep=lambda seconds: None)
    assert (reader.measure, set(before)) == ("anonymous + shared + swap", {340 * 1024})
    proc.start(7, swap_kb=500_000)
    change = memory_change(reader, before, 0, sleep=lambda seconds: None, clock=lambda: 0)
    assert (change.measure, change.retained_bytes) == ("anonymous + shared + swap", 500_000 * 1024)


def test_what_may_not_be_read_is_not_guessed(proc, monkeypatch):
    """Another user's process: its memory maps and its open files are refused."""
    tree = ProcessTree(7, reader=ProcfsTree(7, str(proc.root)))

    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(procfs, "read_bytes", refuse)
    listdir = procfs.os.listdir
    monkeypatch.setattr(
        procfs.os, "listdir", lambda path: refuse(path) if path.endswith("fd") else listdir(path)
    )
    told = tree.read(full=True)
    figures = ("uss_bytes", "pss_bytes", "held_bytes", "swap_bytes", "open_files")
    assert [told[figure] for figure in figures] == [None] * 5
    assert (told["processes"], told["threads"], told["rss_bytes"]) == (1, 1, 10 * 4096)
    assert tree.memory_bytes(full=True) is None


def test_a_server_that_is_hidden_is_a_lost_probe(proc, monkeypatch):
    reader = ProcfsTree(7, str(proc.root))
    read_bytes = family_module.read_bytes

    def refuse(path):
        if path.endswith("stat"):
            raise PermissionError(13, "Permission denied", path)
        return read_bytes(path)

    monkeypatch.setattr(family_module, "read_bytes", refuse)
    with pytest.raises(ProbeLost) as caught:
        reader.readings(full=False)
    assert str(caught.value) == "the server's process 7 may not be read: run as its user or root"


def test_a_process_that_ends_while_it_is_read_is_told(proc):
    proc.start(8, parent=7)
    (proc.root / "8" / "smaps_rollup").unlink()
    readings, whole = ProcfsTree(7, str(proc.root)).readings(full=True)
    assert ([reading.key[0] for reading in readings], whole) == ([7], False)


def test_a_real_process_is_told_as_psutil_tells_it(child):
    (reading,), _ = ProcfsTree(child.pid).readings(full=True)
    other = psutil.Process(child.pid)
    memory = other.memory_full_info()
    assert reading.open_files == other.num_fds()
    assert reading.threads == other.num_threads()
    assert reading.rss_bytes == pytest.approx(memory.rss, rel=0.05)
    assert (reading.uss_bytes, reading.pss_bytes) == (
        pytest.approx(memory.uss, rel=0.05),
        pytest.approx(memory.pss, rel=0.05),
    )


SHARER = (
    "import mmap, os, sys\n"
    "size = 40_000_000\n"
    "held = mmap.mmap(-1, size)\n"
    "child = os.fork()\n"
    "sys.stdin.readline() if child else None\n"
    "held.write(b'x' * size)\n"
    "print('mapped', flush=True)\n"
    "sys.stdin.readline() if child else __import__('time').sleep(60)\n"
    "os.kill(child, 9) if child else None\n"
    "os.wait() if child else None\n"
)


def test_memory_that_two_processes_share_counts_once_and_libraries_do_not():
    """40 MB mapped by both: no part of USS, once in shared memory, twice in RSS."""
    with subprocess.Popen(
        [sys.executable, "-c", SHARER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "mapped\n"
            tree = ProcessTree(process.pid)
            alone = tree.read(full=True)
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "mapped\n"
            shared = tree.read(full=True)
        finally:
            process.stdin.close()
            process.wait(timeout=20)
    assert shared["processes"] == 2
    assert alone["shared_bytes"] < 15e6
    assert 38e6 < shared["shared_bytes"] - alone["shared_bytes"] < 42e6
    assert -42e6 < shared["uss_bytes"] - alone["uss_bytes"] < -38e6
    assert 38e6 < shared["rss_bytes"] - alone["rss_bytes"] < 45e6
    assert shared["pss_bytes"] < shared["rss_bytes"]
    assert abs(shared["held_bytes"] - alone["held_bytes"]) < 2e6


READER = (
    "import mmap, sys\n"
    "sys.stdin.readline()\n"
    "with open(sys.argv[1], 'rb') as file:\n"
    "    held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\n"
    "print(len(held[::4096]), flush=True)\n"
    "sys.stdin.readline()\n"
)


def on_tmpfs(path):
    mounts = {Path(part.mountpoint): part.fstype for part in psutil.disk_partitions(all=True)}
    return next((mounts[parent] for parent in path.parents if parent in mounts), "") == "tmpfs"


def test_a_file_that_is_mapped_is_not_held(tmp_path):
    """40 MB of a model file: in USS until another program maps it too, and never kept from the system."""
    if on_tmpfs(tmp_path):
        pytest.skip("a file in memory is held")
    path = tmp_path / "model"
    path.write_bytes(bytes(40_000_000))
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            tree = ProcessTree(process.pid)
            before = tree.read(full=True)
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "9766\n"
            mapped = tree.read(full=True)
        finally:
            process.stdin.close()
            process.wait(timeout=20)
    assert mapped["uss_bytes"] - before["uss_bytes"] > 35e6
    assert abs(mapped["held_bytes"] - before["held_bytes"]) < 5e6

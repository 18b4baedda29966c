"""A folder of kept runs: found by test and number, replaced together or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.reports import kept as kept_module
from pytest_llmserve.reports.kept import KeptRuns, file_stem, is_name

NODEID = "tests/test_a.py::test_it"


def run(requests):
    return Measurement(name="x", plan={"requests": requests}, series={"e2e_ms": [1.0]})


@pytest.fixture
def kept(tmp_path):
    return KeptRuns(tmp_path / "runs" / "main", "main", "run once with --llm-save main")


def plans(kept, nodeid=NODEID):
    """Requests of the runs that are found, up to the first that is missing."""
    found = []
    while (one := kept.load(nodeid, len(found) + 1)) is not None:
        found.append(one.plan["requests"])
    return found


def test_runs_are_found_again_by_test_and_number(kept):
    """Under the name that was asked for, whatever they were kept as."""
    assert kept.save(NODEID, [run(1), run(2)]) == 0
    assert plans(kept) == [1, 2]
    assert kept.load(NODEID, 1).name == "main"
    assert kept.load("tests/test_a.py::test_other", 1) is None


def test_a_test_is_replaced_as_a_whole(kept):
    """Two runs where there were three: the third is gone, other tests' are not."""
    kept.save(NODEID, [run(1), run(2), run(3)])
    kept.save(NODEID + "[a]", [run(9)])
    assert kept.save(NODEID, [run(4), run(5)]) == 3
    assert plans(kept) == [4, 5]
    assert plans(kept, NODEID + "[a]") == [9]
    assert (kept.count(NODEID), kept.count()) == (2, 3)


def test_what_was_kept_stays_when_the_new_cannot_be_written(kept, monkeypatch):
    """A disk that is full at the second run: both old ones are there, and nothing else."""
    kept.save(NODEID, [run(1), run(2)])
    real = kept_module.write

    def full(measurement, path, nodeid, number):
        if number == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return real(measurement, path, nodeid, number)

    monkeypatch.setattr(kept_module, "write", full)
    with pytest.raises(OSError, match="No space left"):
        kept.save(NODEID, [run(3), run(4)])
    assert plans(kept) == [1, 2]
    assert len(list(kept.folder.iterdir())) == 2


def test_what_was_kept_stays_when_the_new_cannot_be_put_in_place(kept, monkeypatch):
    """The second new file cannot be renamed: no mix of old and new, and nothing half done is left."""
    kept.save(NODEID, [run(1), run(2)])
    real = Path.replace

    def busy(path, target):
        if target.name.endswith("-2.json") and ".old" not in path.name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, target)

    monkeypatch.setattr(Path, "replace", busy)
    with pytest.raises(OSError, match="Permission denied"):
        kept.save(NODEID, [run(3), run(4)])
    assert plans(kept) == [1, 2]
    assert len(list(kept.folder.iterdir())) == 2


def test_a_folder_in_the_place_of_a_file_leaves_nothing_half_done(kept):
    """Of the other runs neither."""
    (kept.folder / f"{file_stem(NODEID)}-1.json" / "x").mkdir(parents=True)
    before = sorted(kept.folder.rglob("*"))
    with pytest.raises(OSError, match="directory"):
        kept.save(NODEID, [run(3), run(4)])
    assert sorted(kept.folder.rglob("*")) == before


def test_what_a_killed_session_left_is_removed_by_the_next(kept):
    """Of this test alone: another one's may be under way in another process."""
    kept.save(NODEID, [run(1)])
    stems = [file_stem(NODEID), file_stem(NODEID + "[a]")]
    stale, other = (kept.folder / f"{stem}-2.json.4711.part" for stem in stems)
    for path in (stale, other):
        path.write_text("half")
    kept.save(NODEID, [run(2)])
    assert other.exists()
    assert not stale.exists()
    assert plans(kept) == [2]


def test_nothing_is_kept_where_nothing_was(kept):
    """A folder that is not there is an empty one."""
    assert (kept.count(), kept.count(NODEID), kept.load(NODEID, 1)) == (0, 0, None)


@pytest.mark.parametrize(
    "nodeid",
    [
        "tests/test_a.py::test_it[a/b]",
        "tests/test_a.py::test_it[../../../etc/passwd]",
        "tests/test_a.py::test_it[" + "x" * 5000 + "]",
        'tests/test_a.py::test_it[\u00e9\u4e2d\ud800 \n*?:"<>|]',
        "..",
    ],
)
def test_any_test_has_a_file_of_a_plain_name(nodeid, kept):
    """Inside the folder, short, of characters that every file system has."""
    stem = file_stem(nodeid)
    assert len(stem) < 120
    assert set(stem) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert not stem.startswith(".")
    kept.save(nodeid, [run(1)])
    assert plans(kept, nodeid) == [1]
    assert [path.parent for path in Path(kept.folder).iterdir()] == [kept.folder]


def test_tests_that_look_alike_have_files_of_their_own(kept):
    """Where only a character differs that a file name has not, or only their length."""
    alike = ["t.py::t[a/b]", "t.py::t[a_b]", "t.py::t[a:b]", "t.py::T[a/b]", "t.py::" + "x" * 300]
    alike.append(alike[-1] + "x")
    assert len({file_stem(nodeid) for nodeid in alike}) == len(alike)


@pytest.mark.parametrize("name", ["main", "v1.2-rc_3", "0", "a" * 100])
def test_names_that_can_be_a_folder(name):
    """Letters, digits and marks."""
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a\\b", "/etc", "-x", ".hidden", "a b", "a\n", "a" * 101]
)
def test_names_that_could_leave_the_folder(name):
    """Or be taken for an option, or hidden."""
    assert not is_name(name)


def test_all_that_is_kept_is_read_back(kept):
    """By test and number, under the name that was asked for; a damaged file is refused by its path."""
    kept.save("b.py::test_b", [run(1)])
    kept.save(NODEID, [run(2), run(3)])
    found = kept.everything()
    assert [(one.nodeid, one.run) for one in found] == [("b.py::test_b", 1), (NODEID, 1), (NODEID, 2)]
    assert [one.measurement.plan["requests"] for one in found] == [1, 2, 3]
    assert {one.measurement.name for one in found} == {"main"}
    path = kept.folder / f"{file_stem(NODEID)}-2.json"
    path.write_text("{")
    with pytest.raises(SetupError) as error:
        kept.everything()
    assert str(error.value).startswith(f"{path} is damaged (")

"""--llm-container: a whole session that watches a container, and one in which there is none."""

from __future__ import annotations

from pytest_llmserve.measure import contained
from pytest_llmserve.observe.cgroup_paths import Folder
from pytest_llmserve.observe.container import Container, container_of

LOAD = """
def test_it(llm_load):
    llm_load("Say hi.", users=2, requests=10)
"""


def test_the_container_is_watched_and_one_that_is_not_there_is_told(suite, quick, tmp_path, monkeypatch):
    """By the ini key its group and first process; the option wins; the test then fails in its words."""
    (tmp_path / "cgroup.procs").write_text(f"{quick.pid}\n")
    (tmp_path / "memory.current").write_text("5000000\n")
    (tmp_path / "memory.events").write_text("oom_kill 3\n")
    folder = Folder(path=tmp_path, top=tmp_path, version=2)
    model = Container(id="a" * 64, folders={"memory": folder}, named="model")
    looked = lambda named: model if named == "model" else container_of(named, mountinfo="\n")  # noqa: E731
    monkeypatch.setattr(contained, "container_of", looked)
    suite.pytester.makeini("[pytest]\nllm_container = model")
    run = suite(LOAD, "--llm-endpoint", quick.url)
    assert run.exit == 0, run.text
    test = run.tests[0]
    assert test["server"]["pid"] == quick.pid
    figures = (test["resources"]["cgroup_mb_peak"], test["resources"]["rss_mb_peak"] > 1)
    assert figures == (5.0, True)
    other = suite(LOAD, "--llm-endpoint", quick.url, "--llm-container", "other")
    assert other.exit == 1
    assert (
        "--llm-container other: control groups are not mounted, so no container is seen here;"
        " run pytest on the machine on which it runs, outside of containers"
    ) in other.text

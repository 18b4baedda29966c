"""conftest_examples/ci: each recipe is of the right form, and its shell commands do what they say."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "conftest_examples" / "ci"
OTHERS = ("PYTEST_", "LLM_", "GITHUB_", "CI", "CHANGE_")
"""Variables that begin so are not those of the runner that is played here."""
LIMIT_S = 120
REPORTS = {"junit.xml", "llm.html", "llm.md", "llm.json", "llm.jsonl"}
ON_REQUEST = "--llm-scale=0.1"
ON_MAIN = "--llm-strict --llm-save=main"

SUITE = """
import pytest

@pytest.mark.load(users=2, requests=400)
@pytest.mark.error_rate(max=0.3)
@pytest.mark.no_regression(percent=400)
def test_answers(llm_load):
    llm_load("Say hi.", max_tokens=2)
"""


def yaml(name):
    """A recipe as plain data."""
    return YAML(typ="safe").load((RECIPES / name).read_text())


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("github-actions.yml", ["vendor.github-workflows"]),
        ("gitlab-ci.yml", ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"]),
    ],
)
def test_the_form_is_that_of_its_schema(name, schema):
    """The schemas come with check-jsonschema: nothing is asked of the network."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", *schema, RECIPES / name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stdout


DIRECTIVES = {
    "pipeline": {"agent", "options", "triggers", "environment", "stages", "post"},
    "agent": {"docker"},
    "docker": {"image"},
    "options": {"timeout", "buildDiscarder", "disableConcurrentBuilds", "copyArtifactPermission"},
    "triggers": {"cron"},
    "stages": {"stage"},
    "stage": {"when", "steps"},
    "when": {"changeRequest"},
    "steps": {"sh", "catchError"},
    "catchError": {"copyArtifacts"},
    "post": {"always"},
    "always": {"junit", "archiveArtifacts"},
}
"""Of the Jenkins Handbook, Pipeline Syntax: which may stand in which, as far as the recipe has them."""


@dataclass
class Block:
    """A directive with what stands in its braces."""

    name: str
    within: list[Block]


OPENS = r"(?:\s*\([^(){}]*\))?\s*\{"


def bare(text):
    """Groovy without comments, and with each string emptied."""
    strings = r"'''.*?'''|\"\"\".*?\"\"\"|'(?:[^'\\\n]|\\.)*'|\"(?:\$\{[^}]*\}|[^\"\\\n]|\\.)*\""
    comments = r"//[^\n]*|/\*.*?\*/"
    return re.sub(f"({strings})|{comments}", lambda m: "''" if m[1] else "", text, flags=re.DOTALL)


def blocks(text):
    """The directives of a declarative pipeline, nested as they are."""
    root = Block("", [])
    stack, depth = [root], 0
    for word in re.finditer(rf"(\w+){OPENS}|^\s*(\w+)\b(?!{OPENS})|[{{}}()]", bare(text), re.M):
        if word[1]:
            assert depth == 0, word[0]
            block = Block(word[1], [])
            stack[-1].within.append(block)
            stack.append(block)
        elif word[2] and depth == 0:
            stack[-1].within.append(Block(word[2], []))
        elif word[0] == "}":
            assert depth == 0
            stack.pop()
        depth += {"(": 1, ")": -1}.get(word[0], 0)
        assert stack
        assert depth >= 0
    assert stack == [root]
    assert depth == 0
    return root.within


def unknown(block, name):
    """Directives that may not stand where they do."""
    if name == "environment":
        return []
    own = [f"{each.name} in {name}" for each in block if each.name not in DIRECTIVES.get(name, set())]
    return own + [fault for each in block if each.within for fault in unknown(each.within, each.name)]


def test_the_jenkinsfile_is_a_declarative_pipeline():
    """Braces, brackets and quotes are closed; each directive stands where it may."""
    text = (RECIPES / "Jenkinsfile").read_text()
    (pipeline,) = blocks(text)
    assert pipeline.name == "pipeline"
    assert unknown(pipeline.within, "pipeline") == []
    assert {"agent", "stages"} <= {each.name for each in pipeline.within}
    assert len(re.findall(r"\bstage\('", text)) == 3


@pytest.mark.parametrize(
    "damage", [("    stages {", "    stage {"), ("        }\n    }\n}", "        }\n    }\n"), ("'''", "''")]
)
def test_a_damaged_jenkinsfile_is_seen(damage):
    """The test above can fail."""
    text = (RECIPES / "Jenkinsfile").read_text().replace(*damage)
    assert not is_sound(text)


def is_sound(text):
    """What the test above asserts, and that no step of the shell was lost."""
    try:
        (pipeline,) = blocks(text)
    except (AssertionError, ValueError):
        return False
    return unknown(pipeline.within, "pipeline") == [] and len(scripts(text)) == 2


def scripts(text):
    """What a Jenkinsfile gives to `sh`."""
    return re.findall(r"\bsh '''\n(.*?)'''", text, re.DOTALL)


def github():
    """Steps of the workflow: its commands, with the variables that they see."""
    job = yaml("github-actions.yml")["jobs"]["acceptance"]
    return [step["run"] for step in job["steps"] if "run" in step]


def gitlab(job):
    """Commands of a job, before_script first."""
    recipe = yaml("gitlab-ci.yml")
    return [*recipe[".acceptance"]["before_script"], *recipe[job]["script"]]


FAKES = {
    # Was asked to install what the recipe says; installs nothing.
    "pip": '[ "$*" = "install -r requirements.txt" ] || exit 9',
    # An environment of its own is not made: this one has all.
    "python": '[ "$1 $2" != "-m venv" ] && exec "$PYTHON" "$@"; mkdir -p "$3/bin" && : > "$3/bin/activate"',
    # `gh run list` tells the last run of main; `gh run download` puts what it kept where it is wanted.
    "gh": """case "$1 $2" in
    "run list") [ -z "$NO_WORKFLOW" ] && echo 7;;
    "run download") cp -r "$KEPT" .llmserve;;
    *) exit 9;;
esac""",
    "curl": 'cd "$KEPT/.." && exec "$PYTHON" -m zipfile -c ../kept.zip .llmserve',
}


@pytest.fixture
def project(tmp_path):
    """A user's repository with one test, and the tools of a runner; runs a recipe's commands in it."""
    folder = tmp_path / "project"
    (folder / "tests" / "acceptance").mkdir(parents=True)
    (folder / "tests" / "acceptance" / "test_server.py").write_text(SUITE)
    (folder / "requirements.txt").write_text("pytest-llmserve\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, script in FAKES.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(stat.S_IRWXU)

    def run(commands, shell, **env):
        path = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
        kept = {k: v for k, v in os.environ.items() if not k.startswith(OTHERS)}
        plugins = "-p no:cacheprovider -p no:benchmark -p no:html -p no:metadata -p no:allure_pytest"
        own = {"PATH": path, "PYTEST_ADDOPTS": plugins, "CI": "true", "PYTHON": sys.executable}
        own["KEPT"] = str(folder / "of-main" / ".llmserve")
        return subprocess.run(
            [*shell, "\n".join(commands)],
            cwd=folder,
            env=kept | own | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    run.folder = folder
    return run


SERVE = "python -m pytest_llmserve.simulator --port {port}"


def check_published(folder, expected=REPORTS):
    """Everything that the recipe publishes is there, and is of one sound test."""
    assert {path.name for path in (folder / "reports").iterdir()} == expected
    report = json.loads((folder / "reports" / "llm.json").read_text())
    assert [test["outcome"] for test in report["tests"]] == ["passed"]
    return report


def keep_aside(folder):
    """What the run on main has kept lies where the fetching step finds it; the workspace is new."""
    (test,) = json.loads((folder / "reports" / "llm.json").read_text())["tests"]
    if test["runs"][0]["generator"]["saturated"]:
        pytest.skip("this machine is too busy for a run that is kept")
    (folder / "of-main").mkdir()
    shutil.move(folder / ".llmserve", folder / "of-main" / ".llmserve")
    shutil.rmtree(folder / "reports")


def check_first(done, folder):
    """Where main has kept nothing yet, a pull request is green, and says that it was not compared."""
    assert done.returncode == 0, done.stdout
    assert "no_regression was not judged: give --llm-compare NAME" in done.stdout
    check_published(folder)
    shutil.rmtree(folder / "reports")


def check_compared(folder):
    """The pull request was judged against main."""
    (test,) = json.loads((folder / "reports" / "llm.json").read_text())["tests"]
    told = [verdict["sentence"] for verdict in test["verdicts"] if verdict["check"] == "no_regression"]
    assert told
    assert not any("no kept run" in sentence for sentence in told)


@pytest.mark.slow
def test_github_actions_keeps_main_and_compares_a_pull_request(project):
    """Its `run` steps. No expression stands in a command: the name of a branch could be one."""
    steps, bash = github(), ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]
    assert not any("${{" in step for step in steps)
    text = (RECIPES / "github-actions.yml").read_text()
    assert all(f"'{options}'" in text for options in (ON_REQUEST, ON_MAIN))
    summary = project.folder.parent / "summary.md"
    known = {"LLM_SERVE": SERVE, "LLM_API_KEY": "", "GITHUB_WORKFLOW": "LLM acceptance"}
    known["GITHUB_STEP_SUMMARY"] = str(summary)
    request = known | {"GITHUB_EVENT_NAME": "pull_request"}
    check_first(project(steps, bash, LLM_OPTIONS=ON_REQUEST, **request), project.folder)
    assert project(steps[1:2], bash, NO_WORKFLOW="1", **request).returncode == 0
    done = project([steps[0], steps[2]], bash, LLM_OPTIONS=ON_MAIN, GITHUB_EVENT_NAME="push", **known)
    assert done.returncode == 0, done.stdout
    check_published(project.folder)
    assert "test_answers" in summary.read_text()
    keep_aside(project.folder)
    done = project(steps, bash, LLM_OPTIONS=ON_REQUEST, **request | {"LLM_API_KEY": "sk-planted-31c7"})
    assert done.returncode in {0, 1}, done.stdout
    check_compared(project.folder)
    assert "sk-planted-31c7" not in done.stdout


@pytest.mark.slow
def test_gitlab_keeps_main_and_compares_a_merge_request(project):
    """before_script and script of the job that starts the server."""
    commands, shell = gitlab("acceptance"), ["bash", "-eo", "pipefail", "-c"]
    rules = yaml("gitlab-ci.yml")["workflow"]["rules"]
    assert [rule["variables"]["LLM_OPTIONS"] for rule in rules] == [ON_REQUEST, ON_MAIN]
    merge = {"CI_MERGE_REQUEST_IID": "7", "ARTIFACTS_TOKEN": "t", "CI_API_V4_URL": "http://127.0.0.1:9"}
    first = project(commands, shell, LLM_SERVE=SERVE, LLM_OPTIONS=ON_REQUEST, **merge)
    check_first(first, project.folder)
    done = project(commands, shell, LLM_SERVE=SERVE, LLM_OPTIONS=ON_MAIN)
    assert done.returncode == 0, done.stdout
    check_published(project.folder)
    keep_aside(project.folder)
    done = project(commands, shell, LLM_SERVE=SERVE, LLM_OPTIONS=ON_REQUEST, **merge)
    assert done.returncode in {0, 1}, done.stdout
    check_compared(project.folder)


def test_gitlab_tests_a_server_that_runs_as_a_service(project, mock_server):
    """The endpoint is in the environment, as the recipe has it."""
    server = mock_server("--ttft-ms", 2, "--itl-ms", 1)
    done = project(
        gitlab("acceptance of the image"), ["bash", "-eo", "pipefail", "-c"], LLM_ENDPOINT=server.url
    )
    assert done.returncode == 0, done.stdout
    check_published(project.folder, {"junit.xml", "llm.html", "llm.json"})
    forgotten = project(gitlab("acceptance of the image"), ["bash", "-eo", "pipefail", "-c"])
    assert forgotten.returncode == 1, forgotten.stdout


@pytest.mark.slow
def test_jenkins_starts_the_server_and_ends_it(project):
    """Each `sh` step, in the shell that Jenkins takes; at another port, which is free here."""
    text = (RECIPES / "Jenkinsfile").read_text()
    assert all(f"'{options}'" in text for options in (ON_REQUEST, ON_MAIN))
    steps = scripts(text)
    for step in steps:
        assert subprocess.run(["bash", "-n", "-c", step], check=False, timeout=LIMIT_S).returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    steps = [step.replace("8000", port) for step in steps]
    done = project([steps[0]], ["sh", "-xe", "-c"])
    assert done.returncode == 0, done.stdout
    first = project([steps[1]], ["sh", "-xe", "-c"], LLM_OPTIONS=ON_REQUEST, CHANGE_ID="3")
    check_first(first, project.folder)
    done = project([steps[1]], ["sh", "-xe", "-c"], LLM_OPTIONS=ON_MAIN)
    assert done.returncode == 0, done.stdout
    check_published(project.folder)
    assert "+ wait" in done.stdout
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)), 1)

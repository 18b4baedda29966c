"""Every example file is produced or run by a test."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from pytest_llmserve.plugin.options import EXPLAIN, OPTIONS

ROOT = Path(__file__).parents[2]

CLAIMS = {
    "docs/**/*.md": "tests/docs/test_docs.py",
    "docs/example-report.json": "tests/reports/test_example_report.py",
    "docs/example-report.md": "tests/reports/test_example_report.py",
    "docs/schema/*.json": "tests/reports/test_schemas.py",
    "conftest_examples/ci/*": "tests/docs/test_ci_recipes.py",
    "conftest_examples/[!c]*/*": "tests/docs/test_examples.py",
    "conftest_examples/conversations/*": "tests/docs/test_examples.py",
}
"""Files -> the test that runs or makes them. Blocks of code within pages: BLOCKS."""

BLOCKS = {
    "python": "docs/test_docs.py::test_python_in_the_documents_runs",
    "py": "strategies/test_openapi_schema.py::test_the_documented_example_finds_a_real_server_well",
    "ini": "docs/test_docs.py::test_ini_in_the_documents_is_accepted",
    "json": "docs/test_claims.py::test_json_in_the_documents_is_json",
    "sh": "docs/test_claims.py::test_commands_in_the_documents_have_options_that_exist",
    "text": "docs/test_readme.py::test_the_failing_build_is_what_pytest_prints",
}
"""Language of a fenced block -> the test that reads it; of texts, which show what is printed, README's."""


def files():
    """Every file in the two folders."""
    found = (path for folder in ("docs", "conftest_examples") for path in (ROOT / folder).rglob("*"))
    return [path for path in found if path.is_file() and "__pycache__" not in path.parts]


def claimed(pattern):
    return {path for path in ROOT.glob(pattern) if path.is_file()}


def test_every_example_file_is_claimed_by_a_test():
    """A new one has to be run or made by a test, which is then named in CLAIMS."""
    every = set().union(*map(claimed, CLAIMS))
    assert [str(path.relative_to(ROOT)) for path in files() if path not in every] == []


@pytest.mark.parametrize(("pattern", "test"), CLAIMS.items())
def test_each_claim_is_of_files_and_of_a_test_that_are_there(pattern, test):
    """The test speaks of the folder, or of the file, that is claimed."""
    assert claimed(pattern)
    folder = next(part for part in reversed(Path(pattern).parts) if "*" not in part)
    told = (ROOT / test).read_text()
    assert folder.removesuffix(Path(folder).suffix) in told or "documents" in told


def test_every_block_of_code_is_read_by_a_test(documents):
    """A language without a test would be an example that nothing checks."""
    found = {language for page in documents for language in re.findall(r"^```(\w+)$", page.text, re.M)}
    assert found == BLOCKS.keys()
    for place in BLOCKS.values():
        file, _, test = place.partition("::")
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), place


def test_json_in_the_documents_is_json(documents):
    """A line each."""
    lines = [line for page in documents for block in page.blocks("json") for line in block.splitlines()]
    assert lines
    for line in lines:
        assert isinstance(json.loads(line), dict), line


def test_commands_in_the_documents_have_options_that_exist(documents):
    """They are of the shell's form, and none has an option of ours that was renamed."""
    known = {EXPLAIN, *(option.flag for option in OPTIONS)}
    blocks = [(page.name, block) for page in documents for block in page.blocks("sh")]
    assert len(blocks) > 10
    for name, block in blocks:
        done = subprocess.run(["bash", "-n", "-c", block], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (name, block, done.stderr)
        assert set(re.findall(r"--llm-[a-z-]+", block)) <= known, (name, block)

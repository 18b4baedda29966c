"""hypothesis finds the profile and the types by the entry point, in a session as users run it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TESTS = """
from hypothesis import example, given, settings, strategies as st
from pytest_llmserve.strategies import (
    HostilePrompt, MalformedBody, SamplingParams, WrongLength, hostile_prompts, oversized_prompts
)

def test_the_profile_is_in_force():
    assert (settings.default.max_examples, settings.default.deadline) == (20, None)

@given(prompt=..., params=..., body=...)
def test_annotations_are_enough(
    llm_endpoint, prompt: HostilePrompt, params: SamplingParams, body: MalformedBody
):
    assert llm_endpoint.generate(prompt, **params).status == 200
    assert llm_endpoint.send(body).status is not None or isinstance(body, WrongLength)

@given(prompt=hostile_prompts(tokens=(10, 1_000)))
@pytest.mark.asyncio(loop_scope="session")
async def test_async(llm_endpoint, prompt):
    assert (await llm_endpoint.agenerate(prompt)).status == 200

@given(n=st.just(1))
@example(n=1)
@example(n=2)
def test_the_first_input_that_does_harm_is_the_only_one_told(llm_endpoint, n):
    assert not llm_endpoint

@given(prompt=oversized_prompts())
def test_a_server_that_fails_on_length(prompt):
    assert len(prompt) < 4097
"""


@pytest.fixture
def entry_point(tmp_path, monkeypatch):
    """This package's entry point for hypothesis, wherever the tests run from."""
    (value,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][
        "hypothesis"
    ].values()
    info = tmp_path / "on_path" / "llmserve_strategies-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llmserve-strategies\nVersion: 0\n")
    (info / "entry_points.txt").write_text(f"[hypothesis]\n_ = {value}\n")
    path = [str(info.parent), str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
    monkeypatch.delenv("HYPOTHESIS_NO_PLUGINS", raising=False)


def test_strategies_and_profile_work_with_the_plugin(suite, quick, entry_point):
    """`--hypothesis-profile=llmserve`: settings, annotations, async tests, a report that names the length."""
    run = suite(TESTS, "--hypothesis-profile=llmserve", "--llm-endpoint", quick.url, apart=True)
    run.assert_outcomes(passed=3, failed=2)
    told = "\n".join(run.failure("test_the_first_input_that_does_harm_is_the_only_one_told"))
    assert told.count("Failing explicit example") == 1
    assert "prompt='a' * 4097," in run.text
    assert "@reproduce_failure(" in run.text
    assert max(map(len, run.result.outlines)) < 1_000


NO_PROFILE = """
import time
from hypothesis import given, settings, strategies as st

def slow():
    time.sleep(0.3)

@settings(max_examples=1)
@given(n=st.none())
def test_lifted(llm_endpoint, n):
    slow()

class TestClass:
    @settings(max_examples=1)
    @given(n=st.none())
    def test_lifted(self, llm_endpoint, n):
        slow()

@settings(max_examples=1, deadline=100)
@given(n=st.none())
def test_of_his_own(llm_endpoint, n):
    slow()

@settings(max_examples=1)
@given(n=st.none())
def test_of_another_kind(n):
    slow()
"""


def test_hypothesis_own_deadline_is_lifted_where_a_server_is_asked(suite, quick):
    """Not one that the author has set, nor that of a test without our fixtures."""
    # In CI hypothesis has a profile without a deadline. Apart: the profile would stay for other tests.
    run = suite(NO_PROFILE, "--hypothesis-profile=default", "--llm-endpoint", quick.url, apart=True)
    run.assert_outcomes(passed=2, failed=2)
    assert "exceeds the deadline of 100.00ms" in run.text
    assert "exceeds the deadline of 200.00ms" in run.text

"""Whether two runs may be compared."""

from __future__ import annotations

import msgspec
import pytest

from pytest_llmserve.checks.likeness import elsewhere, unlike
from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.domain.plan import LoadPlan, Stage
from pytest_llmserve.domain.units import NS_PER_S


def kept(plan: dict | None = None, **more) -> Measurement:
    asked = LoadPlan(**({"users": 20, "requests": 100, "salt": "1a"} | (plan or {})))
    return Measurement(name="main", plan=msgspec.to_builtins(asked), **more)


@pytest.mark.parametrize(
    ("here", "told"),
    [
        ({"users": 40}, "users 20 there, 40 here"),
        ({"stream": False}, "stream True there, False here"),
        ({"warm_up_ns": 5 * NS_PER_S}, "warm_up 0 s there, 5 s here"),
        ({"ramp_up_ns": NS_PER_S // 2}, "ramp_up 0 s there, 500 ms here"),
        ({"think_time_ns": (0, NS_PER_S)}, "think_time 0 s to 0 s there, 0 s to 1 s here"),
        ({"transport": "httpx"}, "transport sockets there, httpx here"),
        ({"retries": 2}, "retries 0 there, 2 here"),
        ({"salt": None}, "nonce True there, False here"),
        ({"params": {"max_tokens": 64}}, "max_tokens none there, 64 here"),
        ({"requests": None, "duration_ns": NS_PER_S}, "ends by requests there, duration here"),
        ({"duration_ns": NS_PER_S}, "ends by requests there, requests and duration here"),
        ({"until": "decided"}, "until none there, decided here"),
        ({"rate": 5.0}, "rate none there, 5.0 here"),
        ({"arrival": "constant"}, "arrival poisson there, constant here"),
        ({"trace": "/a/calls.jsonl"}, "trace none there, calls.jsonl here"),
        (
            {"stages": (Stage(2, 20, NS_PER_S), Stage(20, 20, 2 * NS_PER_S))},
            "stages none there, ['2 to 20 for 1 s', '20 for 2 s'] here",
        ),
    ],
)
def test_another_load_is_named_in_the_words_of_its_marker(here, told):
    assert unlike(kept(), kept(here)) == [told]


@pytest.mark.parametrize(
    "here",
    [
        {"seed": 7},
        {"salt": "2b"},
        {"workers": 4},
        {"timeout_ns": 1, "connect_timeout_ns": 1, "first_byte_timeout_ns": 1, "idle_timeout_ns": 1},
        {"requests": 5000},
        {"max_concurrency": 100},
        {"scale": 0.5},
    ],
)
def test_what_leaves_a_load_as_it_is_may_differ(here):
    assert unlike(kept(), kept(here)) == []


def test_a_trace_may_have_moved():
    assert unlike(kept({"trace": "/a/calls.jsonl"}), kept({"trace": "/b/calls.jsonl"})) == []


def test_all_differences_are_told_at_once():
    assert unlike(kept(), kept({"users": 40, "stream": False})) == [
        "users 20 there, 40 here",
        "stream True there, False here",
    ]


def test_a_plan_kept_before_a_field_was_known_has_its_default():
    old = kept()
    del old.plan["retries"]
    assert unlike(old, kept()) == []
    assert unlike(old, kept({"retries": 1})) == ["retries 0 there, 1 here"]


def test_other_prompts_are_another_load_where_both_are_known():
    assert unlike(kept(prompts="a"), kept(prompts="b")) == ["the prompts are others"]
    assert unlike(kept(prompts="a"), kept()) == []


def test_a_figure_defined_otherwise_cannot_be_compared():
    there, here = kept(definitions={"ttft_ms": "to the first byte"}), kept(definitions={"ttft_ms": "else"})
    assert unlike(there, here) == ["ttft_ms was defined otherwise there"]
    assert unlike(kept(definitions={"gone": "x"}), here) == []


def test_another_machine_or_model_is_told():
    there = kept(environment={"cpus": 4, "python": "3.11.2"}, server={"url": "http://a:1", "model": "m"})
    here = kept(environment={"cpus": 2, "python": "3.11.2"}, server={"url": "http://b:1", "model": "n"})
    assert elsewhere(there, here) == [
        "cpus 4 there, 2 here",
        "model m there, n here",
        "server a there, b here",
    ]
    assert unlike(there, here) == []


def test_a_server_on_another_port_is_no_other_server():
    here, there = (kept(server={"url": f"http://127.0.0.1:{port}", "model": "m"}) for port in (1, 2))
    assert elsewhere(there, here) == []


def test_surroundings_that_are_not_known_are_not_told():
    assert elsewhere(kept(), kept(environment={"cpus": 2}, server={"url": "http://b"})) == []

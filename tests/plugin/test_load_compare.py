"""llm_load.compare(): two sides by turns, judged, told and reported; faults and ends."""

from __future__ import annotations

import json

import pytest

BODY = """
@pytest.mark.load(users=4, requests=80)
@pytest.mark.no_regression(percent=60, metrics=["e2e_p50"])
@pytest.mark.error_rate(max=0.5)
def test_it(llm_load, llm_endpoint):
    found = llm_load.compare({sides}, rounds=2)
"""
LATENCY = ("--itl-ms", 1, "--tokens", 5, "--ttft-ms")


@pytest.fixture
def steady(mock_server):
    """A server that answers in about 25 ms, so that a busy machine is a small part of it."""
    return mock_server(*LATENCY, 20)


@pytest.fixture
def slow(mock_server):
    """One that takes twice as long."""
    return mock_server(*LATENCY, 50)


@pytest.fixture
def compare(suite, steady):
    """``compare(sides, more, *options)`` -> a session in which they are compared."""
    return lambda sides, more="", *options: suite(
        BODY.format(sides=sides) + more, "--llm-endpoint", steady.url, *options
    )


def of(run, check):
    """The verdicts of one check."""
    return [v for v in run.verdicts if v["check"] == check]


def test_a_server_is_no_slower_than_its_like(compare, steady, mock_server):
    """a is a run of the test: each marker judges it, no_regression against b."""
    twin = mock_server(*LATENCY, 20)
    more = """
    assert len(found.a.requests) == len(found.b.requests) == 80
    assert found.a.e2e_ms.p50 > 20
    shift = found.shift("e2e_p50")
    assert shift.low <= shift.ratio <= shift.high
    assert "e2e_p50: a " in repr(found) and "% (95% interval " in repr(found)
"""
    run = compare(f"llm_endpoint, {twin.url!r}", more)
    assert run.exit == 0, run.text
    (verdict,) = of(run, "no_regression")
    assert verdict["what"] == f'p50 e2e latency against "{twin.url}"'
    assert verdict["verdict"] != "fail"
    assert "not the same surroundings" not in verdict["sentence"]
    assert of(run, "error_rate")[0]["verdict"] == "pass"
    assert run.tests[0]["not_judged"] is None
    assert len(run.tests[0]["runs"]) == 1


def test_a_slower_server_fails_against_the_reference(compare, steady, slow):
    """Without anything kept."""
    run = compare(f"{slow.url!r}, llm_endpoint")
    assert run.exit == 1, run.text
    assert run.failure("test_it")[0].startswith(f'p50 e2e latency against "{steady.url}" +')
    run = compare(f"llm_endpoint, {slow.url!r}")
    assert run.exit == 0, run.text


def test_two_ways_to_ask_one_server_can_be_compared(compare, steady):
    """What differs is told in the names, and forbids no comparison."""
    more = """
    assert {r.output_tokens for r in found.a.ok} == {2}
    assert {r.output_tokens for r in found.b.ok} == {5}
    assert found.names[0].endswith("(max_tokens=2)")
"""
    run = compare('{{"max_tokens": 2}}, llm_endpoint'.replace("{{", "{").replace("}}", "}"), more)
    assert run.exit == 0, run.text
    assert of(run, "no_regression")[0]["what"] == f'p50 e2e latency against "{steady.url}"'


def test_a_side_is_not_named_by_what_it_says(compare, steady):
    """A system prompt in `params` is in no name: names are printed."""
    more = '    assert found.names[0].endswith(" (params of system and seed=7)"), found.names\n'
    run = compare("{'params': {'system': 'I am Agatha.', 'seed': 7}}, llm_endpoint", more)
    assert run.exit == 0, run.text
    assert "Agatha" not in run.text


def test_the_comparison_is_in_summary_and_report(compare, steady, slow):
    """The reference's figures, the rounds, and how far apart the two are."""
    run = compare(f"llm_endpoint, {slow.url!r}")
    (found,) = run.tests[0]["runs"]
    comparison = found["comparison"]
    assert comparison["a"] == {
        "name": steady.url, "url": steady.url, "api": "openai-chat", "model": run.tests[0]["server"]["model"]
    }  # fmt: skip
    assert comparison["b"]["url"] == slow.url
    assert comparison["b"]["counts"]["sent"] == 80
    assert comparison["b"]["metrics"]["e2e_ms"]["p50"] > 50
    assert (comparison["rounds"], comparison["planned"], comparison["ended"]) == (2, 2, None)
    shift = comparison["shifts"]["e2e_p50"]
    assert shift["ratio"] < -0.2
    assert shift["interval"][0] <= shift["ratio"] <= shift["interval"][1]
    assert (shift["confidence"], shift["n"]) == (0.95, [80, 80])
    assert f"  a = {steady.url}, b = {slow.url} (80 sent, 0 failed), 2 rounds by turns" in run.result.outlines
    assert any(line.startswith("  e2e p50, ms") for line in run.result.outlines)
    json.dumps(comparison, allow_nan=False)


@pytest.mark.parametrize("scale", [0.1, 0.01])
def test_a_scaled_comparison_has_as_many_rounds_as_fit(scale, compare, steady):
    """A trial of a suite: 80 requests in 2 rounds become 8, then 2, as a round needs one."""
    more = f"    assert len(found.a.requests) == len(found.b.requests) == {max(2, 80 * scale):.0f}\n"
    run = compare("llm_endpoint, llm_endpoint", more, f"--llm-scale={scale}")
    assert "AssertionError" not in run.text
    assert run.tests[0]["runs"][0]["comparison"]["planned"] == 2, run.text


def test_a_comparison_is_not_kept(compare, steady):
    """It has its reference beside it; --llm-save says so."""
    run = compare("llm_endpoint, llm_endpoint", "", "--llm-save=main")
    assert "  not kept as main: a comparison has its reference beside it" in run.result.outlines


def test_other_runs_of_the_test_are_not_judged_without_the_option(compare, steady):
    """The comparison is; and that the other was not is told."""
    run = compare("llm_endpoint, llm_endpoint", '    llm_load("Say hi.", requests=10)\n')
    assert run.exit == 0, run.text
    assert len(of(run, "no_regression")) == 1
    assert len(of(run, "error_rate")) == 2
    assert run.tests[0]["not_judged"] == "no_regression was not judged: give --llm-compare NAME"


FAULTS = {
    "5, llm_endpoint": (
        "a is 5: give a URL, llm_endpoint, or a dict of load keywords such as {'max_tokens': 64}".replace(
            "'", '"'
        )
    ),
    'llm_endpoint, {"requests": 5}': (
        "b has requests: the sides may differ in params, max_tokens, stream, users, rate;"
        " give what they share beside them"
    ),
    'llm_endpoint, "ftp://x"': (
        "b: endpoint 'ftp://x' is not an http or https URL; give one like http://127.0.0.1:8000 or https://host/path"
    ),
    "llm_endpoint, llm_endpoint, requests=1": (
        "1 request cannot be cut into 2 rounds: give more, or fewer rounds="
    ),
}


@pytest.mark.parametrize("form", ["llm_load.compare", "asyncio.run(llm_load.acompare"])
@pytest.mark.parametrize("sides", FAULTS)
def test_a_wrong_call_is_told_with_its_line_alone(sides, form, suite, steady):
    """As of a load; the promises have the same reason."""
    end = ")" if form.startswith("asyncio") else ""
    body = BODY.format(sides=sides).replace("llm_load.compare", form).replace("rounds=2)", "rounds=2)" + end)
    run = suite("import asyncio" + body, "--llm-endpoint", steady.url)
    assert run.exit == 1
    (line,) = run.failure("test_it")
    assert line == f"test_suite.py:8: llm_load.compare: {FAULTS[sides]}"
    told = f"no evidence, the comparison came to nothing: llm_load.compare: {FAULTS[sides]}"
    assert of(run, "error_rate")[0]["sentence"] == f"error rate: {told}"
    assert of(run, "no_regression")[0]["sentence"] == f"regression: {told}"


def test_a_reference_that_is_not_there_is_named(compare, suite):
    """Before anything is measured."""
    suite.pytester.makeini("[pytest]\nllm_ready_timeout = 1s")
    run = compare("llm_endpoint, 'http://127.0.0.1:1'")
    assert run.exit == 1
    line = run.failure("test_it")[0]
    assert line.startswith("test_suite.py:8: llm_load.compare: b: http://127.0.0.1:1"), line
    assert "refused" in line.lower()


def test_a_reference_that_dies_is_no_evidence(suite, steady, mock_server):
    """It is named; what was measured of a is judged by the other markers."""
    dying = mock_server(*LATENCY, 20, "--refuse-after", 25)
    body = BODY.format(sides=f"llm_endpoint, {dying.url!r}").replace("rounds=2", "rounds=4")
    run = suite(body, "--llm-endpoint", steady.url)
    assert run.exit == 1, run.text
    (verdict,) = of(run, "no_regression")
    assert verdict["estimate"] is None
    assert (
        f"no evidence, the reference {dying.url} was gone: no connection could be made" in verdict["sentence"]
    )
    assert of(run, "error_rate")[0]["verdict"] == "pass"
    assert any(
        line.startswith(f"  no further round: {dying.url} was gone in round") for line in run.result.outlines
    )


def test_a_server_under_test_that_dies_fails(suite, steady, mock_server):
    """Whatever it was before."""
    dying = mock_server(*LATENCY, 20, "--refuse-after", 25)
    body = BODY.format(sides=f"{dying.url!r}, llm_endpoint").replace("rounds=2", "rounds=4")
    run = suite(body, "--llm-endpoint", steady.url)
    assert run.exit == 1, run.text
    assert {v["verdict"] for v in run.verdicts} == {"fail"}
    assert "the server was gone: no connection could be made" in run.failure("test_it")[1]
    assert run.tests[0]["liveness"] is None, "that was not the server of the session"


def test_a_reference_that_only_fails_is_no_evidence(compare, steady, mock_server):
    """To be as bad as it is no promise kept."""
    sick = mock_server(*LATENCY, 20, "--fail-status", 503, "--fail-every", 1, "--healthy-first", 1)
    run = compare(f"llm_endpoint, {sick.url!r}")
    assert run.exit == 1, run.text
    assert of(run, "no_regression")[0]["sentence"] == (
        f"regression: no evidence, the reference {sick.url} answered none of its 80 requests"
    )


def test_ctrl_c_keeps_what_was_measured(suite, steady):
    """The rounds so far stand in the report, and how many they are."""
    body = """
def stop(now):
    if now.ended > 5:
        raise KeyboardInterrupt

@pytest.mark.load(users=2, duration="120s")
@pytest.mark.latency(p50_ms=60000)
def test_it(llm_load, llm_endpoint):
    llm_load.compare(llm_endpoint, {"max_tokens": 2}, on_progress=stop)
"""
    run = suite(body, "--llm-endpoint", steady.url, apart=True)
    assert run.exit == pytest.ExitCode.INTERRUPTED
    (test,) = run.tests
    assert test["outcome"] == "interrupted"
    assert test["runs"][0]["counts"]["ok"] > 5
    assert test["runs"][0]["generator"]["ended"] == "interrupted"
    assert test["runs"][0]["comparison"]["rounds"] == 0
    assert "no further round: the comparison was cut short" in run.text


def test_a_cancelled_comparison_ends_soon(suite, steady):
    """From async code; what was measured is judged."""
    body = """
import asyncio, time

@pytest.mark.load(users=1, duration="120s")
@pytest.mark.error_rate(max=0.5)
def test_it(llm_load, llm_endpoint):
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await llm_load.acompare(llm_endpoint, llm_endpoint)

    asyncio.run(main())
"""
    run = suite(body, "--llm-endpoint", steady.url)
    assert run.exit == 0, run.text
    assert run.tests[0]["runs"][0]["counts"]["ok"] > 3
    assert run.tests[0]["runs"][0]["comparison"]["ended"] == "the comparison was cut short"


def test_keys_go_to_both_and_into_no_report(suite, mock_server, monkeypatch):
    """The second server is spoken to with the same options."""
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    a, b = mock_server(*LATENCY, 5), mock_server(*LATENCY, 5)
    body = BODY.format(sides=f"llm_endpoint, {b.url!r}")
    run = suite(body, "--llm-endpoint", a.url, "--llm-api-key-env=MY_KEY", "--llm-api=openai-completions")
    assert run.tests[0]["runs"][0]["comparison"]["b"]["api"] == "openai-completions"
    assert "sk-very-secret" not in run.report.read_text()

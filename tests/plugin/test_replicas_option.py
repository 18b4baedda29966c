"""--llm-endpoint and --llm-model given several times, and --llm-replica-header."""

from __future__ import annotations

import pytest

ONE = "http://127.0.0.1:1"
LOADED = """
@pytest.mark.latency(p95_ms=100)
@pytest.mark.error_rate(max=0.001)
@pytest.mark.no_leak(mb=500, settle="200ms")
def test_it(llm_endpoint, llm_load):
    assert llm_endpoint.url == {url!r}
    result = llm_load("Say hi.", users=6, requests=90)
    assert [result.by_replica(name).counts["sent"] for name in result.replicas] == [30, 30, 30]
"""


def label(server):
    return server.url.partition("://")[2]


def endpoints(*servers):
    return [f"--llm-endpoint={server.url}" for server in servers]


def test_a_slow_and_a_failing_replica_are_told_from_the_others(suite, mock_server):
    """Rows, evidence, diagnosis, kept memory of all; the first one is `llm_endpoint`."""
    fine, slow = mock_server("--ttft-ms", 3), mock_server("--ttft-ms", 100)
    failing = mock_server("--ttft-ms", 3, "--fail-every", 2, "--fail-status", 500, "--healthy-first", 1)
    run = suite(LOADED.format(url=fine.url), *endpoints(fine, slow, failing), "--llm-api=openai-chat")
    assert run.exit == 1, run.text
    (test,) = run.tests
    assert test["server"]["url"] == ", ".join(server.url for server in (fine, slow, failing))
    rows = {row["name"]: row for row in test["runs"][0]["served_by"]}
    assert {name: row["counts"]["sent"] for name, row in rows.items()} == dict.fromkeys(
        map(label, (fine, slow, failing)), 30
    )
    late, soon = (rows[label(server)]["metrics"]["ttft_ms"]["p50"] for server in (slow, fine))
    assert late > 2 * soon
    failed = rows[label(failing)]["counts"]["failed"]
    assert failed >= 10
    told = run.failure("test_it")
    share = f"{100 * failed / 30:.1f} % of its requests failed"
    evidence = f"  {failed} of {failed} failures at {label(failing)}, one of 3 that serve: {share}"
    assert any(line.startswith(evidence) for line in told)
    assert any(f"slowest answers at {label(slow)}, one of 3 that serve" in line for line in told)
    assert [each["what"] for each in test["diagnosis"]][:2] == ["one replica fails", "one replica is slow"]
    assert any(line.strip().startswith("served by") for line in run.result.outlines)
    assert any(line.startswith(f"  {label(slow)} 30 ") for line in run.result.outlines)
    assert f"llmserve: {fine.url}, {slow.url}, {failing.url}, api openai-chat" in run.text
    again = " ".join(endpoints(fine, slow, failing))
    assert any(line.startswith("repeat: ") and again in line for line in told)
    assert test["resources"]["processes_peak"] == 3
    assert "of 1 of" not in run.text


def test_the_environment_and_the_ini_name_several(suite, mock_server, monkeypatch):
    """Parted by spaces or commas; here by two models of each too. A replica can be compared with another."""
    servers = [mock_server("--ttft-ms", 2, "--tokens", 2) for _ in range(2)]
    a, b = (server.url for server in servers)
    body = f"""
def test_models(llm_load):
    result = llm_load("Say hi.", users=2, requests=16)
    assert set(result.replicas) == {{f"{{u}} {{m}}" for u in {[*map(label, servers)]!r} for m in ("m", "n")}}

def test_one_against_the_other(llm_load):
    found = llm_load.compare({b!r}, {a!r}, "Say hi.", requests=8, users=1, rounds=2)
    assert found.names == ({b!r}, {a!r})
    assert set(found.a.replicas) == {{"m", "n"}}
"""
    monkeypatch.setenv("LLM_ENDPOINT", f"{a}, {b}")
    models = ("--llm-model=m", "--llm-model=n")
    run = suite(body, *models)
    run.assert_outcomes(passed=2)
    assert run.tests[0]["server"]["model"] == "m, n"
    assert len(run.tests[0]["runs"][0]["served_by"]) == 4
    monkeypatch.delenv("LLM_ENDPOINT")
    suite.pytester.makeini(f"[pytest]\nllm_endpoint =\n    {a}\n    {b}\nllm_model =\n    m\n    n")
    suite(body).assert_outcomes(passed=2)


def test_a_header_names_the_replica_and_one_that_never_comes_is_told(suite, mock_server):
    server = mock_server("--ttft-ms", 2, "--tokens", 2)
    body = "def test_it(llm_load):\n    assert llm_load('Hi.', requests=4).replicas == ()"
    run = suite(body, "--llm-endpoint", server.url, "--llm-replica-header=X-Pod")
    run.assert_outcomes(passed=1)
    why = "who served is not available, because no answer had the header x-pod (--llm-replica-header)"
    assert run.tests[0]["runs"][0]["served_by_missing"] == why
    assert f"  {why}" in run.result.outlines


@pytest.mark.parametrize("dies_first", [True, False])
def test_one_that_dies_in_the_run_fails_the_test(dies_first, suite, mock_server):
    """Whichever it is, also where its failures are few enough; the next test is not blamed for it."""
    dying, living = (mock_server("--ttft-ms", 2, "--tokens", 2, *more) for more in (["--die-after", 8], []))
    body = """
@pytest.mark.error_rate(max=0.9)
def test_it(llm_load):
    llm_load("Say hi.", users=2, requests=40)

def test_after(llm_endpoint):
    pass
"""
    run = suite(body, *endpoints(*((dying, living) if dies_first else (living, dying))))
    run.assert_outcomes(failed=1, passed=1)
    (verdict,) = run.verdicts
    assert (verdict["verdict"], verdict["holds"]) == ("fail", True)
    ended = f"{label(dying)}: the server's process ended during the test: pid {dying.pid} is gone"
    told = run.failure("test_it")
    assert told[0] == ended
    assert f"{ended}; the last lines of its log:" in told
    assert run.tests[0]["diagnosis"][0]["what"] == "one replica fails"
    assert run.tests[0]["diagnosis"][0]["figures"]["served_by"] == label(dying)
    assert run.tests[1]["liveness"] is None
    counts = {row["name"]: row["counts"] for row in run.tests[0]["runs"][0]["served_by"]}
    assert counts[label(living)]["failed"] == 0
    assert counts[label(living)]["sent"] == counts[label(dying)]["sent"] == 20
    assert counts[label(dying)]["failed"] == 13


WRONG = {
    f"--llm-endpoint={ONE} --llm-endpoint={ONE}/": (
        f"--llm-endpoint names {ONE} twice: give each replica once"
    ),
    f"--llm-endpoint={ONE} --llm-endpoint=simulator": (
        "--llm-endpoint=simulator starts a server of its own and stands alone: leave the other endpoints out"
    ),
    f"--llm-endpoint={ONE} --llm-endpoint=ftp://x": (
        "endpoint 'ftp://x' is not an http or https URL;"
        " give one like http://127.0.0.1:8000 or https://host/path"
    ),
    f"--llm-endpoint={ONE} --llm-model=m --llm-model=m": "--llm-model names m twice: give each model once",
    f"--llm-endpoint={ONE} --llm-replica-header=x:y": (
        "--llm-replica-header 'x:y': give the name of a header alone, such as x-served-by"
    ),
}


@pytest.mark.parametrize("options", WRONG)
def test_a_wrong_one_is_a_usage_error(options, suite):
    run = suite("def test_it(llm_load):\n    pass", *options.split())
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {WRONG[options]}" in run.text

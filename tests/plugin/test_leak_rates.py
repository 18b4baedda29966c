"""Leaks of a real server, judged by their rate, through a whole pytest session."""

from __future__ import annotations


def test_a_real_leak_is_found_by_its_rate(suite, mock_server):
    """50 kB a request are 50 MB per 1000; 20 are allowed, and 200 to a healthy limit."""
    server = mock_server("--ttft-ms", 15, "--itl-ms", 1, "--tokens", 3, "--leak-kb", 50)
    run = suite(
        """
@pytest.mark.load(users=4, requests=500)
@pytest.mark.no_leak(mb=20, per="1000 requests", settle="100ms")
def test_sick(llm_load):
    llm_load("Say hi.")

@pytest.mark.load(users=4, requests=500)
@pytest.mark.no_leak(mb=200, per="1000 requests", settle="100ms")
def test_within(llm_load):
    llm_load("Say hi.")

@pytest.mark.load(users=2, requests=10)
@pytest.mark.no_leak(open_files=2, threads=0, settle="2s")
def test_closed(llm_load):
    llm_load("Say hi.")
""",
        "--llm-endpoint",
        server.url,
    )
    sick, within = (test["verdicts"][0] for test in run.tests[:2])
    # On a busy machine the readings may be too few or too uneven for a verdict, never for the wrong one.
    assert sick["verdict"] != "pass", run.text
    assert not sick["holds"], run.text
    assert within["verdict"] != "fail", run.text
    assert 40 < sick["estimate"] < 65

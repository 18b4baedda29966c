"""Leaks of a real server, judged by their rate, through a whole pytest session."""

from __future__ import annotations


def test_a_real_leak_is_found_by_its_rate(suite, mock_server):
    """50 kB a request are 50 MB per 1000.

    The limits lie a factor of 10 and more to either side of it: uneven readings on a busy machine move an
    estimate by a few MB, never as far.
    """
    server = mock_server("--ttft-ms", 15, "--itl-ms", 1, "--tokens", 3, "--leak-kb", 50)
    run = suite(
        """
@pytest.mark.load(users=4, requests=450)
@pytest.mark.no_leak(mb=5, per="1000 requests", settle="100ms")
def test_sick(llm_load):
    llm_load("Say hi.")

@pytest.mark.load(users=4, requests=450)
@pytest.mark.no_leak(mb=1000, per="1000 requests", settle="100ms")
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
    run.assert_outcomes(passed=2, failed=1)
    sick, within = (test["verdicts"][0] for test in run.tests[:2])
    assert (sick["verdict"], within["verdict"]) == ("fail", "pass"), run.text
    assert 35 < sick["estimate"] < 65
    assert 35 < within["estimate"] < 65
    assert sick["sentence"].startswith("memory growth per 1000 requests ")
    assert " MB > 5 MB (" in sick["sentence"]
    assert " MB <= 1000 MB (" in within["sentence"]

"""Wrong markers: told at collection, all at once, with their line."""

from __future__ import annotations

import pytest

HEAD = "ERROR: markers of pytest-llmserve that cannot be used:"

FAULTY = """
@pytest.mark.load(user=3, requests=-1, duration="soon")
@pytest.mark.latency(p95ms=3, p99_ms="fast")
def test_one(llm_load):
    llm_load()


@pytest.mark.error_rate(0.1)
class TestMore:
    @pytest.mark.no_leak(per="day", mb=1)
    def test_two(self, llm_load):
        llm_load()
"""
TOLD = (
    "test_suite.py:4: load: no keyword 'user', did you mean users?;"
    " requests: -1 is not a whole number of 0 or more;"
    ' duration: \'soon\' is not a duration: write "60s", "5m", "1500ms", "4h" or seconds',
    "test_suite.py:5: latency: no keyword 'p95ms', did you mean p95_ms?; p99_ms: 'fast' is not a number",
    "test_suite.py:10: error_rate: takes keywords only, got 0.1",
    "test_suite.py:12: no_leak: per: 'day' is not known: write \"run\", the memory kept after each run,"
    ' or the growth per "hour" or "1000 requests"',
)


def test_every_fault_of_every_marker_is_told_with_its_line(suite):
    """One usage error, exit 4, also without a server."""
    run = suite(FAULTY)
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    lines = run.text.splitlines()
    assert HEAD in lines
    start = lines.index(HEAD)
    assert sorted(lines[start + 1 : start + 5]) == sorted(TOLD)


@pytest.mark.parametrize(
    ("marker", "fault"),
    [
        ("latency(p50_ms=-1)", "latency: p50_ms: -1 is not over 0"),
        ("latency(p50_ms=1, e2e_p50_ms=2)", "latency: p50_ms and e2e_p50_ms are the same limit: give one"),
        ("load(users=3)", 'load: needs an end: requests=300, duration="60s" or both, or until="decided"'),
        ("load(users=3, rate=2.5, requests=1)", "load: give users= or rate=, not both"),
        (
            "load(rate=5, stages=[(1, '1s')], trace='x.jsonl')",
            "load: give rate= or stages= or trace=, not 3 of them",
        ),
        ("load(rate=5)", 'load: needs an end: requests=300, duration="60s" or both, or until="decided"'),
        ("load(rate=0, requests=1)", "load: rate: 0 is not over 0"),
        (
            "load(stages=[(2, '1s'), (0.5, '1s')])",
            "load: stages: stage 2: 0.5 is not a whole number of 0 or more",
        ),
        (
            "load(stages=[(2, '1s')], duration='5s', ramp_up='1s')",
            "load: duration= is for users=, rate= and trace=: stages have lengths of their own;"
            ' ramp_up= is for users=: write a stage that climbs, ((1, 20), "1m")',
        ),
        ("load(users=0, requests=1)", "load: users: 0 is not a whole number of 1 or more"),
        ("load(requests=1, timeout=0)", "load: timeout: 0 leaves no time to answer"),
        ("goodput(min=0.9)", "goodput: needs at least one of ttft_ms, tpot_ms, e2e_ms"),
        (
            "goodput(ttft_ms=9)",
            "goodput: needs min, the share of requests that must be good, such as min=0.99",
        ),
        ("error_rate(max=2)", "error_rate: max: 2 is not a share from 0 to 1 (0.2 % is 0.002)"),
        (
            "error_rate(retries=1)",
            "error_rate: needs max, the share of requests that may fail, such as max=0.002",
        ),
        ("error_rate(max=1)", "error_rate: max=1 would hold whatever happens"),
        (
            "no_leak(settle='1s')",
            "no_leak: needs mb or gpu_mb, the growth of memory in MB that is allowed, such as mb=100,"
            " or open_files or threads, how many more may be left after a run",
        ),
        ("throughput(min_rps=0)", "throughput: min_rps: 0 is not over 0"),
        ("resources(rss_mb='4G')", "resources: rss_mb: '4G' is not a number"),
    ],
)
def test_a_wrong_value_says_what_to_write(marker, fault, suite):
    """In the field's words, at the marker's line."""
    run = suite(f"@pytest.mark.{marker}\ndef test_it(llm_load):\n    llm_load()")
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert f"test_suite.py:3: {fault}" in run.text.splitlines()


def test_a_fault_in_a_module_marker_is_told_once(suite):
    """Not once a test; its line is that of pytestmark."""
    run = suite(
        "pytestmark = pytest.mark.latency(p95=3)\n"
        "def test_a(llm_load):\n    pass\n"
        "def test_b(llm_load):\n    pass"
    )
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert run.text.count("latency: no keyword 'p95', did you mean") == 1
    assert "test_suite.py:3: latency:" in run.text


def test_under_xdist_faults_are_readable(suite):
    """Told once, with the line, and no traceback of a crashed worker; exit is not 0."""
    run = suite(FAULTY, "-n", "2", apart=True)
    assert run.exit not in (0, pytest.ExitCode.NO_TESTS_COLLECTED)
    for line in TOLD:
        assert line in run.text
    for noise in ("INTERNALERROR", "Traceback", "worker 'gw"):
        assert noise not in run.text


def test_collection_only_finds_faults_too(suite):
    """A pull request can check markers without a server."""
    assert suite(FAULTY, "--collect-only").exit == pytest.ExitCode.USAGE_ERROR


def test_markers_of_others_are_left_alone(suite):
    """A marker named like one of ours' keywords, or unknown ones, are pytest's business."""
    suite.pytester.makeini("[pytest]\nmarkers = users: someone else's")
    run = suite("@pytest.mark.users(3, nonsense=True)\ndef test_it():\n    pass", "--strict-markers")
    assert run.exit == 0, run.text


def test_all_markers_are_known_to_strict_markers(suite):
    """No warning and no error with --strict-markers and -W error."""
    run = suite(
        "".join(
            f"@pytest.mark.{name}\n"
            for name in ("load", "latency", "throughput", "goodput", "error_rate", "no_leak", "resources")
        )
        + "def test_it():\n    pass",
        "--strict-markers",
        "-W",
        "error",
    )
    assert run.exit == 0, run.text


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("load", "@pytest.mark.load(users=, rate=, arrival=, stages=, rate_stages=, trace=, speed="),
        ("latency", "@pytest.mark.latency(p50_ms=, p90_ms=, p95_ms=, p99_ms=, p999_ms="),
        ("throughput", "@pytest.mark.throughput(min_rps=, min_tokens_per_s=): The server answers at least"),
        ("goodput", "@pytest.mark.goodput(min=, ttft_ms=, tpot_ms=, e2e_ms=): At least this share"),
        ("error_rate", "@pytest.mark.error_rate(max=, startup_grace=, retries=): At most this share"),
        ("no_leak", "@pytest.mark.no_leak(mb=, gpu_mb=, settle=, per=, open_files=, threads=): Memory"),
        ("resources", "@pytest.mark.resources(rss_mb=, uss_mb=, memory_mb=, cpu_percent="),
    ],
)
def test_pytest_markers_shows_the_keywords(name, begins, suite):
    """`pytest --markers` is built from the signatures, so it cannot drift."""
    run = suite("", "--markers")
    assert run.exit == 0
    assert any(line.startswith(begins) for line in run.result.outlines), name


def test_markers_are_merged_closest_first(suite, quick):
    """A test's keyword wins over its class's, that over its module's; keywords not named are inherited."""
    run = suite(
        """
pytestmark = [pytest.mark.load(users=1, requests=7, max_tokens=3), pytest.mark.error_rate(max=0.5)]

@pytest.mark.load(users=2, seed=5)
@pytest.mark.error_rate(max=0.2)
class TestIt:
    @pytest.mark.load(users=3)
    def test_it(self, llm_load):
        llm_load("Say hi.")
""",
        "--llm-endpoint",
        quick.url,
    )
    plan = run.tests[0]["runs"][0]["plan"]
    assert (plan["users"], plan["requests"], plan["seed"]) == (3, 7, 5)
    assert plan["params"] == {"max_tokens": 3}
    assert [v["limit"] for v in run.verdicts] == [0.2]

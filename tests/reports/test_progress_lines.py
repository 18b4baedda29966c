"""How far a load is, in one line of a terminal or of a log."""

from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from pytest_llmserve.domain.progress import LoadProgress, Quantiles
from pytest_llmserve.reports.progress import live_line, plain_line

S = 1_000_000_000
MIDWAY = LoadProgress(
    elapsed_ns=15 * S,
    total_ns=60 * S,
    sent=590,
    active=17,
    by_outcome={"ok": 570, "timed_out": 2, "reset": 1},
    tokens=7300,
    requests_per_s=38.24,
    tokens_per_s=511.6,
    e2e_ms=Quantiles(p50=421.4, p99=812.3, n=573),
    server_rss_bytes=812_400_000,
)
EMPTY = LoadProgress(elapsed_ns=0)


def test_a_wide_terminal_shows_everything():
    assert live_line(MIDWAY, "20 users", 119) == (
        "0:15/1:00  20 users  573 done  38.2 req/s  512 tok/s  p50 421 p99 812 ms  3 failed  RSS 812 MB"
    )


def test_eighty_columns_show_what_matters():
    line = live_line(MIDWAY, "20 users", 79)
    assert line == "0:15/1:00 20 users 38.2 req/s 512 tok/s p50 421 p99 812 ms 3 failed RSS 812 MB"
    assert len(line) <= 79


@pytest.mark.parametrize("width", range(12, 120))
def test_no_line_is_wider_than_the_terminal(width):
    """And none loses the time or, while there is room for it, the failures."""
    line = live_line(MIDWAY, "20 users", width)
    assert len(line) <= width
    assert line.startswith("0:15/1:00")
    assert "3 failed" in line or width < 18


def test_a_terminal_too_narrow_for_the_time_is_not_overrun():
    assert live_line(MIDWAY, "20 users", 4) == "0:15"
    assert live_line(MIDWAY, "20 users", -1) == ""


@pytest.mark.parametrize(("width", "line"), [(79, "0:00  1 user  0 done  0 failed"), (12, "0:00")])
def test_what_is_not_known_yet_is_left_out(width, line):
    """No NaN, no infinite total."""
    assert live_line(EMPTY, "1 user", width) == line


def test_a_run_bound_by_requests_counts_them():
    now = LoadProgress(elapsed_ns=3700 * S, total_requests=300, by_outcome={"ok": 128})
    assert live_line(now, "1 user", 79) == "1:01:40  1 user  128/300 done  0 failed"
    assert "128/300 done" in live_line(now, "1 user", 30)


def test_warm_up_is_named():
    assert live_line(LoadProgress(elapsed_ns=S, total_ns=9 * S, warm_up=12), "1 user", 79) == (
        "0:01/0:09  1 user  12 in warm-up  0 failed"
    )


def test_latencies_that_failures_reach_say_so():
    """Not inf, and not the latency of those that were answered."""
    few = LoadProgress(elapsed_ns=S, e2e_ms=Quantiles(p50=8.256, p99=math.inf, n=9))
    assert live_line(few, "1 user", 79) == "0:01  1 user  0 done  p50 8.26 ms p99 failed  0 failed"
    most = LoadProgress(elapsed_ns=S, e2e_ms=Quantiles(p50=math.inf, p99=math.inf, n=9))
    assert ", e2e p50 failed p99 failed, " in plain_line(most, "1 user")


def test_a_log_line_tells_all():
    assert plain_line(MIDWAY, "20 users") == (
        "llmserve: 0:15/1:00, 20 users, 573 done, 17 under way, 38.2 requests/s, 512 tokens/s,"
        " e2e p50 421 p99 812 ms, 3 failed (timed_out 2, reset 1), RSS 812 MB"
    )


def test_a_log_line_of_nothing_yet():
    assert plain_line(EMPTY, "1 user") == "llmserve: 0:00, 1 user, 0 done, 0 under way, 0 failed"


def test_what_was_never_sent_is_no_failure():
    """Counted apart, as in the summary; the server had no part in it."""
    now = replace(MIDWAY, by_outcome={"ok": 570, "timed_out": 2, "dropped": 12})
    assert ", 2 failed (timed_out 2), 12 dropped, RSS 812 MB" in plain_line(now, "40 requests/s")
    assert "  2 failed  12 dropped  RSS 812 MB" in live_line(now, "40 requests/s", 130)
    idle = replace(now, by_outcome={"dropped": 3})
    assert plain_line(idle, "40 requests/s").endswith(", 0 failed, 3 dropped, RSS 812 MB")


def test_the_servers_queue_is_told_where_it_is_known():
    """Of what a narrow terminal has no room for, it goes first."""
    now = replace(MIDWAY, server_waiting=12.0)
    assert live_line(now, "20 users", 119).endswith("  3 failed  12 in queue  RSS 812 MB")
    assert live_line(now, "20 users", 79) == live_line(MIDWAY, "20 users", 79)
    assert plain_line(now, "1 user").endswith(", 12 in queue, RSS 812 MB")
    assert plain_line(replace(now, server_waiting=0.0), "1 user").endswith(", 0 in queue, RSS 812 MB")

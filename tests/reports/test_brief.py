"""A test in brief, as the pages of other plugins show it."""

from __future__ import annotations

from pytest_llmserve.reports.brief import brief_html, verdict_text

HOSTILE = '<script>alert("x")</script>'


def latency(p50, p99):
    return {
        "n": 10,
        "mean": 1.0,
        "min": 0.5,
        "p50": p50,
        "p90": 12.345,
        "p95": 123.4,
        "p99": p99,
        "max": 999.5,
    }


def run(text="2 users, 10 requests", ok=10):
    names = ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms")
    metrics = {name: latency(1.2345, None) for name in names}
    return {"plan": {"text": text}, "counts": {"ok": ok, "failed": 10 - ok}, "metrics": metrics}


TEST = {
    "verdicts": [
        {"verdict": "fail", "sentence": f"the server said {HOSTILE}"},
        {"verdict": "pass", "sentence": "error rate 0% <= 1%"},
    ],
    "runs": [run(), run(HOSTILE, ok=7)],
}


def test_verdicts_are_lines():
    """The word first."""
    assert verdict_text(TEST) == f"fail: the server said {HOSTILE}\npass: error rate 0% <= 1%"


def test_what_came_from_outside_is_text():
    """No markup of a server or a test gets into the page."""
    found = brief_html(TEST)
    assert "<script" not in found
    assert found.count("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;") == 2


def test_each_run_has_its_table():
    """A row a latency; what is not known is a dash, and large figures have no digits that say nothing."""
    found = brief_html(TEST)
    assert "<p>run 1: 2 users, 10 requests: 10 answered, 0 failed</p>" in found
    assert ": 7 answered, 3 failed</p>" in found
    row = found.partition(">TTFT</th>")[2].partition("</tr>")[0]
    cells = [cell.partition(">")[2].partition("<")[0] for cell in row.split("<td")[1:]]
    assert cells == ["10", "1.23", "12.3", "123", "-", "1000"]
    assert "<p>2 users, 10 requests: 10 answered" in brief_html(TEST | {"runs": [run()]})


def test_nothing_is_left_out_alike():
    """A test without verdicts has no empty list."""
    assert "<ul>" not in brief_html(TEST | {"verdicts": []})
    assert "<ul>" in brief_html(TEST)

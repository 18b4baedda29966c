"""The Markdown page, on literal documents, as a renderer of Markdown reads it."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from pytest_llmserve.reports import markdown as written
from pytest_llmserve.reports.document import run_document, verdict_documents
from pytest_llmserve.reports.environment import environment
from pytest_llmserve.reports.markdown import markdown, write
from pytest_llmserve.reports.markdown_text import block, code, prose
from pytest_llmserve.reports.verdict_cells import found_and_limit

URL = "http://127.0.0.1:8000"
TABLE = ("table", "thead", "tbody", "tr", "th", "td")
HOSTILE = [
    "a|b",
    "a\\|b",
    "`x` ``y`` |",
    "`",
    " padded ",
    "<script>alert(1)</script>",
    "</code></details><img src=x onerror=alert(1)>",
    "@someone and @org/team",
    "[click](javascript:alert(1)) ![i](http://evil.test/x.png)",
    "https://evil.test www.evil.test a@evil.test",
    "two\nlines\r\n\r\n# heading",
    "```\n</details>",
    "&lt;b&gt; &#64;",
    "~~gone~~ **loud** _low_ $x$ #1 !2 :smile: \\",
    "esc \x1b[31m nul \x00 bidi \u202e sep \u2028 end",
]


def render(text):
    """As GitHub and GitLab do: CommonMark with tables and HTML."""
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)


def rows(text):
    """The cells of every row of every table, as they are shown."""
    shown = re.findall(r"<tr>(.*?)</tr>", render(text), re.DOTALL)
    return [[plain(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in shown]


def plain(html):
    """What a person reads."""
    text = re.sub(r"<[^>]*>", "", html)
    for entity, char in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        text = text.replace(entity, char)
    return text.replace("\u200b", "")


def shown_as(text):
    """A name as it is to be read: in a line, nothing in it that is not printed."""
    line = " ".join(text.split())
    return "".join(char if char.isprintable() else "\ufffd" for char in line)


def document(make, name="test_a.py::test_it", runs=(), verdicts=(), outcome="passed", **changes):
    return {
        "nodeid": name,
        "outcome": outcome,
        "attempt": 1,
        "server": {"url": URL, "api": "openai-chat", "model": "small"},
        "runs": [run_document(run, keep_text=False) for run in runs],
        "verdicts": verdict_documents(list(verdicts)),
    } | changes


def session(*tests, **changes):
    return {"schema": "pytest-llmserve/1", "environment": environment(), "tests": list(tests)} | changes


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_from_outside_is_shown_word_for_word_and_means_nothing(make, name):
    """No tag, link, mention or further cell comes of it, wherever it stands."""
    run = make.run([make.record(0), make.failed(1)])
    test = document(make, name, [run], [make.verdict(what=name, sentence=f"{name}: 5")], "failed")
    test["server"] |= {"model": name, "api": name}
    test["diagnosis"] = [{"what": name, "sentence": name}]
    test["runs"][0]["errors"] = [{"outcome": "http_5xx", "error": name, "n": 3}]
    text = markdown(session(test))
    html = render(text)
    tags = {"h2", "ul", "li", "code", "p", "strong", "details", "summary", "pre", *TABLE}
    assert set(re.findall(r"</?(\w+)", html)) == tags
    outside = re.sub(r"<code[^>]*>.*?</code>", "", html, flags=re.DOTALL)
    for mark in ("@", "evil", "alert", "$x$", "#1", "smile"):
        assert mark not in outside
    told = [row for row in rows(text) if row[0] != "verdict"]
    assert [len(row) for row in told] == [6, 4, 4, 11, 11]
    assert told[0][1] == told[2][0] == told[2][2] == shown_as(name)
    assert html.count("<details>") == html.count("</details>") == 2


def test_the_session_comes_first_then_what_failed(make):
    """Then what is undecided; each with what was found and what was promised."""
    sentence = "p99 e2e latency 2431 ms > 2200 ms (95% interval 2290-2610 ms, n=812)"
    doubt = "error rate 0% <= 0.2%, undecided (95% interval 0-0.66%, n=556): 0.2% at 95% needs 1497 requests"
    text = markdown(
        session(
            document(make, "test_a.py::test_good", verdicts=[make.verdict("pass")]),
            document(
                make,
                "test_a.py::test_bad",
                [make.run([make.record(0), make.failed(1)])],
                [
                    make.verdict(
                        "pass", "peak RSS 24.2 MB <= 2000 MB (n=9)", check="resources", what="peak RSS"
                    ),
                    make.verdict("undecided", doubt, check="error_rate", what="error rate"),
                    make.verdict(sentence=sentence),
                ],
                "failed",
                diagnosis=[{"what": "queueing", "sentence": "requests wait: send less"}],
                liveness="the server ended 3.2 s into the test",
            ),
            document(make, "test_a.py::test_own_assert", outcome="failed"),
        )
    )
    assert text.split("\n")[:3] == [
        "## ❌ llmserve: 2 of 3 tests failed, 1 limit undecided",
        "",
        f"- `{URL}`, openai-chat, model `small`",
    ]
    assert rows(text)[:6] == [
        ["verdict", "test", "check", "quantity", "found", "limit"],
        ["❌ fail", "test_a.py::test_bad", "latency", "p99 e2e latency", "2431 ms", "at most 2200 ms"],
        ["❌ failed", "test_a.py::test_own_assert", "the test itself", "", "", ""],
        ["⚠️ undecided", "test_a.py::test_bad", "error_rate", "error rate", "0%", "at most 0.2%"],
        ["✅ pass", "test_a.py::test_bad", "resources", "peak RSS", "24.2 MB", "at most 2000 MB"],
        ["✅ pass", "test_a.py::test_good", "latency", "p99 e2e latency", "2431 ms", "at most 2200 ms"],
    ]
    assert "- `test_a.py::test_bad`: **queueing**: requests wait: send less\n" in text
    assert "- `test_a.py::test_bad`: the server ended 3.2 s into the test\n" in text
    assert ["test_a.py::test_bad", "http_5xx", "500: out of slots", "1"] in rows(text)
    head, figures = rows(text)[-2:]
    assert (head[0], figures[:4]) == ("run", ["test_a.py::test_bad", "2 users, 2 requests", "2", "1"])
    assert "  fail: " + sentence in text[text.index("<details>") :]


def test_errors_stand_with_their_texts_and_each_run_has_its_number(make):
    """One row a kind."""
    test = document(make, runs=[make.run([make.failed(0)]), make.run([make.record(0)])])
    text = markdown(session(test))
    assert ["test_a.py::test_it run 1", "http_5xx", "500: out of slots", "1"] in rows(text)
    assert [row[0] for row in rows(text)[-2:]] == ["test_a.py::test_it run 1", "test_a.py::test_it run 2"]


@pytest.mark.parametrize(
    ("outcomes", "words", "line"),
    [
        ([], [], "⚠️ llmserve: no test used a server"),
        (["passed"], ["pass"], "✅ llmserve: 1 test passed"),
        (["passed", "xfailed", "skipped"], [], "✅ llmserve: 1 test passed, 1 skipped, 1 xfailed"),
        (["passed"], ["undecided"] * 2, "⚠️ llmserve: 1 test passed, 2 limits undecided"),
        (["xfailed"], ["fail"], "⚠️ llmserve: 0 tests passed, 1 xfailed"),
        (["error", "passed"], [], "❌ llmserve: 1 of 2 tests failed"),
        (["interrupted", "passed"], [], "❌ llmserve: 1 interrupted, 1 test passed"),
        (["interrupted"], [], "❌ llmserve: 1 interrupted"),
        (["interrupted", "failed", "passed"], [], "❌ llmserve: 1 of 3 tests failed, 1 interrupted"),
    ],
)
def test_the_verdict_of_the_session_is_one_line(make, outcomes, words, line):
    """Green only where something passed, and nothing failed or stayed open."""
    verdicts = [make.verdict(word) for word in words]
    tests = [
        document(make, f"test_a.py::test_{number}", verdicts=[] if number else verdicts, outcome=outcome)
        for number, outcome in enumerate(outcomes)
    ]
    assert markdown(session(*tests)).split("\n")[0] == f"## {line}"


def test_a_limit_that_is_undecided_and_fails_the_test_says_so(make):
    """And the test has not failed by itself; where --llm-strict may have done it that is said."""
    doubt = make.verdict("undecided", "p90 e2e latency 467 ms > 300 ms, undecided", holds=False)
    slow = make.verdict("undecided", "throughput 2 requests/s < 5 requests/s, undecided", holds=False)
    blind = make.verdict("undecided", "goodput: no evidence, no load ran", what="goodput", holds=None)
    within = make.verdict("undecided", "p90 e2e latency 20 ms <= 300 ms, undecided")
    tests = [
        document(make, "over", verdicts=[doubt, within], outcome="failed"),
        document(make, "under", verdicts=[slow], outcome="failed"),
        document(make, "blind", verdicts=[blind], outcome="failed"),
        document(make, "within", verdicts=[within], outcome="failed"),
    ]
    found = rows(markdown(session(*tests)))
    assert [(row[0], row[1], row[4]) for row in found[1:5]] == [
        ("❌ undecided, over the limit: fails", "over", "p90 e2e latency 467 ms"),
        ("❌ undecided, under the limit: fails", "under", "throughput 2 requests/s"),
        ("❌ undecided, no evidence: fails", "blind", "no evidence, no load ran"),
        ("❌ failed", "within", "--llm-strict, or warnings that are errors: undecided fails"),
    ]
    assert [row[:2] for row in found[5:7]] == [["⚠️ undecided", "over"], ["⚠️ undecided", "within"]]
    assert not any(row[2] == "the test itself" and row[1] != "within" for row in found[1:7])


def test_a_promise_that_was_not_judged_is_not_green(make):
    """It has a row among the limits, and the headline counts it."""
    why = "no_regression was not judged: give --llm-compare NAME"
    text = markdown(session(document(make, not_judged=why)))
    assert text.startswith("## ⚠️ llmserve: 1 test passed, 1 promise not judged\n")
    row = ["⚠️ not judged", "test_a.py::test_it", "no_regression", "", "give --llm-compare NAME", ""]
    assert rows(text)[1] == row
    assert "✅" not in text


def test_what_ran_short_in_many_tests_is_told_once(make):
    """With what each of them showed; what one test alone has stays with its name."""
    ways = "load a smaller model, or allow fewer requests at once"

    def short(name, lines):
        said = {"what": "out of memory", "sentence": f"{lines} in the server's log (run 1 of 2): {ways}"}
        return document(make, name, [make.run([make.record(0)])], outcome="failed", diagnosis=[said])

    tests = [short("a", "2 lines"), short("b", "1 line"), short("c", "1 line")]
    tests[0]["diagnosis"].append({"what": "queueing", "sentence": "requests wait: send less"})
    text = markdown(session(*tests))
    assert (
        "- `a`: **queueing**: requests wait: send less\n"
        f"- **out of memory**: {ways}\n"
        "  - 2 lines in the server's log (run 1 of 2): `a`\n"
        "  - 1 line in the server's log (run 1 of 2): `b`, `c`\n"
    ) in text
    assert text.count(ways) == 1
    assert text.count("diagnosis: queueing") == 1


def test_cases_that_kept_their_limits_share_a_row_a_limit(make):
    """With the case that came closest; other limits, and a case that is no plain pass, have their own."""

    def case(number, estimate, limit=300.0, **changes):
        said = f"p90 e2e latency {estimate} ms <= {limit:g} ms (n=60)"
        found = make.verdict("pass", said, what="p90 e2e latency", limit=limit, estimate=float(estimate))
        return document(make, f"t.py::test_l[{number}]", verdicts=[found], **changes)

    tests = [case(10, 14), case(100, 20), case(1000, 17), case(9, 5, 10.0), case(7, 299, attempt=2)]
    assert [row[:2] + row[4:] for row in rows(markdown(session(*tests)))[1:4]] == [
        ["✅ pass", "t.py::test_l", "20 ms, the closest of 3 cases: [100]", "at most 300 ms"],
        ["✅ pass", "t.py::test_l", "5 ms, one case: [9]", "at most 10 ms"],
        ["✅ pass", "t.py::test_l[7]", "299 ms", "at most 300 ms"],
    ]


def test_tests_that_were_skipped_for_want_of_a_server_are_counted():
    """So that the page of a job without one does not look like a job without tests."""
    text = markdown(session(_serverless=11))
    assert text.startswith("## ⚠️ llmserve: 11 tests skipped: no server was named\n")


def test_what_was_expected_to_fail_is_not_shown_as_a_failure(make):
    """Nor is an attempt that another one followed."""
    expected = document(make, verdicts=[make.verdict()], outcome="xfailed")
    again = [document(make, "b", outcome="failed"), document(make, "b", outcome="passed", attempt=2)]
    text = markdown(session(expected, *again))
    assert text.startswith("## ✅ llmserve: 1 test passed, 1 xfailed\n")
    assert [row[:2] for row in rows(text)[1:]] == [
        ["fail, as expected", "test_a.py::test_it"],
        ["✅ passed", "b"],
    ]


def test_a_page_stays_under_its_limit_and_says_what_it_lacks(make):
    """What matters most is there: all that failed, before anything that passed."""
    good = [
        document(make, f"good {n} é", [make.run([make.record(0)])], [make.verdict("pass")]) for n in range(60)
    ]
    bad = [document(make, f"bad {n}", verdicts=[make.verdict()], outcome="failed") for n in range(5)]
    whole = markdown(session(*good, *bad))
    assert "Left out" not in whole
    cut = markdown(session(*good, *bad), most_bytes=3000)
    assert len(cut.encode()) <= 3000
    assert [row[1] for row in rows(cut)[1:6]] == [f"bad {n}" for n in range(5)]
    shown = len(rows(cut)) - 1
    assert cut.endswith(
        f"Left out, as there is no room for more: verdicts ({65 - shown}), runs (60), tests in full (65),"
        " environment (1).\n"
    )
    assert len(markdown(session(*good, *bad), most_bytes=len(whole.encode()) + 400)) == len(whole)


def test_a_page_of_hundreds_makes_only_what_it_has_room_for(make, monkeypatch):
    """Tests in full are slow to make, and come last: those that are left out are counted, not made."""
    made = []
    monkeypatch.setattr(
        "pytest_llmserve.reports.markdown.test_lines", lambda test, *more: made.append(test) or ["x" * 200]
    )
    good = [document(make, f"good {n}", verdicts=[make.verdict("pass")]) for n in range(60)]
    cut = markdown(session(*good), most_bytes=10_000)
    shown = cut.count("<details>")
    assert 0 < shown < 59
    assert len(made) == shown + 1
    assert f"tests in full ({60 - shown})" in cut


def test_servers_side_by_side_are_a_table(make):
    """With the name of the test over it."""
    row = {"values": {"workers": 2}, "outcome": "passed", "run": 1, "users": 3, "n": 4, "failed": 0}
    row |= dict.fromkeys(
        ("e2e_p50_ms", "e2e_p90_ms", "e2e_p99_ms", "ttft_p95_ms", "output_tokens_per_s"), 7.0
    )
    row |= {"requests_per_s": 1.5, "rss_mb_peak": None}
    text = markdown(session(document(make), comparisons=[{"test": "test_a.py::test_it", "rows": [row]}]))
    assert "`test_a.py::test_it`: side by side\n" in text
    assert rows(text)[-1] == ["workers=2", "3", *["7.00"] * 5, "1.50", "4", "0", "-"]


@pytest.mark.parametrize(
    ("what", "sentence", "found", "limit"),
    [
        ("p95 TTFT", "p95 TTFT 7.41 ms > 1 ms (n=5)", "7.41 ms", "at most 1 ms"),
        (
            "peak RSS",
            "peak RSS 120 MB > 100 MB, 1.5 s into the test (n=3 samples)",
            "120 MB",
            "at most 100 MB",
        ),
        ("goodput", "goodput 100% >= 99% (n=299)", "100%", "at least 99%"),
        (
            "throughput",
            "throughput 5 requests/s < 1e+09 requests/s",
            "5 requests/s",
            "at least 1e+09 requests/s",
        ),
        ("max e2e", "max e2e never (failed) > 999 ms", "never (failed)", "at most 999 ms"),
        (
            "p95 TTFT",
            "p95 TTFT never (failed) > 9 ms, undecided (n=9): 3 of 9 requests failed (reset 3)",
            "never, 3 of 9 requests failed",
            "at most 9 ms",
        ),
        (
            "chat",
            "chat: 100% right alone, 84% at 8 users (n=9): wrong",
            "100% right alone, 84% at 8 users",
            "",
        ),
        ("memory", "memory 3 MB > 2 MB per hour (n=9)", "3 MB", "at most 2 MB per hour"),
        ("errors", "errors 3 > 1.5 percentage points", "3", "at most 1.5 percentage points"),
        ("processes", "processes 1 <= 3 (n=2 samples)", "1", "at most 3"),
        ("goodput", "goodput: no evidence, no load ran", "no evidence, no load ran", ""),
        ("isolation", "isolation: 2 of 40 answers carried a mark", "2 of 40 answers carried a mark", ""),
    ],
)
def test_a_verdict_is_taken_apart(what, sentence, found, limit):
    """Its figure and its limit, with their units; what compares nothing stays whole."""
    assert found_and_limit({"what": what, "sentence": sentence}) == (found, limit)


def test_plain_words_are_no_code():
    """So that a page reads well; what may mean something is."""
    assert prose("p99 e2e latency: 7.41 ms, error_rate (run 2 of 3)") == (
        "p99 e2e latency: 7.41 ms, error_rate (run 2 of 3)"
    )
    assert [prose(text) for text in ("_x_", "a:b", "see www.x.de", "a//b", "")] == [
        *("`_x_`", "`a:b`", "`see www.x.de`", "`a//b`"),
        "",
    ]
    assert code("a`b|c") == "``a`b\\|c``"
    assert code("a\\|b") == "`a\\\u200b\\|b`"


def test_no_line_ends_the_block_it_stands_in():
    """Whatever marks of code it is made of."""
    lines = ["```", "````", "</details>"]
    assert plain(render(block(lines))) == "\n".join([*lines, "\n"])


def test_the_file_is_written_whole_or_not_at_all(make, tmp_path, monkeypatch):
    """In UTF-8, in a folder that may have to be made; where it fails nothing is left of it."""
    path = tmp_path / "new" / "x.md"
    write(session(document(make)), path)
    assert path.read_text(encoding="utf-8") == markdown(session(document(make)))
    before = path.read_bytes()
    monkeypatch.setattr(written, "markdown", lambda document: "\ud800")
    with pytest.raises(UnicodeEncodeError):
        write(session(), path)
    assert path.read_bytes() == before

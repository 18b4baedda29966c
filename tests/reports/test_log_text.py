"""Error lines beside the requests of their moment, on literals."""

from __future__ import annotations

from types import SimpleNamespace

from msgspec import structs

from pytest_llmserve.domain.log import LogLine, LogWindow
from pytest_llmserve.domain.marks import turn_id
from pytest_llmserve.reports import answers
from pytest_llmserve.reports.log_text import chosen, log_document, log_lines

S = 1_000_000_000


def line(at_s, text="CUDA out of memory", pattern="out of memory"):
    return LogLine(at_ns=round(at_s * S), since_ns=round((at_s - 0.1) * S), text=text, pattern=pattern)


def window(*lines, more=0):
    counts = {}
    for one in lines:
        counts[one.pattern] = counts.get(one.pattern, 0) + 1
    counts[lines[0].pattern] += more
    return LogWindow(lines=lines, counts=counts, read=99)


def test_lines_are_shown_with_the_requests_of_their_moment(make):
    """Failed ones first, a few at the most; of two runs by number; each reading once."""
    failed = make.record(7, sent_ns=2 * S, end_ns=3 * S, outcome="http_5xx")
    records = [*(make.record(n, 5000) for n in range(7)), failed]
    log = window(line(3.0), line(3.0, "SIGSEGV", "crash"), line(90), more=4)
    said = log_lines(log, [make.run(records)], 1 * S, 9)
    assert said == [
        "server's log, error lines: out of memory 6, crash 1, 3 of them:",
        "  2.0 s into the test: CUDA out of memory",
        "  2.0 s into the test: SIGSEGV",
        "    requests of that moment: id 7 (http_5xx), 0, 1, 2 and 1 more",
        "  89.0 s into the test: CUDA out of memory",
    ]
    both = log_lines(window(line(3.0)), [make.run(records[7:]), make.run(records[:1])], S, 9)
    assert both[-1] == "    requests of that moment: id 7 (http_5xx) of run 1; id 0 of run 2"


def test_the_first_of_each_kind_is_shown_before_more_of_one():
    """In the order in which they came."""
    lines = [line(1), line(2), line(3), line(4, "SIGSEGV", "crash")]
    assert [one.at_ns // S for one in chosen(lines, 3)] == [1, 2, 4]
    assert [one.at_ns // S for one in chosen(lines, 1)] == [1, 4]


def test_lines_are_shown_without_the_answers_of_their_moment(make, monkeypatch):
    """Those of the turns before it too; not those of another moment; all of them when texts are kept."""
    texts = {1: "whales are very old", 2: "otters sleep on their backs", 3: "herons fish at noon"}
    times = {1: 1, 2: 2, 3: 60}
    records = [
        make.record(
            number,
            sent_ns=s * S,
            scheduled_ns=s * S,
            end_ns=(s + 1) * S,
            text_at=0,
            texts=SimpleNamespace(read=lambda at, number=number: texts[number]),
        )
        for number, s in times.items()
    ]
    log = window(line(2.5, "ERROR: whales are very old, otters sleep on their backs, herons fish at noon"))
    bare = log_lines(log, [make.run(records)], 0, 9, keep_text=False)
    assert bare[1] == "  2.5 s into the test: ERROR: whales are very old, [answer], herons fish at noon"
    assert "otters sleep on their backs" in log_lines(log, [make.run(records)], 0, 9, keep_text=True)[1]
    first = structs.replace(records[0], id=turn_id(1, 1), turn=1)
    second = structs.replace(records[1], id=turn_id(1, 2), turn=2, scheduled_ns=5 * S // 2)
    said = log_lines(log, [make.run([first, second])], 0, 9, keep_text=False)
    assert said[1] == "  2.5 s into the test: ERROR: [answer], [answer], herons fish at noon"
    monkeypatch.setattr(answers, "_MOST_S", -1)
    withheld = log_lines(log, [make.run(records)], 0, 9, keep_text=False)
    assert withheld[1] == f"  2.5 s into the test: {answers.NOT_SHOWN}"


def test_a_log_without_errors_is_not_spoken_of():
    """Nor one that is not known."""
    assert log_lines(LogWindow(missing="not known"), [], 0, 9) == []


def test_a_report_holds_what_lines_say_only_when_texts_are_kept():
    """They may hold prompts, as answers do."""
    log = window(line(3.0))
    without, kept = log_document(log, 1 * S, False), log_document(log, 1 * S, True)
    assert without["lines"] == [{"at_s": 2.0, "pattern": "out of memory", "chars": 18}]
    assert kept["lines"] == [without["lines"][0] | {"text": "CUDA out of memory"}]
    assert (without["errors"], without["by_pattern"], without["read"]) == (1, {"out of memory": 1}, 99)

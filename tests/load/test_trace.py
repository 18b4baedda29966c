"""A recorded trace: rows to arrivals, and what is said of a wrong row."""

from __future__ import annotations

import json

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.load.trace import (
    TraceRow,
    end_of,
    prompt_text,
    read_trace,
    rows_from_json,
    rows_to_json,
    sized,
    within_plan,
)

S = 10**9


@pytest.fixture
def trace(tmp_path):
    """A file of these rows; a text is a line as it stands."""

    def write(*rows):
        path = tmp_path / "calls.jsonl"
        path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
        return str(path)

    return write


def test_rows_become_arrivals_counted_from_the_first(trace):
    """Seconds or milliseconds, in order of time, blank lines left out, other fields ignored."""
    path = trace(
        {"timestamp": 100.5, "input_chars": 30, "user": "a"},
        "",
        {"timestamp_ms": 100_250, "input_tokens": 10, "output_tokens": 5},
        {"at_s": 102, "prompt": "Hi"},
        {"at_s": 103, "prompt": [{"role": "user", "content": "Ho"}], "output_tokens": None},
    )
    assert read_trace(path) == [
        TraceRow(at_ns=0, chars=40, output_tokens=5),
        TraceRow(at_ns=S // 4, chars=30),
        TraceRow(at_ns=7 * S // 4, prompt="Hi"),
        TraceRow(at_ns=11 * S // 4, prompt=[{"role": "user", "content": "Ho"}]),
    ]


def test_speed_divides_the_instants(trace):
    path = trace(*({"at_s": at, "input_chars": 5} for at in (10, 12, 16)))
    assert [row.at_ns for row in read_trace(path, speed=4)] == [0, S // 2, 3 * S // 2]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"),
        ("7", 'not an object: write rows such as {"timestamp": 0.5, "input_tokens": 200}'),
        ({"input_chars": 3}, "has no time: give one of timestamp, at_s, timestamp_ms"),
        (
            {"at_s": 1, "timestamp": 1, "input_chars": 3},
            "has a time more than once: give one of timestamp, at_s",
        ),
        ({"at_s": "1", "input_chars": 3}, "at_s is '1', not a number"),
        ({"at_s": True, "input_chars": 3}, "at_s is True, not a number"),
        ({"timestamp": 1}, "has no length: give one of prompt, input_chars, input_tokens"),
        (
            {"at_s": 1, "prompt": "x", "input_chars": 3},
            "has a length more than once: give one of prompt, input_chars",
        ),
        ({"at_s": 1, "input_chars": 0}, "input_chars is 0, not a whole number of 1 or more"),
        ({"at_s": 1, "input_tokens": 2.5}, "input_tokens is 2.5, not a whole number of 1 or more"),
        (
            {"at_s": 1, "prompt": "x", "output_tokens": -1},
            "output_tokens is -1, not a whole number of 1 or more",
        ),
        ({"at_s": 1, "prompt": ["x"]}, "prompt is neither a text nor a list of chat messages"),
        (
            {"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46]},
            "a row in Mooncake's form, whose timestamp is in milliseconds: rename timestamp to timestamp_ms,"
            " input_length to input_tokens and output_length to output_tokens",
        ),
    ],
)
def test_a_wrong_row_is_told_with_its_line(trace, row, said):
    path = trace({"at_s": 0, "input_chars": 9}, row)
    with pytest.raises(SetupError) as caught:
        read_trace(path)
    assert str(caught.value) == f"trace {path}, line 2: {said}"


def test_a_trace_that_is_not_there_or_empty_is_told(trace, tmp_path):
    gone = tmp_path / "gone.jsonl"
    with pytest.raises(SetupError) as caught:
        read_trace(str(gone))
    assert str(caught.value) == f"trace {gone} cannot be read: No such file or directory"
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes(b'{"at_s": 0, "prompt": "\xfc"}')
    with pytest.raises(SetupError) as caught:
        read_trace(str(latin))
    assert str(caught.value) == f"trace {latin} cannot be read: not UTF-8 at byte 23"
    path = trace("", " ")
    with pytest.raises(SetupError) as caught:
        read_trace(path)
    assert str(caught.value) == (
        f'trace {path} is empty: write rows such as {{"timestamp": 0.5, "input_tokens": 200}}'
    )


def test_duration_and_requests_cut_a_trace():
    """The warm-up is its beginning and counts for neither."""
    rows = [TraceRow(at_ns=at, chars=1) for at in range(10)]
    kept = [
        [row.at_ns for row in within_plan(rows, LoadPlan(trace="x", warm_up_ns=2, **bounds))]
        for bounds in ({}, {"duration_ns": 5}, {"requests": 3}, {"requests": 9, "duration_ns": 4})
    ]
    assert kept == [[*range(10)], [*range(7)], [*range(5)], [*range(6)]]


def test_a_trace_ends_after_its_last_row():
    assert end_of([TraceRow(at_ns=5, chars=1), TraceRow(at_ns=9, chars=1)]) == 10
    assert end_of([]) == 0


def test_rows_travel_to_a_worker():
    """Lone surrogates too."""
    rows = [TraceRow(at_ns=5, prompt="a\ud800"), TraceRow(at_ns=6, chars=9, output_tokens=2)]
    assert rows_from_json(rows_to_json(rows)) == rows


@pytest.mark.parametrize(
    ("text", "chars", "made"), [("ab", 7, "ab ab a"), ("abcdef", 3, "abc"), ("", 2, "  ")]
)
def test_a_prompt_is_made_to_length(text, chars, made):
    assert sized(text, chars) == made


def test_all_a_chat_says_is_its_text():
    parts = [{"type": "text", "text": "c"}, {"type": "image_url", "image_url": {}}]
    chat = [{"role": "system", "content": "a"}, {"role": "user", "content": parts}, {"role": "tool"}]
    assert prompt_text(chat) == "a c"
    assert prompt_text("x") == "x"

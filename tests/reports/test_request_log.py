"""The request log, on literal requests."""

import pytest

from pytest_llmserve.domain.marks import nonce, turn_id
from pytest_llmserve.domain.record import NOT_KEPT
from pytest_llmserve.reports.request_log import id_digits, log_lines, quoted, request_name
from pytest_llmserve.serve.reply import OneText

SALT = "ab12cd34"


def lines(make, *records):
    def asked(request_id):
        return f"I am so {'happy' if request_id % 2 else 'sad, s3cret'}"

    return list(
        log_lines(
            make.run(list(records)),
            asked,
            lambda request_id: f"[{nonce(SALT, request_id)}] {asked(request_id)}",
            lambda text: text.replace("s3cret", "***"),
            name="2",
            nodeid="test_a.py::test_it",
            wall_ns=1_700_000_000 * 10**9,
        )
    )


def test_a_line_tells_what_was_asked_and_answered(make):
    """With the mark by which it can be found again; secrets left out, errors told."""
    said = {"text_at": 0, "texts": OneText('joy\n"s3cret"')}
    told = lines(
        make,
        make.record(1, task="emotion", **said),
        make.record(2, 55.25, warm_up=True, attempt=2, text_at=NOT_KEPT),
        make.failed(3, error="500: s3cret"),
        make.record(4, outcome="dropped", sent_ns=None, end_ns=None, status=None, error="never sent"),
    )
    warm_up, first, failed, dropped = told
    assert first == (
        '[REQ-46e5] TASK=emotion INPUT="[494a46e5] I am so happy" -> OUTPUT="joy\\n\\"***\\"" OUTCOME=ok'
        " STATUS=200 MS=100.0 AT=2023-11-14T22:13:21.000Z INPUT_SHA=f52b2187 OUTPUT_SHA=82117d89 ID=1"
        ' RUN=2 TEST="test_a.py::test_it"'
    )
    assert warm_up.startswith('[REQ-c096] TASK=- INPUT="[e781c096] I am so sad, ***" -> OUTPUT=null OUT')
    assert " MS=55.2 AT=2023-11-14T22:13:22.000Z ATTEMPT=2 WARM_UP=true INPUT_SHA=" in warm_up
    assert "OUTPUT_SHA=-" in warm_up
    assert ' OUTCOME=http_5xx STATUS=200 ERROR="500: ***" MS=' in failed
    assert ' -> OUTPUT="" OUTCOME=dropped ERROR="never sent" MS=- AT=2023-11-14T22:13:24.000Z' in dropped


def test_equal_texts_have_equal_fingerprints(make):
    """Of the input without its mark."""
    found = [line.split("INPUT_SHA=")[1].split()[0] for line in lines(make, *map(make.record, range(4)))]
    assert found[0] == found[2] != found[1] == found[3]


@pytest.mark.parametrize("text", ['a\nb\r"c"\\', "\u2028\u2029\x85\x1c\x7f", "\ud800 grin \U0001f600", ""])
def test_any_text_stays_on_its_line_and_can_be_read_back(text):
    import json

    line = quoted(text)
    assert line.splitlines() == [line]
    assert line.encode()
    assert json.loads(line) == text


@pytest.mark.parametrize(("highest", "digits"), [(0, 4), (65_535, 4), (65_536, 5), (1 << 40, 8)])
def test_names_are_as_long_as_it_takes_to_tell_them_apart(highest, digits):
    assert id_digits(highest) == digits


def test_names_of_65536_requests_differ():
    assert len({request_name(SALT, i, 4) for i in range(65_536)}) == 65_536
    assert request_name(None, 300, 4) == "012c"


def test_the_turns_of_a_conversation_have_one_name(make):
    """As long as its mark needs, whatever their ids."""
    first, second = lines(make, make.record(1, turn=1), make.record(turn_id(1, 2), turn=2))
    assert first[: len("[REQ-46e5]")] == second[: len("[REQ-46e5]")] == "[REQ-46e5]"
    assert (" TURN=1 " in first, " TURN=2 " in second) == (True, True)
    assert request_name(None, turn_id(10, 3), 4) == "000a"

"""The table of turns, on literal ones."""

from pytest_llmserve.reports.turns import HEADS, MOST, table_rows


def turn(number):
    figures = {"p50": 10.0 * number, "p95": 20.0}
    return {
        "turn": number,
        "counts": {"sent": 9, "ok": 8, "failed": 1},
        "input_chars": 99.5,
        "metrics": {"ttft_ms": figures, "e2e_ms": {"p50": None, "p95": 5.0}},
    }


def figure(value, column):
    return f"{column}={value}"


def test_a_row_has_a_cell_under_each_head():
    (row,) = table_rows([turn(2)], figure)
    assert row == ["2", "n=9", "failed=1", "100", "p50=20.0", "p95=20.0", "p50=None", "p95=5.0"]
    assert len(row) == len(HEADS)


def test_beyond_twenty_the_rest_is_counted():
    rows = table_rows([turn(number) for number in range(1, MOST + 4)], figure)
    assert (len(rows), rows[-1][0]) == (MOST + 1, "and 3 more")
    assert len(table_rows([turn(number) for number in range(1, MOST + 1)], figure)) == MOST

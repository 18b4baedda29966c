"""The report of a run of an hour with 200,000 requests: written, sent by mail and opened without waiting."""

from __future__ import annotations

import time

import pytest
from looking import draw_all
from sample_document import big_document

from pytest_llmserve.reports.html.page import write

WRITTEN_S = 20
LARGEST = 3_000_000
OPENED_S = 3
BUSY = 5
"""So many times longer may it take where other tests have both cores; alone it takes a tenth of this."""

OPENED_MS = """async () => {
    while (!document.querySelector('.plot-box[data-drawn="yes"]')) {
        await new Promise(requestAnimationFrame);
    }
    await new Promise(requestAnimationFrame);
    return performance.now();
}"""
"""From the beginning of the navigation until the first plots stand there."""


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """(path, seconds it took to come from records to the file)."""
    path = tmp_path_factory.mktemp("big") / "report.html"
    began = time.monotonic()
    write(big_document(), path)
    return path, time.monotonic() - began


@pytest.mark.slow
def test_a_big_report_is_small_and_opens_at_once(visit, big):
    """Under 3 MB, in under 20 s; the first plots in under 3 s, and every one of them when it is looked at."""
    path, took_s = big
    assert took_s < WRITTEN_S * BUSY
    assert path.stat().st_size < LARGEST
    page = visit(path, viewport={"width": 1280, "height": 900})
    opened_s = page.evaluate(OPENED_MS) / 1000
    print(f"written in {took_s:.1f} s, {path.stat().st_size:,} bytes, opened in {opened_s:.2f} s")
    assert opened_s < OPENED_S * BUSY
    assert set(draw_all(page)) == {"yes"}
    assert page.said == []

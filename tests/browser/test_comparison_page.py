"""The page of `pytest-llmserve compare`, opened as people open it."""

from __future__ import annotations

import random

import pytest
from looking import INK, draw_all

from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.reports.html.comparison import write
from pytest_llmserve.reports.kept_pairs import comparison_document, paired

GRAVE = {"serious", "critical"}
PLANTED = '</script><script>planted()</script><img src=x onerror="planted()">'


def run(times, seed):
    dice = random.Random(seed)
    e2e = [times * dice.uniform(80, 120) for _ in range(500)]
    return Measurement(
        name=PLANTED,
        plan={},
        series={"e2e_ms": e2e},
        rates={"requests_per_s": [dice.uniform(30, 40) for _ in range(10)]},
        throughput={"requests_per_s": 35.0},
        counts={"sent": 500, "failed": 0},
        server={"url": "http://127.0.0.1:1", "model": PLANTED},
    )


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """Two runs of one test, with script in every name."""
    pairs, _ = paired({(PLANTED, 1): run(1.0, 1)}, {(PLANTED, 1): run(1.3, 2)})
    path = tmp_path_factory.mktemp("comparison") / "difference.html"
    write(comparison_document((PLANTED, "branch"), pairs, [PLANTED], {}), path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_opens_quietly_draws_both_runs_and_fits(visit, comparison, width):
    """Nothing on the console, nothing asked for, no blank plot, no sideways scroll, no planted script run."""
    page = visit(comparison, viewport={"width": width, "height": 900})
    assert set(draw_all(page)) == {"yes"}
    for box in page.locator(".plot-box").all():
        assert box.evaluate(INK)["share"] > 0.01, box.get_attribute("data-plot")
    assert page.locator(".plot-box").count() == 4
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("td", has_text="▲ worse:").count() >= 1
    assert (page.said, page.asked) == ([], [comparison.as_uri()])


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_fault_for_those_who_use_no_eyes_or_mouse(visit, comparison, scheme):
    """axe-core, in both themes."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    page = visit(comparison, color_scheme=scheme, bypass_csp=True)
    found = axe.Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in GRAVE] == []

"""The whole report as people open it: from a file, without a network, on any screen and on paper."""

from __future__ import annotations

import json

import pytest
from looking import INK, draw_all, figure, point_at, until
from sample_document import bad_test, document

from pytest_llmserve.reports.html.page import write


@pytest.fixture(scope="module")
def one_test(tmp_path_factory):
    """A report of one test that failed: all kinds of sections and plots, and the fewest elements."""
    path = tmp_path_factory.mktemp("one") / "report.html"
    write(document(bad_test()), path)
    return path


GRAVE = {"serious", "critical"}
PLANTED = "</script><script>planted()</script><img src=x onerror=\"planted()\"><svg onload='planted()'>"
COLOURS = """() => getComputedStyle(document.documentElement).getPropertyValue("--plot-a").trim()"""
LIGHT, DARK = "#1f5fbf", "#6ea8ff"


def test_the_report_opens_quietly_and_draws_every_plot(visit, sample):
    """No word on the console, nothing asked for but the file, and no canvas is blank."""
    page = visit(sample, viewport={"width": 1280, "height": 900})
    states = draw_all(page)
    assert len(states) > 20
    assert set(states) == {"yes"}
    for box in page.locator(".plot-box").all():
        ink = box.evaluate(INK)
        assert ink["share"] > 0.02, box.get_attribute("data-plot")
        assert ink["colours"] > 4, box.get_attribute("data-plot")
    assert page.said == []
    assert page.asked == [sample.as_uri()]


def test_plots_are_drawn_when_they_are_looked_at(visit, sample):
    """A report opens fast because what is not seen is not drawn."""
    page = visit(sample, viewport={"width": 1280, "height": 400})
    drawn = page.locator('.plot-box[data-drawn="yes"]').count()
    assert drawn < page.locator(".plot-box").count() / 2


def test_plots_of_a_test_move_together(visit, sample):
    """The server's memory is told at the instant that is pointed at among the latencies."""
    page = visit(sample, viewport={"width": 1280, "height": 900})
    draw_all(page)
    latency = figure(page, "-e2e")
    memory = page.locator(f'figure[id="{latency.get_attribute("id").removesuffix("e2e")}memory"]')
    point_at(latency, 0.5)
    assert memory.locator(".plot-where").inner_text().startswith("time into the test: ")
    assert memory.locator(".plot-value").first.inner_text().endswith(" MB")


def test_light_and_dark_differ_and_the_button_changes_them(visit, sample):
    """By the reader's preference, and by the button; plots follow both."""
    page = visit(sample, color_scheme="light")
    draw_all(page)
    canvas = page.locator(".plot-box canvas").first
    picture = "(canvas) => canvas.toDataURL()"
    light = canvas.evaluate(picture)
    assert page.evaluate(COLOURS) == LIGHT
    page.emulate_media(color_scheme="dark")
    until(page, f"({COLOURS})() === '{DARK}'")
    dark = canvas.evaluate(picture)
    assert dark != light
    page.locator("#theme").click()
    assert page.evaluate(COLOURS) == LIGHT
    assert canvas.evaluate(picture) == light


def test_paper_is_light_and_has_every_plot(visit, sample):
    """Also in the dark, and also those plots that nobody has looked at; afterwards all is as before."""
    page = visit(sample, color_scheme="dark", viewport={"width": 1280, "height": 400})
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    states = page.evaluate("[...document.querySelectorAll('.plot-box')].map((box) => box.dataset.drawn)")
    assert set(states) == {"yes"}
    assert page.evaluate(COLOURS) == LIGHT
    widths = page.evaluate("[...document.querySelectorAll('canvas')].map((each) => each.clientWidth)")
    assert set(widths) == {660}
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(COLOURS) == DARK
    assert page.pdf(format="A4")[:5] == b"%PDF-"
    assert page.said == []


def test_a_phone_needs_no_sideways_scrolling(visit, sample):
    """At 360 px, all unfolded."""
    page = visit(sample, viewport={"width": 360, "height": 740}, device_scale_factor=2)
    assert set(draw_all(page)) == {"yes"}
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_nothing_keeps_anybody_from_reading_it(visit, one_test):
    """axe-core finds no serious or critical fault, all unfolded, and no faint text in the dark either."""
    page = visit(one_test, color_scheme="light", viewport={"width": 1280, "height": 900})
    # Plots are made alike: of each place the first two are looked at, which takes a tenth of the time.
    page.evaluate(
        "document.querySelectorAll('.plots figure:nth-child(n + 3)').forEach((each) => each.remove())"
    )
    draw_all(page)
    page.evaluate("document.querySelector('.as-table').open = true")
    assert faults(page) == {}
    page.emulate_media(color_scheme="dark")
    until(page, f"({COLOURS})() === '{DARK}'")
    assert faults(page, "color-contrast") == {}


def faults(page, *rules):
    """{rule: where}, of those that keep people from reading."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"runOnly": {"type": "rule", "values": list(rules)}} if rules else {}
    answer = Axe().run(page, options=options).response
    assert answer["passes"], "axe looked at nothing"
    found = [each for each in answer["violations"] if each["impact"] in GRAVE]
    return {each["id"]: each["nodes"][0]["html"][:200] for each in found}


def test_the_figures_are_there_without_script(visit, sample):
    """Words, tables and limits; only the canvases are missing."""
    page = visit(sample, java_script_enabled=False)
    assert "failed" in page.locator("h1").inner_text()
    plot = figure(page, "-e2e")
    assert "in the median, highest" in plot.locator("figcaption").text_content()
    assert plot.locator("td").count() > 20
    assert page.locator("canvas").count() == 0


def planted(value):
    """The same plain data with a script in every text that a server or a user may have written."""
    if isinstance(value, dict):
        return {key: each if key in KEPT else planted(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [planted(each) for each in value]
    return value + PLANTED if isinstance(value, str) else value


KEPT = {"schema", "outcome", "verdict", "kind", "check", "definitions", "started_at", "what"}
"""Words of our own, by which the page decides."""


def test_a_planted_script_stands_there_as_text_and_does_not_run(visit, tmp_path):
    """In names, models, errors, lines of the log and marks; nothing of it is asked for either."""
    path = tmp_path / "planted.html"
    write(planted(document(bad_test(keep_text=True))), path)
    page = visit(path, before="window.planted = () => { window.ran = true; };")
    draw_all(page)
    assert page.evaluate("window.ran") is None
    assert page.said == []
    assert page.asked == [path.as_uri()]
    assert "<script>planted()</script>" in page.locator("main").inner_text()
    assert page.locator("main script, main img, main svg[onload]").count() == 0
    plots = json.loads(page.locator("#llmserve-plots").text_content())
    assert any("planted()" in mark["label"] for mark in plots[0]["marks"])

"""What the tests of the page do and see there."""

from __future__ import annotations

import time

DRAWN = """() => [...document.querySelectorAll(".plot-box")].map((box) => box.dataset.drawn || "not yet")"""

INK = """(box) => {
    const canvas = box.querySelector("canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    let painted = 0;
    for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3] > 0) {
            painted += 1;
            seen.add((data[at] >> 4) + "," + (data[at + 1] >> 4) + "," + (data[at + 2] >> 4));
        }
    }
    return { share: (4 * painted) / data.length, colours: seen.size };
}"""
"""How much of a canvas is painted, and in how many colours."""


def until(page, expression, limit_s=60.0):
    """Wait until this is true in the page.

    Not by `wait_for_function`, which evaluates text there: the page's policy forbids that.
    """
    end = time.monotonic() + limit_s
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"not true after {limit_s:g} s: {expression}"
        page.wait_for_timeout(50)


def unfold(page):
    """Open all that is folded but the tables of plots."""
    page.evaluate(
        "document.querySelectorAll('details:not(.as-table)').forEach((each) => { each.open = true; })"
    )


def draw_all(page):
    """Look at every plot, as a reader who scrolls; how each came out."""
    unfold(page)
    boxes = page.locator(".plot-box")
    for place in range(boxes.count()):
        boxes.nth(place).scroll_into_view_if_needed()
    until(page, f"({DRAWN})().every((state) => state !== 'not yet')")
    return page.evaluate(DRAWN)


def figure(page, name):
    """The plot whose id ends so."""
    return page.locator(f'figure.plot[id$="{name}"]').first


def point_at(plot, share):
    """Move the pointer over the plot, at this share of its width."""
    over = plot.locator(".u-over")
    over.scroll_into_view_if_needed()
    size = over.bounding_box()
    over.hover(position={"x": share * (size["width"] - 1), "y": size["height"] / 2})


def values(plot):
    """{name of a series: what its legend says}."""
    rows = plot.locator(".plot-legend li:not(.plot-y-name)").all()
    return {row.locator("button").inner_text(): row.locator(".plot-value").inner_text() for row in rows}


def where(plot):
    """The line below the plot: the place on the x axis, and what is marked there."""
    return plot.locator(".plot-where").inner_text()


def drag(page, plot, begin, end):
    """Zoom by a drag between two shares of the width."""
    over = plot.locator(".u-over")
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + begin * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], y, steps=5)
    page.mouse.up()

"""The page around the sections: head, styles, scripts, and the rule that nothing else may run or load."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from pytest_llmserve import __version__
from pytest_llmserve.reports.html.drawing import asset, plot_scripts, plot_styles, plots_element
from pytest_llmserve.reports.html.markup import Child, Markup, join, raw, tag
from pytest_llmserve.reports.html.plot import Plot


def whole_page(title: str, *children: Child, plots: Sequence[Plot] = ()) -> str:
    """A page that needs no other file and asks for none.

    Args:
        title: of the window.
        children: of the body: a banner, `main`, a footer.
        plots: whose figures stand in it.
    """
    styles = [*([plot_styles()] if plots else []), raw(asset("report.css"))]
    scripts = [raw(asset("page.js")), *([plot_scripts()] if plots else [])]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(scripts, styles)),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("meta", name_="generator", content=f"pytest-llmserve {__version__}"),
        tag("title", title),
        [tag("style", style) for style in styles],
    )
    body = tag(
        "body",
        *children,
        plots_element(plots) if plots else None,
        [tag("script", script) for script in scripts],
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """Only these run; nothing is fetched, sent or embedded."""
    rules = [
        "default-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        f"script-src {' '.join(map(_hash, scripts))}",
        f"style-src {' '.join(map(_hash, styles))}",
    ]
    return "; ".join(rules)


def _hash(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def banner(*children: Child, tone: str = "quiet") -> Markup:
    """The top of a page: a way past it, its first words, the button for light and dark.

    Args:
        children: what it says.
        tone: of `words.TONES`.
    """
    skip = tag("a", "Skip to the results", href="#results", class_="skip")
    button = tag("button", "Dark", type="button", id="theme", hidden=True)
    inside = tag("div", button, tag("div", *children, class_="first"), class_="inner")
    return join(skip, tag("header", inside, class_=f"banner {tone}"))


def main(*children: Child) -> Markup:
    """What the page is for."""
    return tag("main", *children, id="results", tabindex="-1")

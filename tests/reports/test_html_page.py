"""The HTML report as a whole: what stands in it, that it needs nothing else, and that nothing else runs."""

from __future__ import annotations

import copy
import itertools

import pytest
import sample_document
from html_outline import Outline, bare, hash_of

from pytest_llmserve.reports.html.page import page, write

PLANTED = "<script>alert(1)</script>\"'>&<img src=x onerror=alert(2)>javascript:alert(3)"
ENUMERATED = {"outcome", "verdict", "schema", "nodeid", "transport", "ended", "kind", "tls", "check", "axis"}


@pytest.fixture(scope="module")
def document():
    return sample_document.document()


@pytest.fixture(scope="module")
def whole(document):
    return page(document)


@pytest.fixture(scope="module")
def outline(whole):
    return Outline(whole)


def test_report_has_its_parts_in_order(outline):
    """First the verdict, then a card a test, failing first, then the details, then what figures mean."""
    assert [each for each in outline.headings if each[0] < 4 or each[1] in {"Diagnosis", "Stages"}] == [
        (1, "✗1 of 2 tests failed: TestLoad::test_keeps_answering; 1 limit undecided"),
        (2, "Tests"),
        (3, "✗failed TestLoad::test_keeps_answeringtests/test_chat.py"),
        (4, "Diagnosis"),
        (3, "✓passed test_answers_fast_while_users_come[chat-20]tests/test_chat.py"),
        (2, "Details"),
        (3, "✓passed test_answers_fast_while_users_come[chat-20]"),
        (5, "Stages"),
        (3, "✗failed TestLoad::test_keeps_answering"),
        (2, "Definitions"),
        (2, "Environment"),
    ]
    parts = [text for level, text in outline.headings if level == 4]
    assert parts == [
        *("Diagnosis", "Through the test", "Run 1 of 2", "Run 2 of 2", "Server", "Server log"),
        *("Through the test", "Run", "Server", "Restarts", "Server log"),
    ]
    assert outline.texts["title"] == [
        "1 of 2 failed - SmolLM2-135M at http://127.0.0.1:8000 - pytest-llmserve"
    ]


def test_report_is_sound_html(outline):
    """Elements are closed in order, ids are there once, one h1, no level of heading is left out."""
    assert outline.unclosed == []
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    levels = [level for level, _ in outline.headings]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    targets = {attributes["href"] for attributes in outline.all("a")}
    assert {target[0] for target in targets} == {"#"}
    assert {target[1:] for target in targets} <= set(ids)


def test_tables_and_plots_are_told_to_those_who_do_not_see_them(outline):
    """Each table has a caption and scopes; each figure names and describes itself; pictures are hidden."""
    assert len(outline.texts["caption"]) == len(outline.all("table"))
    assert all(attributes.get("scope") in {"col", "row"} for attributes in outline.all("th"))
    assert all(attributes.get("aria-hidden") == "true" for attributes in outline.all("svg"))
    ids = {attributes["id"] for _, attributes in outline.tags if "id" in attributes}
    figures = outline.all("figure")
    assert figures
    for figure in figures:
        assert {figure["aria-labelledby"], figure["aria-describedby"]} <= ids
    assert {attributes["lang"] for attributes in outline.all("html")} == {"en"}


def test_every_plot_has_a_box_and_its_data(outline):
    boxes = {attributes["data-plot"] for attributes in outline.all("div", **{"class": "plot-box"})}
    assert boxes == {plot["id"] for plot in outline.plots}
    assert len(boxes) > 10


def test_nothing_but_its_own_script_runs_and_nothing_is_loaded(whole, outline):
    """The policy names the hashes of what stands there, and no element asks for another file."""
    own = [
        text
        for text, attributes in zip(outline.texts["script"], outline.all("script"), strict=True)
        if attributes.get("type") != "application/json"
    ]
    policy = outline.policy
    assert policy["default-src"] == "'none'"
    assert policy["script-src"].split() == [hash_of(text) for text in own]
    assert policy["style-src"].split() == [hash_of(text) for text in outline.texts["style"]]
    attributes = [each for _, found in outline.tags for each in found]
    assert not {"src", "srcset", "style", "action", "data", "poster"} & set(attributes)
    assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in "".join(outline.texts["style"])
    assert "@import" not in "".join(outline.texts["style"])


def planted(value, key=""):
    """Every text of the document that is not one of a few words of ours, with script in it."""
    if isinstance(value, dict):
        return {name: planted(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [planted(each, key) for each in value]
    if key == "nodeid":
        return f"{value}[{PLANTED}]"
    return value + PLANTED if isinstance(value, str) and key not in ENUMERATED else value


def test_planted_script_stays_text(document, outline):
    """In names, parameters, URLs, headers, errors, log lines: the same elements, and the words to be read."""
    bad = sample_document.bad_test(keep_text=True)
    marred = planted(copy.deepcopy(document | {"tests": [sample_document.good_test(), bad]}))
    run = marred["tests"][1]["runs"][0]
    run["counts"]["by_outcome"][PLANTED] = 1
    run["errors"][0]["outcome"] = run["slowest"][0]["outcome"] = PLANTED
    marred["tests"][1]["log"]["by_pattern"][PLANTED] = 1
    marred["tests"][1]["stacks"] = [
        {
            "at_s": 1.0,
            "why": PLANTED,
            "missing": [PLANTED],
            "threads": [
                {"pid": 1, "server": PLANTED, "thread": PLANTED, "state": "runs", "frames": [PLANTED]}
            ],
        }
    ]
    text = page(marred)
    found = Outline(text)
    assert found.unclosed == []
    assert len(found.all("script")) == len(outline.all("script"))
    assert found.policy == outline.policy
    assert {name for name, _ in found.tags} <= {name for name, _ in outline.tags} | {"pre"}
    assert "<img" not in bare(text)
    assert not [name for _, each in found.tags for name in each if name.startswith("on")]
    assert {attributes["href"][0] for attributes in found.all("a")} == {"#"}
    assert found.words.count("<script>alert(1)</script>") > 50


def test_report_of_no_test_says_so(document):
    found = Outline(page(document | {"tests": []}))
    assert [text for level, text in found.headings if level < 3] == [
        *("–No test used the server", "Definitions", "Environment")
    ]
    assert found.texts["title"] == ["No test - pytest-llmserve"]
    assert found.plots == []


def plain_test(nodeid, outcome="passed", **more):
    """A test without a load, as the document has it."""
    return {
        "nodeid": nodeid,
        "attempt": 1,
        "outcome": outcome,
        "server": None,
        "runs": [],
        "verdicts": [],
        "not_judged": None,
        "diagnosis": [],
        "resources": {},
        "log": None,
        "liveness": None,
        "stacks": [],
        "stacks_missing": None,
        **more,
    }


def test_five_hundred_cases_are_one_card(document):
    """Cases of one test that passed stand together, and have no details; one that failed stands alone."""
    survival = {"cases": 3, "survived": 3, "restarts": 0, "restart_s": 0.0, "faults": []}
    cases = [plain_test(f"tests/test_a.py::test_it[{n}]", survival=survival) for n in range(500)]
    cases[37] = plain_test("tests/test_a.py::test_it[37]", "failed")
    text = page(document | {"tests": cases})
    found = Outline(text)
    cards = found.all("article")
    assert [card["data-outcome"] for card in cards] == ["failed", "passed"]
    assert "499 cases" in found.words
    assert "Hostile inputs: 1,497 cases, 1,497 survived" in found.words
    assert len(found.all("details", **{"class": "test"})) == 1
    assert found.headings[0] == (1, "✗1 of 500 tests failed: test_it[37]")
    assert len(text) < 100_000


def test_several_cards_have_a_filter_that_script_shows(document):
    """Without script it is not there, for it would do nothing."""
    tests = [plain_test(f"tests/test_a.py::test_{name}", "skipped") for name in "abcdef"]
    found = Outline(page(document | {"tests": tests}))
    assert "hidden" in found.all("form", id="filter")[0]
    assert "hidden" in found.all("button", id="theme")[0]
    assert {card["data-text"] for card in found.all("article")} >= {"tests/test_a.py::test_a skipped"}
    few = Outline(page(document | {"tests": tests[:5]}))
    assert few.all("form") == []


def test_plots_that_have_no_room_are_left_out_with_a_word(document, monkeypatch):
    """A page that opens is worth more than one with every plot: a test that failed keeps its own."""
    monkeypatch.setattr("pytest_llmserve.reports.html.placing.PLOTS_UNTIL", 1)
    series = {"resources": {"series": {"at_s": [0.0, 1.0], "rss_mb": [10.0, 12.0]}}}
    tests = [plain_test(f"tests/test_a.py::test_{name}", **series) for name in "abc"]
    tests[1]["outcome"] = "failed"
    found = Outline(page(document | {"tests": tests}))
    assert {plot["id"].rpartition("-")[0] for plot in found.plots} == {"test-2"}
    assert found.words.count("No plots: with those of all tests this file would be too large") == 2


@pytest.fixture(scope="module")
def many(document):
    """The page of hundreds of tests with runs, of which half failed: as text, and read."""
    good, bad = sample_document.good_test(), sample_document.bad_test()
    verdicts = [dict(bad["verdicts"][0], sentence=f"limit {n}", verdict="pass", holds=True) for n in range(9)]
    bad["verdicts"] = [*bad["verdicts"][:1], *verdicts]
    tests = [
        dict(bad if n % 2 else good, nodeid=f"tests/test_{n}.py::test_{n}", started_at=None)
        for n in range(400)
    ]
    text = page(document | {"tests": tests})
    return text, Outline(text)


def test_page_of_hundreds_of_tests_with_runs_opens_at_once(many):
    """Each has its card; what there is no room for is a row, those that passed first: the page says so."""
    text, found = many
    assert len(text) < 3_000_000
    assert len(found.all("article")) == 400
    assert found.unclosed == []
    details = {each["id"]: each["data-outcome"] for each in found.all("details", **{"class": "test"})}
    assert set(details.values()) == {"failed"}
    assert 50 < len(details) < 150
    assert "tests are shortened, those that passed first: with all of every test this file" in found.words
    assert "Their runs; latencies in ms" in found.texts["caption"]
    assert {each["href"][1:] for each in found.all("a")} <= {*details, "results"}


def test_a_shortened_test_that_failed_says_what_went_wrong(many):
    """Its errors, its log, the limits that its card has no room for; its figures stand in a row."""
    _, _, last = many[0].rpartition('class="test"')
    short = Outline(last)
    headings = [title for level, title in short.headings if level in {4, 5}]
    assert headings[:3] == ["Further limits", "Run", "Errors"]
    assert "Server log" in headings
    assert "pass: limit 7" in short.words
    assert "pass: limit 5" not in short.words
    assert "test_399" in short.words
    assert short.all("figure") == []


def test_a_page_of_a_few_tests_lacks_nothing(document):
    """Plots may have no room; the tables of 60 tests have."""
    good = sample_document.good_test()
    tests = [dict(good, nodeid=f"t_{n}.py::test_{n}") for n in range(60)]
    found = Outline(page(document | {"tests": tests}))
    assert len(found.all("details", **{"class": "test"})) == 60
    assert "shortened" not in found.words


def test_cells_of_figures_carry_no_word_each(outline):
    """Thousands of them are most of a page; cells that hold words are told apart."""
    assert {each.get("class") for each in outline.all("td")} == {None, "words"}


def test_details_of_failed_tests_are_open(document, outline):
    """At most three, so that ten failures do not bury each other; of a session of one test that one."""
    told = {each["id"]: "open" in each for each in outline.all("details", **{"class": "test"})}
    assert told == {"test-1": False, "test-2": True}
    failed = [plain_test(f"tests/test_a.py::test_{name}", "failed") for name in "abcde"]
    many = Outline(page(document | {"tests": failed}))
    assert ["open" in each for each in many.all("details", **{"class": "test"})] == [True] * 3 + [False] * 2
    alone = Outline(page(document | {"tests": [plain_test("tests/test_a.py::test_a")]}))
    assert "open" in alone.all("details", **{"class": "test"})[0]


def test_of_a_test_that_was_run_again_the_last_attempt_counts(document):
    """The session passed; the attempt that failed stands last, closed, and says which it was."""
    first = plain_test("tests/test_a.py::test_a", "failed")
    second = plain_test("tests/test_a.py::test_a", attempt=2)
    found = Outline(page(document | {"tests": [first, second, plain_test("tests/test_a.py::test_b")]}))
    assert found.headings[0] == (1, "✓All 2 tests passed")
    assert [card["data-outcome"] for card in found.all("article")] == ["passed", "passed", "failed"]
    assert "✓passed test_aattempt 2tests/test_a.py" in [text for _, text in found.headings]
    assert not any("open" in each for each in found.all("details", **{"class": "test"}))


def test_report_is_written_whole_or_not_at_all(document, tmp_path, monkeypatch):
    """What stood there stays until the new page is complete; folders are made."""
    path = tmp_path / "new" / "report.html"
    write(document, path)
    first = path.read_text(encoding="utf-8")
    assert first.startswith("<!doctype html>\n<html")
    monkeypatch.setattr(
        "pathlib.Path.replace", lambda self, target: (_ for _ in ()).throw(OSError(28, "full"))
    )
    with pytest.raises(OSError, match="full"):
        write(document | {"tests": []}, path)
    assert path.read_text(encoding="utf-8") == first


def test_surrogates_and_controls_do_not_stop_the_report(document, tmp_path):
    """A server's bytes may be anything; the file is UTF-8 all the same."""
    test = plain_test("tests/test_a.py::test_it[\udc80\x00\x1b]", "failed", liveness="\ud800 gone")
    path = tmp_path / "report.html"
    write(document | {"tests": [test]}, path)
    assert "test_it[?\ufffd\ufffd]" in path.read_text(encoding="utf-8")


def test_cases_that_kept_their_limits_share_a_card(document):
    """With the case that came closest to the limit, and the way to the first; each has its details."""

    def case(number, estimate):
        said = f"p90 e2e latency {estimate} ms <= 300 ms (n=60)"
        found = {"check": "latency", "what": "p90 e2e latency", "limit": 300.0, "estimate": estimate}
        found |= {"interval": None, "n": 60, "verdict": "pass", "holds": True, "sentence": said}
        return plain_test(f"tests/test_a.py::test_l[{number}]", verdicts=[found])

    found = Outline(page(document | {"tests": [case(10, 14.0), case(100, 20.0), case(1000, 17.0)]}))
    assert len(found.all("article")) == 1
    assert "p90 e2e latency 20.0 ms <= 300 ms (n=60) (the closest of 3 cases: [100])" in found.words
    assert "3 cases" in found.words
    details = [each["id"] for each in found.all("details", **{"class": "test"})]
    assert len(details) == 3
    assert found.all("a", href=f"#{details[0]}")

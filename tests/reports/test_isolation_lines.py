"""What answers carried of other requests, in words and as data, and the figures of a mix."""

from __future__ import annotations

import json

from pytest_llmserve.domain.isolation import Asked, Carried, CarriedAnswers
from pytest_llmserve.domain.mix import TaskMix
from pytest_llmserve.reports.document import run_document, verdict_documents
from pytest_llmserve.reports.failure import failure_text
from pytest_llmserve.reports.isolation import carried_lines, mix_document, mix_lines

CHAT = Asked(id=17, run=1, task="chat", at_s=1.23)
PAIRS = (
    Carried(
        answer=CHAT,
        owner=Asked(id=23, run=1, task="sort", at_s=1.1),
        mark="0f3c9a21",
        at_char=7,
        apart_s=0.0,
        excerpt="Sure! [0f3c9a21]\nAs you",
    ),
    Carried(
        answer=Asked(id=3, run=2, alone=True, at_s=-4.0),
        owner=Asked(id=5, run=1, at_s=0.0),
        mark="b71e04d8",
        at_char=0,
        apart_s=2.04,
    ),
    Carried(answer=CHAT, owner=Asked(id=None, run=0, aborted=True), mark="5a92c6f0", at_char=0, apart_s=0.3),
    Carried(answer=CHAT, owner=Asked(id=9, run=1, task="sort", at_s=1.0), apart_s=0.0),
    Carried(answer=CHAT, owner=Asked(id=40, run=1), mark="ffffffff", at_char=2),
)


def broken(make, guilty=5):
    found = CarriedAnswers(answers=412, repeated=380, guilty=guilty, carried=PAIRS)
    return make.verdict(sentence="isolation: 5 of 412 answers carried another request's mark", answers=found)


def test_each_pair_is_named_with_its_times(make):
    """Under way at once or how long after, left by its client, asked alone; the words where they may be."""
    assert carried_lines([make.verdict(), broken(make)]) == [
        "answers with something of another request:",
        "  id 17 (chat, at 1.2 s) carried [0f3c9a21] of id 23 (sort, at 1.1 s) at character 7,"
        " both under way at once",
        "    ...'Sure! [0f3c9a21]\\nAs you'...",
        "  id 3 (asked alone, at -4.0 s) carried [b71e04d8] of id 5 (at 0.0 s) at character 0,"
        " over 2.0 s before",
        "  id 17 (chat, at 1.2 s) carried [5a92c6f0] of a request that its client had left at character 0,"
        " left 0.3 s before",
        "  id 17 (chat, at 1.2 s) is what id 9 (sort, at 1.0 s) was answered when asked alone,"
        " both under way at once",
        "  id 17 (chat, at 1.2 s) carried [ffffffff] of id 40 at character 2",
    ]


def test_of_several_runs_each_request_has_the_number_of_its_own(make):
    lines = carried_lines([broken(make, guilty=9)], runs=2)
    assert lines[0] == "answers with something of another request, 5 of 9:"
    assert lines[3] == (
        "  id 3 (asked alone, run 2, at -4.0 s) carried [b71e04d8] of id 5 (run 1, at 0.0 s) at character 0,"
        " over 2.0 s before"
    )


def test_nothing_carried_is_nothing_to_tell(make):
    silent = CarriedAnswers(answers=412, repeated=380)
    assert carried_lines([make.verdict("pass", answers=silent)]) == []


def test_the_pairs_stand_between_what_was_found_and_the_run(make):
    text = failure_text([broken(make)], [make.run([make.record(0)])], make.window(), "pytest x", None)
    first, pairs, run, *_ = text.split("\n\n")
    assert first.startswith("isolation: 5 of 412")
    assert pairs.startswith("answers with something of another request:\n")
    assert run.startswith("run: ")


def test_the_report_has_the_marks_and_no_other_word_of_the_answers(make):
    (document,) = json.loads(json.dumps(verdict_documents([broken(make)])))
    answers = document["answers"]
    assert (answers["answers"], answers["repeated"], answers["not_kept"], answers["guilty"]) == (
        412,
        380,
        0,
        5,
    )
    first = answers["carried"][0]
    assert first.pop("answer") == {
        "id": 17,
        "run": 1,
        "task": "chat",
        "alone": False,
        "aborted": False,
        "at_s": 1.23,
    }
    assert first.pop("owner")["task"] == "sort"
    assert first == {"mark": "0f3c9a21", "at_char": 7, "apart_s": 0.0}
    assert "answers" not in verdict_documents([make.verdict()])[0]


def a_mix(make, **more):
    names = ("sort", "chat")
    records = [make.record(i, task=names[i % 2]) for i in range(8)]
    lone = make.run(records[:4])
    right = {"right_alone": {0: True, 2: False}, "right_together": {0: True, 2: False, 4: True, 6: True}}
    fields = {"tasks": names, "together": make.run(records), "alone": lone, "repeatable": True}
    return TaskMix(**fields | right | more)


def test_the_figures_of_a_mix_stand_with_its_run(make):
    mix = a_mix(make)
    found = run_document(mix.together, keep_text=False, mix=mix)["mix"]
    assert found == {
        "tasks": [
            {
                "task": "sort",
                "n": 4,
                "right": 0.75,
                "n_alone": 2,
                "right_alone": 0.5,
                "n_both": 2,
                "same_answers": 1.0,
            },
            {
                "task": "chat",
                "n": 4,
                "right": None,
                "n_alone": 0,
                "right_alone": None,
                "n_both": 2,
                "same_answers": 1.0,
            },
        ],
        "repeatable": True,
        "asked_alone": 4,
        "aborted": 0,
    }
    assert list(mix_lines(found | {"aborted": 3})) == [
        "sort: 4 answers, right 75%, 50% of 2 alone, same words 100%",
        "chat: 4 answers, same words 100%",
        "3 further requests left in the middle",
    ]


def test_a_mix_that_was_not_asked_alone_says_so(make):
    found = mix_document(a_mix(make, alone=None, right_alone={}))
    assert (found["asked_alone"], found["tasks"][0]["same_answers"]) == (None, None)

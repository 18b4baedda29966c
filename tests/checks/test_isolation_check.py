"""isolation: another request's mark, another's answer, and tasks that are answered worse together."""

from __future__ import annotations

import time

import pytest

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.isolation import Isolation
from pytest_llmserve.domain.errors import MarkerError
from pytest_llmserve.domain.keywords import build
from pytest_llmserve.domain.marks import first_of, nonce, turn_id
from pytest_llmserve.domain.mix import Aborted, TaskMix
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import NOT_KEPT
from pytest_llmserve.domain.result import GeneratorHealth
from pytest_llmserve.domain.verdict import FAIL, PASS, UNDECIDED

SALT = "0badcafe"
MS = 1_000_000
ASK = "ask through llm_tasks, or ask for the code in brackets that stands before each prompt"


def mark(number, salt=SALT):
    return nonce(salt, number)


class Said:
    """Where one answer lies."""

    def __init__(self, text):
        self.text = text

    def read(self, at):
        return self.text


@pytest.fixture
def run(make):
    """``run(texts)``: a run at 8 users whose requests, sent every 10 ms, take 35 ms; None = failed."""

    def made(texts, *, salt=SALT, users=8, every_ms=10, start_ms=0, **more):
        records = []
        for number, text in texts.items() if isinstance(texts, dict) else enumerate(texts):
            said = {"text_at": 0, "texts": Said(text)} if text else {"text_at": None}
            said |= {"task": more["task_of"](number)} if "task_of" in more else {}
            apart_ms = every_ms(number) if callable(every_ms) else every_ms
            said["sent_ns"] = (start_ms + number * apart_ms) * MS
            records.append(make.record(number, "http_5xx" if text is None else 35.0, **said))
        health = GeneratorHealth(**more.get("health", {}))
        return make.run(records, plan=LoadPlan(users=users, salt=salt), healthy=health)

    return made


def judge(*runs, keep_text=False, mixes=None, **keywords):
    evidence = Evidence(runs=runs, keep_text=keep_text, mixes=mixes or {})
    return build(Isolation, "isolation", (), keywords).judge(evidence)


def own(n):
    return [f"Code: {mark(i)}." for i in range(n)]


def test_each_answer_with_its_own_mark_alone_passes(run):
    """And the sentence says how seldom a swap could have been not to be seen."""
    (verdict,) = judge(run([*own(287), *["no code"] * 13]))
    assert (verdict.verdict, verdict.n, verdict.confidence) == (PASS, 300, 1.0)
    assert verdict.sentence == (
        "isolation: no answer carried another request's mark: 287 of 300 repeated their own, so a swap in"
        " 1% of the requests would have been seen at 95%"
    )


def test_one_mark_of_another_request_is_proof(run):
    """With the owner, the time, whether both were under way, and no word of the answer but the mark."""
    texts = own(40)
    texts[12] = f"Sure! [{mark(10)}] {mark(12)}"
    texts[30] = f"{mark(3)}"
    (verdict,) = judge(run(texts))
    assert (verdict.verdict, verdict.fails(strict=False)) == (FAIL, True)
    assert verdict.sentence == "isolation: 2 of 40 answers carried another request's mark"
    first, second = verdict.answers.carried
    assert (first.answer.id, first.owner.id, first.mark, first.at_char) == (12, 10, mark(10), 7)
    assert (first.answer.at_s, first.apart_s, first.excerpt) == (0.12, 0.0, None)
    assert (second.owner.id, second.apart_s) == (3, pytest.approx(0.235))
    assert verdict.answers.guilty == 2
    assert "excerpt" not in str(verdict.as_json())


def test_the_words_around_a_mark_are_shown_where_texts_may_be_kept(run):
    texts = own(40)
    texts[12] = "a" * 60 + f" {mark(10)} " + "b" * 60
    (verdict,) = judge(run(texts), keep_text=True)
    assert verdict.answers.carried[0].excerpt == "a" * 39 + f" {mark(10)} " + "b" * 39


@pytest.mark.parametrize(
    "said",
    [
        "12345678",  # a prompt's own digits
        f"x{mark(10)}",  # part of a longer word
        mark(10).upper(),
        mark(39),  # sent long after this answer was over
        mark(4711),  # issued by no request
        mark(10)[:-1] + ("0" if mark(10)[-1] != "0" else "1"),
    ],
)
def test_only_the_exact_mark_of_a_request_sent_before_accuses(run, said):
    """What a model copies badly, or finds in a prompt, is no proof."""
    texts = own(40)
    texts[12] = f"{said} {mark(12)}"
    (verdict,) = judge(run(texts))
    assert verdict.verdict == PASS
    assert verdict.answers.guilty == 0


def test_marks_of_other_runs_and_of_those_who_left_count_too(run):
    """A cache may hold them from one run to the next, a slot what its last client was told."""
    later = own(40)
    later[1], later[2] = mark(7, "00000001"), f"{'f' * 7}e"
    later[3] = mark(41)  # cut off with the run, so it left no record
    runs = (
        run(["-"] * 40, salt="00000001"),
        run(later, start_ms=1000, health={"unfinished": 2}),
    )
    left = Aborted(mark="f" * 7 + "e", sent_ns=900 * MS, left_ns=910 * MS)
    mix = TaskMix(tasks=(), together=runs[1], aborted=(left,))
    (verdict,) = judge(*runs, mixes={1: mix})
    assert verdict.sentence == "isolation: 3 of 80 answers carried another request's mark"
    other_run, aborted, cut = (one.owner for one in verdict.answers.carried)
    assert (other_run.id, other_run.run) == (7, 1)
    assert (aborted.id, aborted.aborted) == (None, True)
    assert (cut.id, cut.run, cut.at_s) == (41, 2, None)


def test_what_chance_gives_among_words_of_hex_digits_does_not_accuse(run):
    """60 words of eight hex digits in each of 2000 answers: one is another's mark now and then."""
    texts = own(2000)
    for number in range(2000):
        texts[number] += "".join(f" {(number * 60 + i) * 2143 % 2**32:08x}" for i in range(60))
    texts[12] += f" {mark(10)}"
    (verdict,) = judge(run(texts))
    assert verdict.verdict == PASS
    assert (
        "1 carried eight hex digits that are also another's mark, as many as chance gives" in verdict.sentence
    )


@pytest.mark.parametrize(
    ("texts", "more", "sentence"),
    [
        (
            ["Hello."] * 40,
            {},
            f"isolation: no evidence, none of 40 answers repeated the mark of its own request: {ASK}",
        ),
        (
            ["Hello."] * 40,
            {"salt": None},
            "isolation: no evidence, no prompt carried a mark (nonce=False): leave it out, or ask through"
            " llm_tasks",
        ),
        ([""] * 40, {}, "isolation: no evidence, no answer had any text"),
        (
            own(29),
            {},
            "isolation: no answer carried another request's mark, undecided: 29 of 29 repeated their own;"
            f" 30 or more are needed: {ASK}",
        ),
        (
            own(40),
            {"every_ms": lambda number: 10 if number < 2 else 40},
            "isolation: no answer carried another request's mark, undecided: 2 of 40 repeated their own while"
            " another request was under way; 30 or more are needed: give more users=",
        ),
        (
            own(40),
            {"every_ms": 40},
            "isolation: no answer carried another request's mark, undecided: 40 of 40 repeated their own;"
            " no two requests were under way at once: give users=2 or more",
        ),
        ([], {}, "isolation: no evidence, no request was sent: give more requests=, or a longer duration="),
    ],
)
def test_answers_that_could_have_shown_nothing_do_not_pass(run, texts, more, sentence):
    (verdict,) = judge(run(texts, **more))
    assert (verdict.verdict, verdict.sentence) == (UNDECIDED, sentence)
    assert verdict.fails(strict=True)
    assert verdict.fails(strict=False) is ("no evidence" in sentence)


def test_a_run_that_failed_altogether_fails(run):
    first, second = run(own(40)), run([None] * 3, start_ms=1000)
    (verdict,) = judge(first, second)
    assert (verdict.verdict, verdict.estimate, verdict.as_json()["estimate"]) == (FAIL, float("inf"), None)
    assert verdict.sentence == "isolation: all 3 requests failed (http_5xx 3)"


def test_marks_of_rounds_are_not_known(run, make):
    """Both sides of a comparison carry the same, and their requests are numbered anew."""
    texts = own(40)
    texts[12] = mark(10)
    plan = LoadPlan(users=8, salt=SALT)
    rounds = make.run(run(texts).requests, plan=plan, rounds=2)
    (verdict,) = judge(rounds)
    why = "rounds of a comparison share their marks: call llm_load or llm_tasks"
    assert verdict.sentence == f"isolation: no evidence, {why}"


def test_answers_too_many_to_be_kept_are_told(run, make):
    kept = run(own(40))
    more = make.record(40, 35.0, text_at=NOT_KEPT, texts=Said("?"))
    (verdict,) = judge(make.run([*kept.requests, more], plan=kept.plan))
    assert verdict.sentence.endswith("; 1 answers were one too many to be kept, and not read")
    assert (verdict.n, verdict.answers.not_kept) == (40, 1)


@pytest.fixture
def mix(run):
    """``mix(alone, together, ...)``: right answers by id, "red" and "blue" by turns; texts where given."""

    def made(alone, together, *, words=None, lone_words=None, salt=SALT, names=("red", "blue"), **more):
        def task_of(number):
            return names[number % 2]

        asked = run(lone_words or dict.fromkeys(alone, "-"), task_of=task_of, every_ms=40, users=1)
        fields = {"salt": salt, "task_of": task_of, "start_ms": 90_000}
        beside = run(words or dict.fromkeys(together, "-"), **fields)
        found = {"tasks": names, "together": beside, "alone": asked}
        return TaskMix(**found, right_alone=alone, right_together=together, **more)

    return made


def judge_mix(mix, **keywords):
    return judge(mix.together, mixes={0: mix}, **keywords)


def answers(n, wrong=()):
    return {i: i not in wrong for i in range(n)}


def test_a_task_that_is_answered_worse_together_fails(mix):
    """The other one passes, and says which drop would have been seen."""
    verdicts = judge_mix(mix(answers(100, wrong=[0, 1, 3]), answers(100, wrong=[0, 1, 3, *range(20, 46, 2)])))
    assert [v.verdict for v in verdicts] == [PASS, FAIL, PASS]
    silent, red, blue = (v.sentence for v in verdicts)
    assert silent == (
        "isolation: no answer carried another request's mark: only 0 of 100 repeated their own, so this rests"
        " on the right answers of red, blue"
    )
    assert red == (
        "red: 98% right alone, 72% at 8 users (n=50 alike, p=0.0001): wrong only together:"
        " id 20, 22, 24, 26 and 9 more"
    )
    assert (
        blue
        == "blue: 96% right alone, 96% at 8 users (n=50 alike, p=1): a drop by 12 points would have been seen"
    )
    assert (verdicts[1].estimate, verdicts[1].n, verdicts[1].what) == (0.26, 50, "right answers of red")


def test_canaries_that_no_model_repeats_are_no_task(mix):
    """What they show, the first verdict says; a task beside them is judged."""
    alone, beside = answers(60, wrong=range(1, 60, 2)), answers(60, wrong=range(1, 60, 2))
    first, red = judge_mix(mix(alone, beside, names=("red", "canary")))
    assert (first.verdict, red.verdict, red.what) == (PASS, PASS, "right answers of red")
    assert first.sentence.endswith("so this rests on the right answers of red")


def test_a_drop_that_chance_gives_where_several_are_judged_is_undecided(mix):
    """5 of 5 changed for the worse is 3 % by chance, and there are two tasks."""
    _, red, _ = judge_mix(mix(answers(100), answers(100, wrong=range(0, 10, 2))))
    assert (red.verdict, red.fails(strict=False), red.fails(strict=True)) == (UNDECIDED, False, True)
    assert red.sentence == (
        "red: 100% right alone, 90% at 8 users, undecided (n=50 alike, p=0.03): wrong only together:"
        " id 0, 2, 4, 6 and 1 more; where several claims are judged, one of them shows as much by chance:"
        " ask 56 or more of them alone"
    )


def test_a_drop_that_chance_gives_seldom_is_no_pass(mix):
    """4 lost of 20 are 6 % by chance, 3 are 12 %: it passes with a warning that says what would decide."""
    _, red, blue = judge_mix(mix(answers(40), answers(40, wrong=[0, 2, 4, 6, 1, 3, 5])))
    assert (red.verdict, red.fails(strict=False), red.fails(strict=True)) == (UNDECIDED, False, True)
    assert red.sentence == (
        "red: 100% right alone, 80% at 8 users, undecided (n=20 alike, p=0.06): wrong only together:"
        " id 0, 2, 4, 6; as much is chance once in 16 times: ask 33 or more of them alone"
    )
    assert blue.verdict == PASS


@pytest.mark.parametrize(("wrong", "verdict"), [(16, UNDECIDED), (64, FAIL)])
def test_of_few_prompts_only_a_drop_by_two_thirds_is_shown(mix, wrong, verdict):
    """What a batch does to one prompt it may do to all answers to it: those are one observation, not 40."""
    lost, prompt_of = answers(80, wrong=range(0, wrong, 2)), {i: i % 4 for i in range(80)}
    _, red, blue = judge_mix(mix(answers(80), lost, prompt_of=prompt_of))
    assert (red.verdict, red.fails(strict=False)) == (verdict, verdict == FAIL)
    assert "(n=40 alike, of 2 prompts only, p" in red.sentence
    why = "it rests on 2 prompts only, and a batch may shift all answers to one: give 5 or more"
    assert (why in red.sentence) == (verdict == UNDECIDED)
    assert (blue.verdict, blue.sentence) == (
        PASS,
        "blue: 100% right alone, 100% at 8 users (n=40 alike, of 2 prompts only, p=1):"
        " a drop by 15 points would have been seen",
    )


def test_answers_that_had_no_company_are_not_held_against_those_alone(mix, run):
    """A task asked together by one user shows nothing, whatever its check says."""
    made = mix(answers(60), answers(60))
    lonely = run(["-"] * 60, task_of=lambda number: ("red", "blue")[number % 2], every_ms=40, users=1)
    silent, red, _ = judge_mix(TaskMix(**{**vars(made), "together": lonely}))
    assert (silent.verdict, red.verdict) == (UNDECIDED, UNDECIDED)
    assert silent.sentence.endswith("; no two requests were under way at once: give users=2 or more")
    assert red.sentence == (
        "right answers of red: no evidence, no answer was given while another request was under way:"
        " give users=2 or more"
    )


@pytest.mark.parametrize(
    ("alone", "together", "sentence"),
    [
        (
            answers(16),
            answers(16),
            "red: 100% right alone, 100% at 8 users, undecided (n=8 alike, p=1):"
            " only a drop by 75 points would have been seen: ask 12 or more of them alone",
        ),
        (
            answers(8),
            answers(8),
            "red: 100% right alone, 100% at 8 users, undecided (n=4 alike, p=1):"
            " no drop could have been seen: ask 12 or more of them alone",
        ),
        (
            answers(40, wrong=range(0, 40, 2)),
            answers(40),
            "right answers of red: no evidence, none of its 20 answers was right alone:"
            " its check or its prompts are wrong",
        ),
        (
            answers(20) | dict.fromkeys(range(41, 61, 2), True),
            dict.fromkeys(range(1, 61, 2), True),
            "right answers of red: no evidence, none of its requests was answered both alone and together:"
            " ask more of them alone",
        ),
    ],
)
def test_a_task_that_could_have_shown_nothing_does_not_pass(mix, alone, together, sentence):
    _, red, *_ = judge_mix(mix(alone, together))
    assert (red.verdict, red.sentence) == (UNDECIDED, sentence)


def test_further_answers_to_the_same_prompts_show_a_drop_that_pairs_do_not(mix):
    """Eight prompts a task, 5 times each alone; together 20 times more, and then 25 points worse."""
    alone, together = answers(80), answers(400, wrong=range(80, 400, 8))
    assert judge_mix(mix(alone, together))[1].verdict == PASS
    verdicts = judge_mix(mix(alone, together, prompt_of={i: i % 16 for i in range(400)}))
    _, red, blue = verdicts
    assert (red.verdict, blue.verdict) == (FAIL, PASS)
    assert red.sentence == (
        "red: 100% right alone, 100% at 8 users (n=40 alike, p<0.0001):"
        " of 160 further answers to the same prompts 75% right"
    )


def test_two_ways_to_see_a_drop_are_corrected_for_their_number(mix):
    """6 lost answers are 1.6 % by chance: enough for one test of two tasks, not for two of each."""
    alone, together = answers(100), answers(200, wrong=range(0, 12, 2))
    assert judge_mix(mix(alone, together))[1].verdict == FAIL
    assert judge_mix(mix(alone, together, prompt_of={i: i % 20 for i in range(200)}))[1].verdict == UNDECIDED


def test_requests_without_a_mark_tell_once_for_each_prompt(mix):
    """Ten lost answers to one prompt, word for word the same request, are one."""
    prompt_of = {i: i % 10 for i in range(100)}
    _, red, _ = judge_mix(
        mix(answers(100), answers(100, wrong=range(0, 100, 10)), prompt_of=prompt_of, salt=None)
    )
    assert (red.n, red.verdict) == (5, UNDECIDED)


def test_answers_in_the_form_of_another_task_are_named(mix):
    """More together than alone; where nobody looked at those alone, nothing can be said."""
    wrong = range(0, 18, 2)
    like = dict.fromkeys(wrong, ("blue",))
    made = {"like": like, "like_alone": {0: ("blue",)}}
    *_, forms = judge_mix(mix(answers(100), answers(100, wrong=wrong), **made))
    assert forms.verdict == FAIL
    assert forms.sentence == (
        "wrong answers that the check of another task holds for: 8 only at 8 users, 0 only alone"
        " (n=100 alike, p=0.004): red as blue: id 2, 4, 6, 8 and 4 more"
    )
    assert len(judge_mix(mix(answers(100), answers(100, wrong=wrong), like=like))) == 3


LONG = "The answer to question {} is long enough."


def words(n):
    return {i: LONG.format(i) for i in range(n)}


@pytest.fixture
def changed(mix):
    """``changed(_6=9, ...)``: the sentence where request 6 got what 9 was answered alone, and is wrong."""

    def said(more=None, lone=None, *, unasked=(), right=None, **places):
        alone = lone or words(60)
        wrong = [int(place.removeprefix("_")) for place in places]
        now = alone | {i: alone[owner] for i, owner in zip(wrong, places.values(), strict=True)}
        known = {i: text for i, text in alone.items() if i not in unasked}
        judged = dict.fromkeys(known, True), right or answers(60, wrong)
        return judge_mix(mix(*judged, lone_words=known, words=now, **{"repeatable": True, **(more or {})}))[0]

    return said


SWAPPED = "isolation: 2 of 120 answers were another request's, letter by letter"


def test_two_answers_that_changed_places_are_a_swap(changed):
    """Known by the answers when asked alone, where no answer repeats a mark."""
    verdict = changed(_6=9, _9=6)
    assert (verdict.verdict, verdict.sentence) == (FAIL, SWAPPED)
    one = verdict.answers.carried[0]
    assert (one.answer.id, one.owner.id, one.mark, one.apart_s) == (6, 9, None, 0.0)


def test_answers_that_went_round_are_a_swap(changed):
    """Also where other prompts of the task share answers, as labels do."""
    labels = words(60) | dict.fromkeys(range(20, 60), "The label of many prompts.")
    prompt_of = {i: i for i in range(60)}
    assert changed({"prompt_of": prompt_of}, labels, _3=4, _4=7, _7=3).sentence == (
        "isolation: 3 of 120 answers were another request's, letter by letter"
    )


def test_two_answers_given_out_twice_are_no_phrase(changed):
    assert changed(_6=9, _10=13).sentence == SWAPPED


@pytest.mark.parametrize(
    ("places", "more"),
    [
        ({"_6": 8, "_8": 6}, {}),  # of one task: the prompts may be the same
        ({"_6": 9, "_9": 6}, {"prompt_of": dict.fromkeys(range(60), 0)}),
        ({"_6": 9}, {}),  # a phrase that the model says now and then
        ({"_6": 9, "_10": 9, "_12": 3, "_14": 3}, {}),  # and two such phrases
        ({"_6": 9, "_9": 6}, {"repeatable": False}),
        ({"_6": 9, "_10": 13, "unasked": (6, 10)}, {}),  # nobody knows what they are answered alone
        ({"_6": 9, "_9": 6, "right": answers(60)}, {}),  # what its check holds for is its own
    ],
)
def test_answers_that_may_be_the_same_by_themselves_are_no_swap(changed, places, more):
    assert changed(more, **places).verdict == PASS


def test_answers_of_few_words_given_out_twice_are_no_swap(changed):
    """One label shared by two prompts, and others that came once are labels too."""
    labels = words(60) | {31: LONG.format(33), 30: LONG.format(32), 32: LONG.format(32), 33: LONG.format(33)}
    assert changed({"prompt_of": {i: i for i in range(60)}}, labels, _6=9, _10=13).verdict == PASS


def test_short_answers_that_changed_places_are_no_swap(changed):
    """Many requests may be answered so."""
    assert changed(lone={i: f"It is {i} miles." for i in range(60)}, _6=9, _9=6).verdict == PASS


def test_same_answers_are_judged_where_they_are_asked_for(mix):
    right, said = answers(100), words(100)
    other = said | dict.fromkeys(range(0, 90, 3), "Other words.")
    made = mix(right, right, lone_words=said, words=other, repeatable=True)
    *_, same = judge_mix(made, same_answers=0.9)
    assert (same.verdict, same.estimate, same.limit) == (FAIL, pytest.approx(0.7), 0.9)
    assert same.sentence.startswith("same answers alone and together 70% < 90% (95% interval ")
    *_, same = judge_mix(made, same_answers=0.5)
    assert same.verdict == PASS
    assert len(judge_mix(made)) == 3


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"repeatable": False}, "answers are drawn by chance: ask at temperature 0"),
        ({"alone": None}, "the mix was not asked alone: llm_tasks(..., alone=True)"),
    ],
)
def test_same_answers_need_a_mix_that_was_asked_alone_without_chance(mix, fields, why):
    made = mix(answers(60), answers(60), repeatable=True)
    *_, same = judge_mix(TaskMix(**{**vars(made), **fields}), same_answers=0.9)
    assert same.sentence == f"same answers alone and together: no evidence, {why}"


def test_same_answers_without_a_mix_are_no_evidence(run):
    *_, same = judge(run(own(40)), same_answers=0.9)
    why = "no run was a mix of tasks: ask through llm_tasks"
    assert same.sentence == f"same answers alone and together: no evidence, {why}"


def test_a_share_that_always_holds_is_refused():
    with pytest.raises(MarkerError, match="isolation: same_answers=0 would hold whatever happens"):
        build(Isolation, "isolation", (), {"same_answers": 0})


def test_many_answers_are_read_quickly(run):
    """20,000 of 1 KB; the bound is over ten times what it takes."""
    text = "All work and no play makes Jack a dull boy. " * 23
    made = run([f"{text}{mark(i)}" for i in range(20_000)])
    begun = time.process_time()
    (verdict,) = judge(made)
    assert verdict.verdict == PASS
    assert time.process_time() - begun < 6.0


def test_a_mark_in_the_history_of_a_conversation_is_its_own(run):
    """The second turn repeats the mark of the first; one of another conversation is proof all the same."""
    texts = dict(enumerate(own(40)))
    texts |= {turn_id(3, 2): f"{mark(3)}", turn_id(4, 2): f"{mark(4)} {mark(3)}"}
    judged = run({n: text for n, text in texts.items() if n < 40 or first_of(n) == 3}, every_ms=0)
    assert judge(judged)[0].verdict == PASS
    (verdict,) = judge(run(texts, every_ms=0))
    (found,) = verdict.answers.carried
    assert (first_of(found.answer.id), first_of(found.owner.id)) == (4, 3)


def test_a_run_that_was_cut_accuses_no_word_for_its_conversations(run):
    """Ids of later turns are large; the requests that were cut are those behind the last that was begun."""
    texts = dict(enumerate(own(40))) | {turn_id(3, 2): f"see {mark(9_000_000)}"}
    assert judge(run(texts, every_ms=0, health={"unfinished": 2}))[0].verdict == PASS

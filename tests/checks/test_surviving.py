"""What is said of a hostile input: a row a kind of harm, and what is no harm."""

from __future__ import annotations

import pytest

from pytest_llmserve.checks.surviving import Beside, is_decided, reference_of, survival_of
from pytest_llmserve.domain.outcome import (
    CUT_OFF,
    HTTP_4XX,
    HTTP_5XX,
    MALFORMED,
    OK,
    REFUSED,
    RESET,
    SERVER_ERROR_IN_STREAM,
    TIMED_OUT,
)
from pytest_llmserve.domain.survival import Answered, Neighbour, Reference, Said
from pytest_llmserve.domain.units import NS_PER_MS
from pytest_llmserve.domain.wrong_length import WrongLength

MS = NS_PER_MS
SENT = b"{}"
KNOWN = Reference(texts=frozenset({"hi"}))
FINE = Answered(
    outcome=OK, status=200, content_type="application/json", body=b"{}", begun_ns=100 * MS, end_ns=112 * MS
)


def neighbour(id=1, outcome=OK, begun_ms=90, end_ms=115, **more):
    end_ns = None if end_ms is None else end_ms * MS
    return Neighbour(id=id, begun_ns=begun_ms * MS, end_ns=end_ns, outcome=outcome, **more)


def beside(**more):
    return Beside(**{"sent": SENT, "reference": KNOWN, "probes": (Said("hi"),), **more})


def test_a_server_that_came_through_is_told_with_what_was_seen():
    found = survival_of(
        FINE, beside(jump_bytes=1_200_000, limit_bytes=256_000_000, neighbours=(neighbour(),))
    )
    assert found
    assert found.unusable is None
    assert found.what == (
        "it answered 200 in 12.0 ms, the probe was answered as before, its memory rose by 1.2 MB,"
        " 1 neighbour answered"
    )
    assert repr(found) == f"Survival(survived: {found.what})"


def test_a_refusal_is_told_as_one_and_may_not_have_reached_the_model():
    found = survival_of(
        Answered(outcome=HTTP_4XX, status=401, body=b"{}", begun_ns=0, end_ns=3 * MS), beside(probes=())
    )
    assert found
    assert found.what == (
        "it refused the input with 401 in 3.00 ms"
        " (not seen: whether the input was looked at at all, as it was refused with 401)"
    )


@pytest.mark.parametrize(
    ("outcome", "did"),
    [(RESET, "closed the connection"), (TIMED_OUT, "neither answered nor closed the connection")],
)
def test_a_lie_about_the_length_may_get_no_answer_at_all(outcome, did):
    """As long as the server is right afterwards."""
    lie = WrongLength(b"{}", 100)
    silent = Answered(outcome=outcome, begun_ns=0, end_ns=3 * MS)
    found = survival_of(silent, beside(sent=lie))
    assert found
    assert found.what == f"it {did} in 3.00 ms, the probe was answered as before"
    harmed = survival_of(silent, beside(sent=lie, probes=(Said(None, "no answer"),)))
    assert harmed.faults == ("it did not answer the probe afterwards (no answer)",)


@pytest.mark.parametrize(
    ("more", "fault", "unusable"),
    [
        (
            {"probes": (Said(None, "no answer within 2 s"),)},
            "it did not answer the probe afterwards (no answer within 2 s)",
            True,
        ),
        (
            {"probes": (Said("HO"), Said("HO"))},
            "it answers the probe otherwise than before: 'HO' instead of 'hi'",
            True,
        ),
        (
            {"ended": "its process ended: killed by SIGKILL", "probes": (Said(None, "refused"),)},
            "its process ended: killed by SIGKILL",
            True,
        ),
        (
            {"jump_bytes": 256_000_003, "limit_bytes": 256_000_000},
            "its memory rose by 256 MB, more than 256 MB",
            False,
        ),
        (
            {
                "neighbours": (
                    neighbour(7, HTTP_5XX, error="500: lost", status=500),
                    neighbour(8, None, 101, None),
                )
            },
            "2 questions of others were harmed: one asked 10 ms before the input was answered 500: lost,"
            " one asked 1 ms after the input was not answered",
            False,
        ),
        (
            {"neighbours": tuple(neighbour(i, RESET) for i in range(1, 6))},
            "5 questions of others were harmed: one asked 10 ms before the input lost its connection,"
            " one asked 10 ms before the input lost its connection,"
            " one asked 10 ms before the input lost its connection, and 2 more",
            False,
        ),
        *(
            (
                {"neighbours": (neighbour(1, outcome, 96, error="why"),)},
                f"a question asked 4 ms before {told}",
                False,
            )
            for outcome, told in {
                REFUSED: "the input found no server any more (why)",
                TIMED_OUT: "the input was not answered in time (why)",
                CUT_OFF: "the input got half an answer (why)",
                MALFORMED: "the input got what is no answer (why)",
                SERVER_ERROR_IN_STREAM: "the input got an error inside its answer (why)",
            }.items()
        ),
    ],
)
def test_each_harm_is_a_fault_in_its_own_words(more, fault, unusable):
    """And what is harmed for good is of no use for a further case."""
    found = survival_of(FINE, beside(**more))
    assert not found
    assert found.faults == (fault,)
    assert found.what == fault
    assert (found.unusable == fault) is unusable


def test_what_the_input_itself_weighs_is_no_jump():
    """Of a body of 3 MB the server may keep 3 MB more than the limit."""
    body = b"x" * 3_000_000
    limits = {"sent": body, "limit_bytes": 1_000_000}
    assert survival_of(FINE, beside(jump_bytes=4_000_000, **limits))
    assert survival_of(FINE, beside(jump_bytes=4_000_001, **limits)).faults == (
        "its memory rose by 4.0 MB, more than 1.0 MB beyond the input's own 3.0 MB",
    )


def test_what_ended_the_process_stands_first_and_is_told_once():
    broken = Answered(outcome=RESET, error="closed")
    found = survival_of(
        broken, beside(ended="its process ended: exited with code 3", probes=(Said(None, "x"),))
    )
    assert found.what == (
        "its process ended: exited with code 3; the connection broke before the answer began (closed)"
    )


def test_a_neighbour_that_only_waits_or_is_sent_away_for_want_of_room_is_no_fault():
    slow = neighbour(2, begun_ms=90, end_ms=2500)
    found = survival_of(FINE, beside(neighbours=(slow, neighbour(3, HTTP_4XX, status=429)), usual_ms=30.0))
    assert found
    assert found.what.endswith(", a neighbour waited 2410 ms instead of 30.0 ms")


@pytest.mark.parametrize(
    ("alike", "heard", "asked", "fault"),
    [
        (True, "hi", 1, None),
        (True, "HO hi hi hi hi", 5, None),
        (True, "HO HO HO hi hi hi hi", 7, None),
        (True, "HO HO HO HO", 4, "it answers the probe otherwise than before: 'HO' instead of 'hi'"),
        (
            True,
            "HO hi HO hi HI HO",
            6,
            "it answers the probe otherwise than before, 4 of 6 times: 'HO' instead of 'hi'",
        ),
        (False, "HO HO HO HO HO HO hi", 7, None),
        (
            False,
            "HO HO HO HO HO HO HO",
            7,
            "it answers the probe otherwise than before: 'HO' instead of 'hi'",
        ),
    ],
)
def test_most_answers_must_be_right_where_they_were_alike_before_and_one_where_they_were_not(
    alike, heard, asked, fault
):
    """It is asked until that is decided, and no longer."""
    known = Reference(texts=frozenset({"hi"}), alike=alike)
    said = [Said(text) for text in [*heard.split(), *["never asked"] * 3]]
    probes = next(said[:n] for n in range(1, 10) if is_decided(known, said[:n]))
    assert len(probes) == asked
    assert survival_of(FINE, beside(reference=known, probes=tuple(probes))).faults == (
        () if fault is None else (fault,)
    )


def test_other_answers_that_are_no_fault_are_told():
    said = tuple(map(Said, ("HI", "hi", "hi", "hi", "hi")))
    found = survival_of(FINE, beside(probes=said))
    assert found
    assert "the probe was answered otherwise than before 1 of 5 times ('HI' instead of 'hi')" in found.what


def test_a_probe_that_is_not_answered_is_not_asked_again():
    probes = (Said("HI"), Said(None, "reset"))
    assert is_decided(KNOWN, probes)
    assert survival_of(FINE, beside(probes=probes)).faults == (
        "it did not answer the probe afterwards (reset)",
    )


def test_answers_alone_are_the_measure_and_those_in_company_are_known_too():
    """A text that company changes makes nothing unknown; one that was not alike alone is told apart."""
    said = {text: Said(text) for text in "abcd"}
    known = reference_of({"max_tokens": 16}, [said["a"]] * 3, [said[text] for text in "bcd"])
    assert (known.texts, known.alike, known.unknown) == ({"a", "b", "c", "d"}, True, None)
    assert known.params == {"max_tokens": 16}
    known = reference_of({}, [said["b"], said["a"], said["a"]])
    assert (known.texts, known.alike, known.unknown) == ({"a", "b"}, False, None)


def test_a_server_that_never_answers_twice_alike_is_only_asked_to_answer():
    varied = reference_of({}, [Said("a"), Said("b"), Said("c")], [Said("a")])
    assert varied.unknown == "the probe's text, 3 different answers when it was asked 3 times before"
    found = survival_of(FINE, beside(reference=varied, probes=(Said("d"),)))
    assert found
    assert "the probe was answered afterwards" in found.what
    assert not survival_of(FINE, beside(reference=varied, probes=(Said(None, "reset"),)))


def test_a_probe_that_was_never_answered_measures_nothing():
    """Whatever it is answered then will do, but it has to be answered: silence is no evidence of life."""
    silent = reference_of({}, [Said(None, "500: oh no")])
    assert silent.unknown == "the probe failed 1 of 1 time before the first case (500: oh no)"
    ill, well = Said(None, "500: oh no"), Said("hi")
    assert survival_of(FINE, beside(reference=silent, probes=(ill, well)))
    assert survival_of(FINE, beside(reference=silent, probes=(ill, ill, ill))).faults == (
        "it did not answer the probe afterwards (500: oh no), and had failed it before the first case:"
        " nothing can be judged of a server that is not well",
    )
    assert [is_decided(silent, said) for said in ([ill], [ill, ill], [ill] * 3, [ill, well])] == [
        *(False, False),
        *(True, True),
    ]

"""What a test sees of an answer."""

from __future__ import annotations

from pytest_llmserve.domain.exchange import Decoded
from pytest_llmserve.serve.reply import Reply, Stamps, make_record


def make_reply(decoded: Decoded, *, sent_ns: int | None = 2_000_000, status: int | None = 200) -> Reply:
    stamps = Stamps(1_000_000)
    stamps.sending_ns, stamps.sent_ns = 1_500_000, sent_ns
    stamps.first_byte_ns, stamps.end_ns = 3_000_000, 12_000_000
    return Reply(make_record(7, "Hello", stamps, status, decoded, decoded.error), decoded.text)


GOOD = Decoded(
    outcome="ok",
    text="Hi there",
    token_ns=(4_000_000, 6_000_000, 10_000_000),
    output_tokens=4,
    tokens_from="usage",
    finish_reason="stop",
)


def test_figures_come_from_the_record():
    """TTFT, e2e and TPOT follow the formulas: from sent, to the last byte, between tokens."""
    reply = make_reply(GOOD)
    assert (reply.ttft_ms, reply.e2e_ms, reply.tpot_ms) == (2.0, 10.0, 2.0)
    assert (reply.output_tokens, reply.tokens_from, reply.finish_reason) == (4, "usage", "stop")
    assert (reply.record.id, reply.record.input_chars, reply.record.output_chars) == (7, 5, 8)
    assert reply.record.text == "Hi there"
    assert reply.ok
    assert reply.error is None


def test_repr_reads_well_in_a_failing_assert():
    """The repr has what one needs to see, good or bad."""
    assert repr(make_reply(GOOD)) == ("Reply(ok, text='Hi there', output_tokens=4, ttft_ms=2.0, e2e_ms=10.0)")
    bad = make_reply(Decoded(outcome="http_5xx", error="out of memory"), status=500)
    assert repr(bad) == "Reply(http_5xx, status=500, error='out of memory', e2e_ms=10.0)"


def test_long_text_is_cut_in_the_repr_alone():
    """A long answer does not flood the report."""
    reply = make_reply(Decoded(outcome="ok", text="x" * 1000))
    assert len(repr(reply)) < 300
    assert len(reply.text) == 1000


def test_outcome_carries_status_and_error():
    """reply.outcome compares as a word and knows the rest."""
    outcome = make_reply(Decoded(outcome="http_4xx", error="bad"), status=400).outcome
    assert outcome == "http_4xx"
    assert (outcome.status, outcome.error, outcome.ok) == (400, "bad", False)


def test_answer_before_the_request_was_read():
    """A server may answer before it has read all: the request then counts as sent when it began."""
    assert make_reply(GOOD, sent_ns=None).record.sent_ns == 1_500_000

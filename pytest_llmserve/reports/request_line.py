"""A request as a line of a .jsonl file, schema "pytest-llmserve/requests/1"; see docs/requests.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from pytest_llmserve.domain.record import NOT_KEPT, RequestRecord, Step
from pytest_llmserve.domain.result import LoadResult

SCHEMA = "pytest-llmserve/requests/1"
CHUNK_BYTES = 1 << 20
"""Lines are handed on in pieces of about this size, so that the memory of a run's lines is not needed."""


class RequestLine(msgspec.Struct, kw_only=True, gc=False):
    """One line. The names are those of a record's row, and where it belongs.

    Attributes:
        text: absent = answers are not kept in files; None = this one came too late to be kept.
        test_attempt: of the test; `attempt` is the request's own.
        run: its number in the test, from 1.
        about: in the first line of a run what it needs to be judged again.
    """

    id: int
    task: str | None
    scheduled_ns: int
    sent_ns: int | None
    first_byte_ns: int | None
    first_token_ns: int | None
    last_token_ns: int | None
    end_ns: int | None
    token_ns: list[int]
    status: int | None
    outcome: str
    error: str | None
    input_chars: int
    output_chars: int
    output_tokens: int | None
    tokens_from: str | None
    finish_reason: str | None
    text: str | msgspec.UnsetType | None = msgspec.UNSET
    attempt: int = 1
    stage: int = 0
    steps: tuple[Step, ...] = ()
    turn: int = 0
    conversation: int | None = None
    served_by: str | None = None
    warm_up: bool = False
    from_schedule: bool = False
    nodeid: str
    test_attempt: int
    run: int
    about: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def request_lines(
    run: LoadResult,
    about: dict[str, Any],
    redact: Callable[[str], str],
    *,
    nodeid: str,
    attempt: int,
    number: int,
    keep_text: bool,
) -> Iterator[bytes]:
    """The lines of a run, the warm-up first, in pieces of whole lines.

    Args:
        run: whose texts are still there, where they are kept.
        about: plain data, for its first line.
        redact: takes secrets out of a text.
        nodeid: of the test.
        attempt: of the test, from 1.
        number: of the run in the test, from 1.
        keep_text: answers stand in the lines.
    """
    place = {"nodeid": nodeid, "test_attempt": attempt, "run": number}
    encoder, piece = msgspec.json.Encoder(), bytearray()
    for position, record in enumerate(run.everything):
        line = _line(record, redact, keep_text, place)
        if position == 0:
            line.about = msgspec.Raw(_encoded(about))
        begun = len(piece)
        try:
            encoder.encode_into(line, piece, -1)
        except UnicodeEncodeError:
            del piece[begun:]
            piece += _without_surrogates(line)
        piece += b"\n"
        if len(piece) >= CHUNK_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def with_session(line: bytes, session: Sequence[Mapping[str, Any]]) -> bytes:
    """The first line of a file, with what became of all tests of its session.

    Args:
        line: the first one of a run.
        session: plain data, one entry an attempt.
    """
    told = msgspec.json.decode(line, type=RequestLine)
    about = msgspec.json.decode(told.about, type=dict[str, msgspec.Raw])  # type: ignore[arg-type]
    told.about = msgspec.Raw(msgspec.json.encode(about | {"session": msgspec.Raw(_encoded(list(session)))}))
    return msgspec.json.encode(told) + b"\n"


def _line(
    record: RequestRecord, redact: Callable[[str], str], keep_text: bool, place: dict[str, Any]
) -> RequestLine:
    stamps = list(record.token_ns)
    line = RequestLine(
        id=record.id,
        task=record.task,
        scheduled_ns=record.scheduled_ns,
        sent_ns=record.sent_ns,
        first_byte_ns=record.first_byte_ns,
        first_token_ns=stamps[0] if stamps else None,
        last_token_ns=stamps[-1] if stamps else None,
        end_ns=record.end_ns,
        token_ns=stamps,
        status=record.status,
        outcome=record.outcome,
        error=None if record.error is None else redact(record.error),
        input_chars=record.input_chars,
        output_chars=record.output_chars,
        output_tokens=record.output_tokens,
        tokens_from=record.tokens_from,
        finish_reason=None if record.finish_reason is None else redact(record.finish_reason),
        attempt=record.attempt,
        stage=record.stage,
        steps=record.steps,
        turn=record.turn,
        conversation=record.conversation,
        served_by=None if record.served_by is None else redact(record.served_by),
        warm_up=record.warm_up,
        from_schedule=record.from_schedule,
        **place,
    )
    if keep_text:
        line.text = None if record.text_at == NOT_KEPT else redact(record.text)
    return line


def _encoded(about: dict[str, Any] | list[Any]) -> bytes:
    try:
        return msgspec.json.encode(about, enc_hook=_number)
    except UnicodeEncodeError:
        return msgspec.json.encode(_sound(about), enc_hook=_number)


def _number(value: Any) -> float:
    """A figure of numpy's, which is a float and yet none to msgspec."""
    if isinstance(value, float):
        return float(value)
    raise TypeError(f"{value!r} in what is kept of a run")


def _without_surrogates(line: RequestLine) -> bytes:
    """The line with U+FFFD for each lone surrogate, which UTF-8 has not."""
    fields = {name: _sound(value) for name, value in msgspec.structs.asdict(line).items()}
    return msgspec.json.encode(RequestLine(**fields))


def _sound(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_sound(key): _sound(each) for key, each in value.items()}
    return [_sound(each) for each in value] if isinstance(value, list) else value

"""`kserve`: the generate endpoints of the open inference protocol v2, as KServe and Triton have them.

Sources: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/generate_rest.yaml
and https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_generate.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from pytest_llmserve.dialects.decoding import ErrorDecoder
from pytest_llmserve.dialects.encoding import event_headers, json_body, merged, prompt_text
from pytest_llmserve.dialects.errors import piece_without, sentence_from_json
from pytest_llmserve.dialects.growing import Growing, GrowingDecoder
from pytest_llmserve.dialects.piece import UNPARSABLE, Piece, parse_json, read_lines, unread
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import Decoder, HttpRequest, OneStep, Prompt
from pytest_llmserve.domain.target import Target

_MODEL = re.compile(r"(?P<model>.*/v2/models/[^/]+(?:/versions/[^/]+)?)(?:/generate(?:_stream)?)?")
# Triton's vLLM backend writes what is not known yet as the text "None".
_GOES_ON = "None"


class Answer(msgspec.Struct, gc=False):
    """An event's data or a whole body: the fields that are looked at.

    A tensor of several elements is a list: the first is the answer.
    """

    text_output: str | list[str] | None = None
    done: bool | None = None
    finish_reason: str | list[str] | None = None
    num_output_tokens: int | list[int] | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(Answer)
_decode, _decode_lines = _decoder.decode, _decoder.decode_lines


class KServe(OneStep):
    """Text in, text out, at the path of a model."""

    name = "kserve"
    limit_names: tuple[str, ...] = ("parameters.max_tokens", "max_tokens", "parameters.max_new_tokens")
    asks_usage = False

    def encode(self, target: Target, prompt: Prompt, params: Mapping[str, Any]) -> HttpRequest:
        """Turn a prompt into a request; the contents of messages are joined, a line each.

        `params` go into the body as they are, but `parameters` beside ours: `stream`, without
        which Triton's backends answer in one piece at /generate_stream too.

        Raises:
            SetupError: no model is known, or a parameter is no JSON value.
        """
        body: dict[str, Any] = {"text_input": prompt_text(prompt)}
        if target.stream:
            body["parameters"] = {"stream": True}
        return HttpRequest(
            "POST", _path(target), json_body(merged(body, params)), event_headers(target.stream)
        )

    def decoder(
        self,
        target: Target,  # noqa: ARG002
        status: int,
        headers: Sequence[tuple[str, str]],
    ) -> Decoder:
        """Return a decoder for an answer with this status and these headers (names in lower case)."""
        if status >= 400:
            return ErrorDecoder(status, headers)
        return GrowingDecoder(KServeReader(), status, headers)


def _path(target: Target) -> str:
    endpoint = "/generate_stream" if target.stream else "/generate"
    named = _MODEL.fullmatch(target.path)
    if named is not None:
        return named["model"] + endpoint
    if target.model is None:
        raise SetupError(
            "the kserve API names the model in the path, /v2/models/NAME/generate, and no model is known:"
            " give --llm-model, or a URL that ends with /v2/models/NAME"
        )
    return f"{target.path.removesuffix('/v2')}/v2/models/{quote(target.model, safe='')}{endpoint}"


class KServeReader:
    """Reads events and bodies, which have one shape. Lives as long as one answer."""

    takes_lines = False

    def __init__(self) -> None:
        self.growing = Growing()
        self._count = 0
        self._marks_its_end = False

    @property
    def needs_end_mark(self) -> bool:
        """True once an event has a field for the end: Triton's have none."""
        return self._marks_its_end

    def event(self, data: bytes) -> Piece:
        """Read one event. Raises Unreadable."""
        return self._settled(self._read(data))

    def events(self, lines: bytes) -> list[str | Piece] | None:
        """Read many events at once, their data a line each."""
        said = read_lines(lines, _decode_lines, self._token_text, self._read)
        return None if said is None else [self._settled_text(piece) for piece in said]

    def body(self, data: bytes) -> Piece:
        """Read a whole answer. Raises Unreadable."""
        return self._read(data)

    def _read(self, data: bytes) -> Piece:
        """What an event says by itself."""
        try:
            answer = _decode(data)
        except UNPARSABLE as error:
            raise unread(data, error) from None
        if answer.error:
            return Piece(error=sentence_from_json(answer.error))
        ended, text, finish = answer.done is True, _first(answer.text_output), _first(answer.finish_reason)
        self._marks_its_end = self._marks_its_end or answer.done is not None or finish is not None
        if text is None and not ended:
            return piece_without("text_output", parse_json(data))
        finish = None if finish == _GOES_ON else finish
        return Piece(text or "", bool(text), finish, ended, _first(answer.num_output_tokens))

    def _token_text(self, answer: Answer) -> str | None:
        """The text of an event that holds nothing but a token; None for any other."""
        if answer.done or answer.error is not None or answer.num_output_tokens is not None:
            return None
        if answer.finish_reason is not None:
            return None
        self._marks_its_end = self._marks_its_end or answer.done is not None
        return answer.text_output if isinstance(answer.text_output, str) else None

    def _settled(self, piece: Piece) -> Piece:
        """The same as a part of the answer: its new text, and the tokens so far."""
        piece.text, piece.token = self.growing.add(piece.text)
        if piece.output_tokens is not None:  # of this event alone
            self._count += piece.output_tokens
            piece.output_tokens = self._count
        return piece

    def _settled_text(self, piece: str | Piece) -> str | Piece:
        if not isinstance(piece, str):
            return self._settled(piece)
        text, token = self.growing.add(piece)
        return text or Piece(token=token)


def _first(value: Any) -> Any:
    if isinstance(value, list):
        return value[0] if value else None
    return value

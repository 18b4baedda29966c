"""Short ways to make a target and to run bytes through a dialect."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_llmserve.dialects import dialect
from pytest_llmserve.domain.exchange import COMPLETE, Decoded, Ending
from pytest_llmserve.domain.target import Target

HERE = str(Path(__file__).parent)
if HERE not in sys.path:  # for the table of speakers.py, which two suites are run on
    sys.path.append(HERE)

REWRITTEN = {"gradio"}
EVENT_STREAM = "text/event-stream; charset=utf-8"


def _target(**fields: Any) -> Target:
    return Target(**{"scheme": "http", "host": "127.0.0.1", "port": 8000, **fields})


def _decode(
    api: str,
    body: bytes | Iterable[bytes],
    *,
    content_type: str | None = EVENT_STREAM,
    status: int = 200,
    headers: Sequence[tuple[str, str]] = (),
    ending: Ending | str = COMPLETE,
    **fields: Any,
) -> Decoded:
    """Run a body through a dialect, piece k stamped 1000 + k; check that feed, feed_many and finish agree."""
    pieces = [body] if isinstance(body, bytes) else list(body)
    typed = (("content-type", content_type),) if content_type is not None else ()
    decoder = dialect(api).decoder(_target(**fields), status, (*typed, *headers))
    fed = "".join([decoder.feed(1000 + k, piece) for k, piece in enumerate(pieces)])
    decoded = decoder.finish(ending if isinstance(ending, Ending) else Ending(ending))
    # A text that is written anew cannot be taken back from who has read it.
    assert api in REWRITTEN or decoded.text.startswith(fed), (
        "feed returned text that the answer does not have"
    )
    together = dialect(api).decoder(_target(**fields), status, (*typed, *headers))
    together.feed_many(range(1000, 1000 + len(pieces)), pieces)
    many = together.finish(ending if isinstance(ending, Ending) else Ending(ending))
    assert many == decoded, "pieces read together are another answer than one by one"
    return decoded


@pytest.fixture(scope="session")
def make_target() -> Callable[..., Target]:
    return _target


@pytest.fixture(scope="session")
def decode() -> Callable[..., Decoded]:
    return _decode

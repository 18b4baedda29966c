"""malformed_bodies(): for every API, and clear about those it does not know."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import find

from pytest_llmserve.dialects import DIALECTS, dialect
from pytest_llmserve.dialects.encoding import limited
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.target import Target
from pytest_llmserve.strategies.bodies import VALID, WRONG, malformed_bodies


def test_every_api_has_a_valid_body_to_start_from():
    """A new API needs a row."""
    assert set(VALID) == set(DIALECTS)
    assert set(WRONG) <= set(VALID)


@pytest.mark.parametrize("api", VALID)
def test_the_valid_body_is_what_the_api_itself_writes(api):
    """The row asks for the same as a plain request, and for one token at most."""
    target = Target(scheme="http", host="127.0.0.1", port=80, api=api, model="m", stream=False)
    request = json.loads(dialect(api).encode(target, "Say hi.", {}).body)
    row = {key: "m" if value == "" else value for key, value in VALID[api].items()}
    limit = next(iter(dialect(api).limit_names), None)
    assert row == {**request, **json.loads(dialect(api).encode(target, "Say hi.", limited(limit, 1)).body)}


@pytest.mark.parametrize("api", [*VALID, None])
def test_bodies_are_bytes_of_many_sorts(drawn, api):
    """Fit for `send`, which sends bytes as they are; JSON and no JSON."""
    found = drawn(malformed_bodies(api, model="some-model"))
    assert all(isinstance(body, bytes) for body in found)
    assert len(set(found)) > 100
    assert any(body.startswith(b"{") and body.endswith(b"}") for body in found)
    assert any(not body.startswith(b"{") for body in found)


def test_a_model_is_named_when_there_is_one(drawn):
    """Else a server may refuse each body for its model and look no further."""
    assert any(
        b'"model": "some-model"' in body
        for body in drawn(malformed_bodies("openai-chat", model="some-model"))
    )
    assert not any(b'"model"' in body for body in drawn(malformed_bodies("openai-chat")))
    assert not any(b'"model"' in body for body in drawn(malformed_bodies("json", model="some-model")))


def test_bodies_are_made_from_the_one_given(drawn):
    """For a server of an API of its own."""
    found = drawn(malformed_bodies(valid={"frage": "Hallo"}))
    assert sum(b"frage" in body for body in found) > len(found) / 3
    assert not any(b"messages" in body or b'"prompt"' in body for body in found)


def test_a_crash_on_depth_shrinks_to_the_least_depth():
    """As a crash on length does."""
    shortest = find(malformed_bodies("openai-chat"), lambda body: body.count(b"[") >= 1000, random=Random(0))
    assert shortest.count(b"[") == 1000


@pytest.mark.parametrize(
    ("api", "hint"), [("openai-chats", "did you mean openai-chat? "), ("zzz", "")], ids=["near", "far"]
)
def test_an_api_that_is_not_known_is_refused_at_once(api, hint):
    """Where it is written, not when the first example is drawn."""
    with pytest.raises(SetupError) as caught:
        malformed_bodies(api)
    assert str(caught.value) == (
        f"malformed_bodies: no body of the API {api!r} is known; {hint}known: {', '.join(VALID)}; "
        'or give one that your server takes: valid={"prompt": "Say hi."}'
    )


def test_a_body_without_a_field_is_refused_at_once():
    """There is nothing in it to break."""
    with pytest.raises(SetupError) as caught:
        malformed_bodies(valid={})
    assert str(caught.value) == (
        "malformed_bodies: valid={} has no field to break; give a body that the server takes"
    )

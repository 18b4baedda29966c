"""The name of who answered."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.load.served_by import ServedBy

ONE = target_from_url("http://a:1")
TWO = msgspec.structs.replace(ONE, beside=(target_from_url("http://b:2"),))


def headed(target):
    return msgspec.structs.replace(target, replica_header="x-served-by")


def answer(said):
    return SimpleNamespace(headers=[("server", "s"), ("x-served-by", said)])


@pytest.mark.parametrize(
    ("target", "replica", "came", "name"),
    [
        (TWO, 1, None, "b:2"),
        (headed(ONE), 0, answer("pod-1"), "pod-1"),
        (headed(ONE), 0, answer(" "), None),
        (headed(ONE), 0, None, None),
        (headed(TWO), 1, answer("pod-1"), "b:2 pod-1"),
        (headed(TWO), 1, None, "b:2"),
        (headed(ONE), 0, answer("a\x1b[31m\tb" + 99 * "c"), ("a[31mb" + 99 * "c")[:60]),
    ],
)
def test_a_name_is_the_place_and_what_the_answer_says(target, replica, came, name):
    """Marks that do not print left out, 60 characters at the most."""
    assert ServedBy(target).label(replica, came) == name


def test_a_header_that_is_always_different_has_32_names():
    served = ServedBy(headed(ONE))
    names = [served.label(0, answer(f"request-{number}")) for number in range(40)]
    assert names[:32] == [f"request-{number}" for number in range(32)]
    assert set(names[32:]) == {"others"}
    assert served.label(0, answer("request-3")) == "request-3"


def test_of_one_there_is_nothing_to_tell():
    assert not ServedBy(ONE).several
    assert ServedBy(TWO).several
    assert ServedBy(headed(ONE)).several

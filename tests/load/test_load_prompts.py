"""The order of prompts and their nonces."""

import pytest

from pytest_llmserve.domain.marks import nonce, salt_after
from pytest_llmserve.load.prompts import DEFAULT_PROMPTS, as_prompts, prompt_order, prompts_hash, with_nonce

CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
PARTS = [{"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image_url"}]}]


def test_order_is_the_seeds_and_holds_every_prompt():
    assert prompt_order(50, 7) == prompt_order(50, 7)
    assert prompt_order(50, 7) != prompt_order(50, 8)
    assert sorted(prompt_order(50, 7)) == list(range(50))


def test_nonces_are_unlike_and_reproducible():
    """Unlike within a run, the same for the same salt, unlike for another."""
    run = [nonce("5eed0000", n) for n in range(20_000)]
    assert len(set(run)) == len(run)
    assert all(len(mark) == 8 and int(mark, 16) >= 0 for mark in run)
    assert run == [nonce("5eed0000", n) for n in range(20_000)]
    assert nonce("5eed0000", 1) != nonce("5eed0001", 1)


def test_nonce_stands_before_the_text():
    mark = f"[{nonce('ab', 3)}] "
    assert with_nonce("Hi", "ab", 3) == mark + "Hi"
    assert with_nonce(CHAT, "ab", 3) == [CHAT[0], {"role": "user", "content": mark + "Hi"}]
    assert with_nonce(PARTS, "ab", 3)[0]["content"] == [
        {"type": "text", "text": mark},
        *PARTS[0]["content"],
    ]
    assert CHAT[1]["content"] == "Hi", "the prompt itself is not touched"


def test_nonce_stands_before_what_the_user_said_last():
    """Not in an answer that the messages end with."""
    begun = [*CHAT, {"role": "assistant", "content": "Sure,"}]
    assert with_nonce(begun, "ab", 3) == [*with_nonce(CHAT, "ab", 3), begun[-1]]


def test_without_salt_or_text_a_prompt_stays_as_it_is():
    assert with_nonce("Hi", None, 3) == "Hi"
    assert with_nonce([{"role": "user"}], "ab", 3) == [{"role": "user"}]


def test_as_prompts_takes_what_users_write():
    assert as_prompts(None) == list(DEFAULT_PROMPTS)
    assert as_prompts("Hi") == ["Hi"]
    assert as_prompts(("a", "b")) == ["a", "b"]
    assert as_prompts(CHAT) == [CHAT]
    assert as_prompts([CHAT, "Hi"]) == [CHAT, "Hi"]


@pytest.mark.parametrize(
    ("prompts", "sentence"),
    [
        ([], "prompts is empty: give a text, or a list of texts or of chat message lists"),
        (
            ["a", 3],
            "prompts[1] is 3: a prompt is a text, a Conversation, or a list of messages"
            ' such as [{"role": "user", "content": "..."}]',
        ),
        (
            [[]],
            "prompts[0] is []: a prompt is a text, a Conversation, or a list of messages"
            ' such as [{"role": "user", "content": "..."}]',
        ),
    ],
)
def test_as_prompts_says_what_is_wrong(prompts, sentence):
    with pytest.raises(ValueError, match=r"prompts") as caught:
        as_prompts(prompts)
    assert str(caught.value) == sentence


def test_a_hash_tells_prompt_sets_apart_without_telling_them():
    """Other prompts, another order, other rows of a trace: another hash; the same prompts, the same."""
    hashes = [
        prompts_hash(b'["a", "b"]'),
        prompts_hash(b'["b", "a"]'),
        prompts_hash(b'["a"]', b"[[0]]"),
        prompts_hash(b'["a"]', b"[[1]]"),
        prompts_hash(b'["a"]'),
    ]
    assert len(set(hashes)) == len(hashes)
    assert prompts_hash(b'["a"]') == hashes[-1]
    assert len(hashes[0]) == 32


def test_nonces_of_a_later_salt_are_those_of_later_requests():
    """So that no nonce comes twice."""
    assert nonce(salt_after("5c54e3ca", 1000), 5) == nonce("5c54e3ca", 1005)
    assert nonce(salt_after("ffffffff", 1 << 20), 0) == nonce("ffffffff", 1 << 20)

"""What is put before prompts."""

import pytest

from pytest_llmserve.domain.entry import Conversation, Prefixed
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.load.prefixes import shared_prefix, with_system
from pytest_llmserve.load.prompt_list import PromptList
from pytest_llmserve.load.prompts import with_mark

CHAT = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]


def test_a_shared_text_has_the_given_length_and_is_the_same_before_all():
    """The mark stands between it and what is each prompt's own."""
    found = shared_prefix(["one", "two"], chars=500, seed=4)
    assert (
        found == shared_prefix(["one", "two"], chars=500, seed=4) != shared_prefix(["one"], chars=500, seed=5)
    )
    prefix = found[0][:500]
    assert [with_mark(each, "ab") for each in found] == [f"{prefix}\n\n[ab] {own}" for own in ("one", "two")]
    assert len(prefix.split()) > 60
    counted = shared_prefix("x", words=300)[0].partition("\n\n")[0]
    assert len(counted.split()) == 300
    assert len(shared_prefix("x")[0]) == 8000 + len("\n\nx")


def test_groups_have_texts_of_their_own_by_turns():
    """Prompts come again until every group has one."""
    found = shared_prefix(["a", "b", "c"], chars=50, groups=2)
    assert [each[52:] for each in found] == ["a", "b", "c"]
    assert found[0][:50] == found[2][:50] != found[1][:50]
    assert [each[52:] for each in shared_prefix(["a"], chars=50, groups=3)] == ["a", "a", "a"]


def test_messages_and_conversations_have_it_in_their_system_message():
    """So the mark, before the user's text, stands behind it."""
    text = shared_prefix("x", chars=20)[0][:20]
    found = shared_prefix([CHAT, CHAT[1:], Conversation(["Hi"]), Conversation(["Hi"], "s")], chars=20)
    assert found == [
        [{"role": "system", "content": f"{text}\n\ns"}, CHAT[1]],
        [{"role": "system", "content": text}, CHAT[1]],
        Conversation(["Hi"], text),
        Conversation(["Hi"], f"{text}\n\ns"),
    ]
    assert with_mark(found[0], "ab")[-1]["content"] == "[ab] u"


def test_a_system_text_goes_before_all_else():
    shared = Prefixed("long\n\nown", 6)
    assert with_system(["hi", CHAT, Conversation(["Hi"]), shared], "Be.") == [
        [{"role": "system", "content": "Be."}, {"role": "user", "content": "hi"}],
        [{"role": "system", "content": "Be.\n\ns"}, CHAT[1]],
        Conversation(["Hi"], "Be."),
        [{"role": "system", "content": "Be.\n\nlong"}, {"role": "user", "content": "own"}],
    ]
    assert [with_mark(each, "ab") for each in shared_prefix([shared], chars=4)] == [
        f"{shared_prefix('x', chars=4)[0][:4]}\n\nlong\n\n[ab] own"
    ]


def test_where_prompts_came_from_is_not_lost():
    prompts = PromptList(["x"], "q.jsonl")
    assert (with_system(prompts, "s").source, shared_prefix(prompts).source) == ("q.jsonl", "q.jsonl")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: shared_prefix("x", chars=5, words=5), "shared_prefix: give chars= or words=, not both"),
        (
            lambda: shared_prefix("x", groups=0),
            "shared_prefix: groups is 0: give a whole number from 1 on",
        ),
        (
            lambda: shared_prefix([]),
            "shared_prefix: prompts is empty: give a text, or a list of texts or of chat message lists",
        ),
        (lambda: with_system("x", ""), "with_system: system is '': give the text of the system message"),
    ],
)
def test_what_is_wrong_is_told(call, told):
    with pytest.raises(SetupError) as caught:
        call()
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"turns": "Hi"}, 'Conversation: turns is \'Hi\': give a list of texts, ["Hi", "And then?"]'),
        ({"turns": []}, 'Conversation: turns is empty: give at least one text, ["Hi", "And then?"]'),
        ({"turns": ["Hi", 5]}, "Conversation: turns[1] is 5: give the text that the user says"),
        ({"turns": ["Hi"], "system": 5}, "Conversation: system is 5: give the text of the system message"),
    ],
)
def test_a_conversation_is_of_texts(given, told):
    with pytest.raises(ValueError, match=r"^Conversation: ") as caught:
        Conversation(**given)
    assert str(caught.value) == told

"""Prompts whose lengths follow a distribution."""

import statistics

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.load.lengths import of_lengths


def words(prompts):
    return [len(prompt.split()) for prompt in prompts]


@pytest.mark.parametrize(
    ("lengths", "mean", "deviation"),
    [
        ("normal(200, 50)", 200, 50),
        ("lognormal(200, 150)", 200, 150),
        ("uniform(100, 300)", 200, 57.7),
        ((100, 300), 200, 57.7),
        ("exponential(200)", 200, 200),
        ("constant(40)", 40, 0),
        (40, 40, 0),
        (lambda rng: rng.choice([10, 20]), 15, 5),
    ],
)
def test_lengths_have_the_mean_and_deviation_that_were_asked_for(lengths, mean, deviation):
    found = words(of_lengths(lengths, count=800, seed=3))
    assert len(found) == 800
    assert statistics.mean(found) == pytest.approx(mean, rel=0.12)
    assert statistics.pstdev(found) == pytest.approx(deviation, rel=0.2)
    assert min(found) >= 1


def test_a_list_is_its_lengths_in_order_or_drawn_from():
    assert words(of_lengths([5, 1, 9])) == [5, 1, 9]
    assert set(words(of_lengths([5, 9], count=50))) == {5, 9}


def test_characters_are_exact_and_none_is_shorter_than_one():
    assert list(map(len, of_lengths([1, 2, 3, 40, 999], "chars"))) == [1, 2, 3, 40, 999]
    assert min(map(len, of_lengths("normal(2, 10)", "chars"))) == 1
    assert not any(text != text.strip() for text in of_lengths((1, 60), "chars", count=200))


def test_the_same_seed_gives_the_same_and_another_one_others():
    assert of_lengths((5, 50), seed=1) == of_lengths((5, 50), seed=1) != of_lengths((5, 50), seed=2)
    assert len(of_lengths((5, 50))) == 100
    assert len(set(of_lengths(12, count=50))) > 40, "texts of one length are unlike"


def test_words_are_those_of_the_source(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text("alpha beta\n\ngamma\n")
    found = of_lengths([4, 2], source=path)
    assert {word for text in found for word in text.split()} <= {"alpha", "beta", "gamma"}
    assert found.source == "book.txt"
    with pytest.raises(SetupError) as caught:
        of_lengths([4], source=str(path))
    name = repr(str(path))
    assert str(caught.value) == (
        f"of_lengths: source {name} is the name of a file: give Path({name}) for the words in it"
    )
    assert of_lengths([3], source=["one"]) == ["one one one"]


FORMS = (
    'give "constant(n)", "uniform(least, most)", "normal(mean, deviation)", "lognormal(mean, deviation)",'
    ' "exponential(mean)", a number, a pair (least, most), a list or a function'
)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"lengths": "gauss(1, 2)"}, f"lengths is 'gauss(1, 2)': {FORMS}"),
        ({"lengths": None}, f"lengths is None: {FORMS}"),
        ({"lengths": "normal(a, 2)"}, f"lengths is 'normal(a, 2)': {FORMS}"),
        ({"lengths": "normal(200)"}, "'normal(200)' is no normal(mean, deviation) of lengths from 1 on"),
        ({"lengths": (9, 3)}, "(9, 3) is no uniform(least, most) of lengths from 1 on"),
        ({"lengths": 0}, "0 is no constant(n) of lengths from 1 on"),
        ({"lengths": []}, "lengths is empty: give lengths as they were seen, such as [20, 180, 45]"),
        ({"lengths": [5, 0]}, "the length 0 is not a whole number from 1 to 10000000"),
        ({"lengths": lambda rng: "x"}, "the function of lengths returned 'x', not a number"),
        ({"lengths": 5, "unit": "tokens"}, "unit is 'tokens': give words or chars"),
        ({"lengths": 5, "count": 0}, "count is 0: give a whole number from 1 on"),
        (
            {"lengths": 5, "source": " "},
            "source has no word in it: give prompts, or a text file, with words",
        ),
    ],
)
def test_what_is_wrong_with_lengths_is_told(given, told):
    with pytest.raises(SetupError) as caught:
        of_lengths(**given)
    assert str(caught.value) == f"of_lengths: {told}"

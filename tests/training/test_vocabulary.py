from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from training.pack import Concept, Hue, Item, Pack, Style
from training.vocabulary import HUES, Vocabulary, plain, starts_with_colour, without_colour


def vocabulary(*concepts: Concept, hue: Hue | None = None) -> Vocabulary:
    items = tuple(Item(number, Style.SOLID, hue or Hue()) for number in range(len(concepts)))
    return Vocabulary(Pack(concepts, items, (b"",) * len(items)))


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Christmas tree", "christmas tree"),
        ("woman’s hat", "woman's hat"),  # noqa: RUF001
        ("ON! arrow", "on arrow"),
        ("person: beard", "person with beard"),
        ("woman: red hair", "woman with red hair"),
        ("“reserved” button", "reserved button"),
        ("piñata", "pinata"),
    ],
)
def test_plain_label(label: str, expected: str) -> None:
    assert plain(label) == expected


def test_colours_of_names() -> None:
    assert without_colour("red apple") == "apple"
    assert without_colour("light blue heart") == "heart"
    assert without_colour("redwood") == "redwood"
    assert starts_with_colour("green salad")
    assert not starts_with_colour("greenhouse")


def test_is_called_by_its_label_most_of_the_time() -> None:
    words = ("fruit", "healthy")
    names = vocabulary(Concept("red apple", "food-drink", "food-fruit", words, words)).names[0]
    assert names.names[0] == "red apple"
    assert {"apple", "fruit", "healthy"} <= set(names.names)
    assert names.weights[0] >= 0.6
    assert sum(names.weights) == pytest.approx(1)


def test_is_never_called_what_another_concept_is_or_a_colour() -> None:
    words = ("dog", "brown", "pet")
    names = vocabulary(
        Concept("cat", "animals-nature", "animal-mammal", words, words), Concept("dog", "animals-nature", "")
    ).names[0]
    assert "pet" in names.names
    assert not {"dog", "brown"} & set(names.names)


def test_an_animals_face_is_mostly_called_the_animal() -> None:
    names = vocabulary(Concept("cat face", "animals-nature", "animal-mammal")).names[0]
    assert names.names == ("cat face", "cat")
    assert names.weights[1] == pytest.approx(0.4)


def test_what_people_ask_for_is_drawn_more_often_than_signs() -> None:
    two = vocabulary(Concept("cat", "animals-nature", "animal-mammal"), Concept("up arrow", "symbols", "arrow"))
    random = Random(0)
    drawn = Counter(two.draw(random) for _ in range(6000))
    assert drawn[0] / drawn[1] == pytest.approx(1.3 / 0.5, rel=0.15)


@pytest.mark.parametrize("name", HUES)
def test_names_a_colour_where_one_word_will_do(name: str) -> None:
    angle = HUES[name] / 360
    assert vocabulary(Concept("a", "", ""), hue=Hue(angle, 0.9, 0.95, 0.9, 0.9)).colour(0) == name
    for dull in (Hue(angle, 0.2, 0.95, 0.9, 0.9), Hue(angle, 0.9, 0.5, 0.9, 0.9), Hue(angle, 0.9, 0.95, 0.9, 0.3)):
        assert vocabulary(Concept("a", "", ""), hue=dull).colour(0) is None


def test_names_no_colour_between_two() -> None:
    assert vocabulary(Concept("a", "", ""), hue=Hue(90 / 360, 0.9, 0.95, 0.9, 0.9)).colour(0) is None


def test_only_things_of_one_hue_can_be_repainted() -> None:
    assert vocabulary(Concept("a", "", ""), hue=Hue(0.1, 0.6, 0.9, 0.9, 0.9)).repaintable(0)
    assert not vocabulary(Concept("a", "", ""), hue=Hue(0.1, 0.6, 0.5, 0.9, 0.9)).repaintable(0)
    assert not vocabulary(Concept("a", "", ""), hue=Hue(0.1, 0.1, 0.9, 0.9, 0.9)).repaintable(0)

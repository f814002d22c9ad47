from __future__ import annotations

from random import Random

import pytest

from training.captions import Arrangement, Scene, caption, plural, with_article
from training.pack import Style


def scene(**changes: object) -> Scene:
    values: dict[str, object] = {
        "arrangement": Arrangement.SINGLE,
        "names": ("red apple",),
        "tags": ("fruit", "food"),
        "style": None,
        "repainted": None,
        "own_colour": None,
        "background": ("white",),
    }
    return Scene(**{**values, **changes})  # type: ignore[arg-type]


def all_of(wanted: Scene, count: int = 400) -> set[str]:
    random = Random(0)
    return {caption(wanted, random) for _ in range(count)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("apple", "an apple"),
        ("octopus", "an octopus"),
        ("umbrella", "an umbrella"),
        ("unicorn", "a unicorn"),
        ("cat", "a cat"),
        ("sunglasses", "sunglasses"),
        ("cherries", "cherries"),
        ("bus", "a bus"),
        ("smiling face with sunglasses", "a smiling face with sunglasses"),
        ("women with bunny ears", "a women with bunny ears"),
        ("glass of milk", "a glass of milk"),
        ("1st place medal", "a 1st place medal"),
        ("8 ball", "8 ball"),
    ],
)
def test_article(name: str, expected: str) -> None:
    assert with_article(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cat", "cats"),
        ("cherry", "cherries"),
        ("monkey", "monkeys"),
        ("fox", "foxes"),
        ("peach", "peaches"),
        ("radish", "radishes"),
        ("sunglasses", "sunglasses"),
    ],
)
def test_plural(name: str, expected: str) -> None:
    assert plural(name) == expected


def test_says_the_thing_with_its_article_more_than_anything_else() -> None:
    random = Random(0)
    said = [caption(scene(), random) for _ in range(1000)]
    assert said.count("a red apple") > 350
    assert {"red apple", "a photo of a red apple", "an emoji of a red apple"} <= set(said)


def test_is_lower_case_and_holds_no_template() -> None:
    for arrangement in Arrangement:
        for style in (None, *Style):
            wanted = scene(arrangement=arrangement, names=("fox", "owl"), style=style, background=("light blue",))
            for said in all_of(wanted, 60):
                assert said == said.lower()
                assert "{" not in said
                assert "light blue" in said


def test_names_the_style_where_it_shall() -> None:
    assert all("flat" in said for said in all_of(scene(style=Style.FLAT)))
    assert not any("flat" in said or "3d" in said or "cartoon" in said for said in all_of(scene()))


def test_a_repainted_thing_loses_the_colour_of_its_name() -> None:
    for said in all_of(scene(repainted="blue")):
        assert "blue apple" in said
        assert "red" not in said


def test_says_its_own_colour_only_where_the_name_does_not() -> None:
    assert any("green frog" in said for said in all_of(scene(names=("frog",), own_colour="green")))
    assert not any("red red" in said for said in all_of(scene(own_colour="red")))


def test_a_gradient_names_both_colours_in_order() -> None:
    for said in all_of(scene(background=("blue", "purple"))):
        assert said.index("blue") < said.index("purple")


def test_white_is_seldom_named() -> None:
    random = Random(0)
    named = sum("white" in caption(scene(), random) for _ in range(1000))
    assert 30 < named < 120


def test_a_pair_names_both_from_left_to_right() -> None:
    for said in all_of(scene(arrangement=Arrangement.PAIR, names=("cat", "owl"))):
        assert said.index("a cat") < said.index("an owl")


def test_many_are_in_the_plural() -> None:
    for arrangement in (Arrangement.FOUR, Arrangement.NINE):
        assert all("red apples" in said for said in all_of(scene(arrangement=arrangement)))

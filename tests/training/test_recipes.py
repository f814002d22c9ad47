from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
from transformers import CLIPTokenizer

from training.pack import Pack, Style
from training.painting import load_recipes
from training.recipes import (
    BACKGROUNDS,
    CAPTIONS,
    MAX_TOKENS,
    Recipe,
    background_held_out,
    draw_recipe,
    pair_held_out,
    repainting_held_out,
    write_recipes,
)
from training.vocabulary import HUES, Vocabulary


@pytest.fixture(scope="module")
def recipes(pack: Pack) -> list[Recipe]:
    vocabulary, random = Vocabulary(pack), Random(5)
    return [draw_recipe(vocabulary, random) for _ in range(4000)]


def colours_of(background: tuple[tuple[float, ...], tuple[float, ...]]) -> list[str]:
    """By name; each is within 12 of what the name stands for."""
    return [
        min(BACKGROUNDS, key=lambda name: max(abs(a - b) for a, b in zip(BACKGROUNDS[name], colour, strict=True)))
        for colour in background
    ]


def test_about_one_combination_in_ten_is_held_out() -> None:
    for held_out, colours in ((background_held_out, BACKGROUNDS), (repainting_held_out, (*HUES, "gray"))):
        share = np.mean([held_out(concept, colour) for concept in range(200) for colour in colours])
        assert 0.05 < share < 0.15
    assert 0.05 < np.mean([pair_held_out(first, second) for first in range(50) for second in range(50)]) < 0.25


def test_held_out_backgrounds_are_never_drawn(pack: Pack, recipes: list[Recipe]) -> None:
    coloured = 0
    for recipe in recipes:
        concept = pack.items[recipe.layers[0].item].concept
        for colour in colours_of(recipe.background):
            if colour != "white":
                coloured += 1
                assert not background_held_out(concept, colour)
    assert coloured > 3000


def test_held_out_repaintings_are_never_drawn(pack: Pack, recipes: list[Recipe]) -> None:
    painted = Counter[str]()
    for recipe in recipes:
        layer = recipe.layers[0]
        item = pack.items[layer.item]
        if layer.saturation == 0:
            colour = "gray"
        elif layer.hue:
            angle = (item.hue.angle + layer.hue) % 1 * 360
            colour = min(HUES, key=lambda name: min(abs(HUES[name] - angle), 360 - abs(HUES[name] - angle)))
        else:
            continue
        painted[colour] += 1
        assert not repainting_held_out(item.concept, colour)
        assert all(colour in caption for caption in recipe.captions)
    assert set(painted) == {*HUES, "gray"}


def test_held_out_pairs_are_never_drawn(pack: Pack, recipes: list[Recipe]) -> None:
    pairs = [recipe.layers for recipe in recipes if len(recipe.layers) == 2]
    assert len(pairs) > 100
    for left, right in pairs:
        assert left.x < 0 < right.x
        assert pack.items[left.item].style == pack.items[right.item].style
        assert not pair_held_out(pack.items[left.item].concept, pack.items[right.item].concept)


def test_most_show_one_thing_on_white(recipes: list[Recipe]) -> None:
    assert 0.85 < np.mean([len(recipe.layers) == 1 and recipe.tiles == 1 for recipe in recipes]) < 0.99
    assert 0.45 < np.mean([colours_of(recipe.background) == ["white", "white"] for recipe in recipes]) < 0.6
    assert {recipe.tiles for recipe in recipes} == {1, 2, 3}


def test_a_style_other_than_3d_is_always_named(pack: Pack, recipes: list[Recipe]) -> None:
    for recipe in recipes:
        style = pack.items[recipe.layers[0].item].style
        assert len(recipe.captions) == CAPTIONS
        if style is not Style.SOLID:
            assert all(style in caption for caption in recipe.captions)


def test_written_recipes_are_those_of_the_seed(pack_folder: Path, tokenizer_folder: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_recipes(pack_folder, tokenizer_folder, tmp_path / f"{name}.npz", 30, seed, processes=1)
    a, b, c = (load_recipes(tmp_path / f"{name}.npz") for name in "abc")
    assert {name: array.shape for name, array in a.items()} == {
        "item": (30, 2),
        "place": (30, 2, 3),
        "paint": (30, 2, 2),
        "tiles": (30,),
        "background": (30, 2, 3),
        "tokens": (30, CAPTIONS, MAX_TOKENS),
    }
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert not np.array_equal(a["tokens"], c["tokens"])
    assert len(load_recipes(tmp_path / "a.npz", 7)["tiles"]) == 7


def test_captions_become_tokens_that_read_the_same(
    pack: Pack, tokenizer_folder: Path, pack_folder: Path, tmp_path: Path
) -> None:
    write_recipes(pack_folder, tokenizer_folder, tmp_path / "recipes.npz", 5, seed=0, processes=1)
    tokens = load_recipes(tmp_path / "recipes.npz")["tokens"].reshape(-1, MAX_TOKENS)
    vocabulary, random = Vocabulary(pack), Random(0)
    captions = [caption for _ in range(5) for caption in draw_recipe(vocabulary, random).captions]
    tokenizer = CLIPTokenizer.from_pretrained(tokenizer_folder)
    expected = tokenizer(captions, padding="max_length", max_length=MAX_TOKENS, truncation=True)["input_ids"]
    assert tokens.tolist() == expected

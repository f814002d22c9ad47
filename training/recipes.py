"""Recipes: what to paint, and what to call it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from training.captions import Arrangement, Scene, caption
from training.pack import Style, read_pack
from training.vocabulary import HUES, Vocabulary

BACKGROUNDS = {
    "white": (255, 255, 255),
    "black": (18, 18, 18),
    "gray": (135, 135, 135),
    "red": (222, 45, 45),
    "orange": (245, 140, 30),
    "yellow": (250, 215, 60),
    "green": (60, 170, 75),
    "light green": (180, 230, 170),
    "blue": (50, 110, 220),
    "light blue": (165, 212, 245),
    "dark blue": (25, 40, 110),
    "purple": (130, 70, 190),
    "pink": (245, 160, 200),
    "brown": (125, 80, 50),
    "teal": (30, 150, 150),
    "beige": (240, 225, 195),
}
CAPTIONS = 4
"""How many ways a recipe is put into words."""
MAX_TOKENS = 40
"""Length of a stored caption in tokens, with its start and end; longer ones are cut."""

_COLOURS = list(BACKGROUNDS)
_HUES = [*HUES, "gray"]
# Two things in one picture teach neither well: few, as most prompts ask for one thing.
_ARRANGEMENTS = {
    Arrangement.SINGLE: 0.90,
    Arrangement.SMALL: 0.035,
    Arrangement.PAIR: 0.045,
    Arrangement.FOUR: 0.01,
    Arrangement.NINE: 0.01,
}
_REPAINTED = 0.20
_STYLES = {Style.SOLID: 0.66, Style.FLAT: 0.17, Style.CARTOON: 0.17}
_BLOCK = 5_000


@dataclass(frozen=True)
class Layer:
    """A picture of the pack on the canvas.

    Its place is the canvas's coordinates, -1 to 1, of its centre. A scale of 1 fills the canvas. The hue is shifted by
    a part of the circle, 0 to 1; saturation is multiplied.
    """

    item: int
    scale: float = 1.0
    x: float = 0.0
    y: float = 0.0
    hue: float = 0.0
    saturation: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """One training picture: layers from back to front, repeated `tiles` times each way, over a background.

    The background goes from the first colour (top) to the second, each RGB from 0 to 255.
    """

    layers: tuple[Layer, ...]
    tiles: int
    background: tuple[tuple[float, ...], tuple[float, ...]]
    captions: tuple[str, ...]


def background_held_out(concept: int, colour: str) -> bool:
    """Whether training never shows this concept on a background of this colour: one in ten, for evaluation."""
    return (concept * 7 + _COLOURS.index(colour) * 13) % 10 == 0


def repainting_held_out(concept: int, colour: str) -> bool:
    """Whether training never repaints this concept in this colour."""
    return (concept * 11 + _HUES.index(colour) * 5) % 10 == 0


def pair_held_out(first: int, second: int) -> bool:
    """Whether training never shows these two in this order."""
    return (first * 3 + second * 5) % 10 == 0


def draw_recipe(vocabulary: Vocabulary, random: Random) -> Recipe:
    """A recipe and CAPTIONS ways to say it."""
    arrangement = random.choices(list(_ARRANGEMENTS), list(_ARRANGEMENTS.values()))[0]
    concept = vocabulary.draw(random)
    style = random.choices(list(_STYLES), list(_STYLES.values()))[0]
    if style not in vocabulary.pictures[concept]:
        style = next(iter(vocabulary.pictures[concept]))
    item = vocabulary.pictures[concept][style]
    concepts: tuple[int, ...] = (concept,)
    repainted = None
    match arrangement:
        case Arrangement.PAIR:
            other = _partner(vocabulary, concept, style, random)
            concepts = (concept, other)
            layers: tuple[Layer, ...] = (
                Layer(item, 0.56, -0.47 + _jitter(random, 0.01), _jitter(random, 0.02)),
                Layer(vocabulary.pictures[other][style], 0.56, 0.47 + _jitter(random, 0.01), _jitter(random, 0.02)),
            )
        case Arrangement.SMALL:
            layers = (Layer(item, 0.45, _jitter(random, 0.02), _jitter(random, 0.02)),)
        case _:
            if arrangement is Arrangement.SINGLE and random.random() < _REPAINTED and vocabulary.repaintable(item):
                repainted = _not_held_out(_HUES, lambda colour: repainting_held_out(concept, colour), random)
            shift = (HUES[repainted] / 360 - vocabulary.items[item].hue.angle) % 1 if repainted in HUES else 0.0
            place = (1 + _jitter(random, 0.03), _jitter(random, 0.02), _jitter(random, 0.02))
            layers = (Layer(item, *place, hue=shift, saturation=0.0 if repainted == "gray" else 1.0),)
    background = _background(concept, random)
    # The 3D pictures are what a prompt without a style gets, so the others are always named.
    named = style if style is not Style.SOLID or random.random() < 0.18 else None
    captions = []
    for _ in range(CAPTIONS):
        names = tuple(vocabulary.names[number].draw(random) for number in concepts)
        own = vocabulary.colour(item) if arrangement in (Arrangement.SINGLE, Arrangement.SMALL) else None
        scene = Scene(arrangement, names, vocabulary.names[concept].tags, named, repainted, own, background)
        captions.append(caption(scene, random))
    tiles = {Arrangement.FOUR: 2, Arrangement.NINE: 3}.get(arrangement, 1)
    top, bottom = (_shade(colour, random) for colour in (background[0], background[-1]))
    return Recipe(layers, tiles, (top, top if len(background) == 1 else bottom), tuple(captions))


def write_recipes(pack: Path, tokenizer: Path, file: Path, count: int, seed: int, processes: int | None = None) -> None:
    """Draw `count` recipes in all processors and write their arrays (see `to_arrays`) for `painting.load_recipes`."""
    blocks = [
        (pack, tokenizer, seed * 1_000_000 + start, min(_BLOCK, count - start)) for start in range(0, count, _BLOCK)
    ]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        arrays = pool.starmap(_block, blocks)
    file.parent.mkdir(parents=True, exist_ok=True)
    joined: dict[str, Any] = {name: np.concatenate([array[name] for array in arrays]) for name in arrays[0]}
    np.savez(file, **joined)


def to_arrays(recipes: list[Recipe], tokenizer: Tokenizer) -> dict[str, npt.NDArray[np.generic]]:
    """Recipes as arrays over their number, n.

    `item` (n, 2), -1 where there is no second layer; `place` (n, 2, 3): scale, x, y; `paint` (n, 2, 2): hue,
    saturation; `tiles` (n,); `background` (n, 2, 3), 0 to 255; `tokens` (n, CAPTIONS, MAX_TOKENS).
    """
    empty = Layer(-1)
    layers = [(*recipe.layers, empty)[:2] for recipe in recipes]
    encoded = tokenizer.encode_batch([text for recipe in recipes for text in recipe.captions])
    end = tokenizer.token_to_id("<|endoftext|>")
    tokens = np.full((len(encoded), MAX_TOKENS), end, np.int16)
    for row, encoding in zip(tokens, encoded, strict=True):
        ids = encoding.ids[: MAX_TOKENS - 1]
        row[: len(ids)] = ids
    return {
        "item": np.array([[layer.item for layer in pair] for pair in layers], np.int32),
        "place": np.array([[(layer.scale, layer.x, layer.y) for layer in pair] for pair in layers], np.float32),
        "paint": np.array([[(layer.hue, layer.saturation) for layer in pair] for pair in layers], np.float32),
        "tiles": np.array([recipe.tiles for recipe in recipes], np.int64),
        "background": np.array([recipe.background for recipe in recipes], np.float32),
        "tokens": tokens.reshape(len(recipes), CAPTIONS, MAX_TOKENS),
    }


def _block(pack: Path, tokenizer: Path, seed: int, count: int) -> dict[str, npt.NDArray[np.generic]]:
    vocabulary, random = Vocabulary(read_pack(pack)), Random(seed)  # noqa: S311 - no secret
    words = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    words.no_padding()
    words.no_truncation()
    return to_arrays([draw_recipe(vocabulary, random) for _ in range(count)], words)


def _partner(vocabulary: Vocabulary, concept: int, style: Style, random: Random) -> int:
    while True:
        other = vocabulary.draw(random)
        if other != concept and style in vocabulary.pictures[other] and not pair_held_out(concept, other):
            return other


def _background(concept: int, random: Random) -> tuple[str, ...]:
    kind = random.random()
    if kind < 0.5:
        return ("white",)
    first = _not_held_out(_COLOURS[1:], lambda colour: background_held_out(concept, colour), random)
    second = _not_held_out(_COLOURS, lambda colour: background_held_out(concept, colour), random)
    return (first, second) if kind > 0.96 and second != first else (first,)


def _not_held_out(colours: list[str], held_out: Callable[[str], bool], random: Random) -> str:
    return random.choice([colour for colour in colours if not held_out(colour)])


def _shade(colour: str, random: Random) -> tuple[float, ...]:
    # White stays white, as the page that a picture is pasted on.
    spread = 0 if colour == "white" else 12
    return tuple(min(255.0, max(0.0, part + _jitter(random, spread))) for part in BACKGROUNDS[colour])


def _jitter(random: Random, spread: float) -> float:
    return random.uniform(-spread, spread)

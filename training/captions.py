"""How a prompt says what a picture shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from training.pack import Style
from training.vocabulary import starts_with_colour, without_colour


class Arrangement(StrEnum):
    """How the things of a picture are laid out."""

    SINGLE = "single"
    SMALL = "small"
    PAIR = "pair"
    FOUR = "four"
    NINE = "nine"


@dataclass(frozen=True)
class Scene:
    """What a caption can tell: names of one or two things, style, colours by name.

    `repainted` is the colour that the thing was given, `own_colour` the one that it has anyway. `style` is None where
    the caption shall not name it. `background` holds one colour, or two of a gradient from top to bottom.
    """

    arrangement: Arrangement
    names: tuple[str, ...]
    tags: tuple[str, ...]
    style: Style | None
    repainted: str | None
    own_colour: str | None
    background: tuple[str, ...]


# {a} is the thing with its article, {} without.
_PLAIN = {
    "{a}": 0.50,
    "{}": 0.10,
    "{a} emoji": 0.06,
    "an emoji of {a}": 0.08,
    "a picture of {a}": 0.07,
    "an icon of {a}": 0.05,
    "a drawing of {a}": 0.04,
    "a photo of {a}": 0.05,
    "an image of {a}": 0.03,
    "a cute {}": 0.02,
}
_STYLED = {
    Style.SOLID: (
        "a 3d {}",
        "{a}, 3d",
        "{a}, 3d render",
        "a 3d render of {a}",
        "a 3d emoji of {a}",
        "{a} in 3d style",
        "a glossy 3d {}",
    ),
    Style.FLAT: (
        "a flat {}",
        "{a}, flat",
        "{a}, flat design",
        "a flat icon of {a}",
        "{a} in flat style",
        "a flat vector of {a}",
    ),
    Style.CARTOON: (
        "a cartoon {}",
        "{a}, cartoon",
        "a cartoon of {a}",
        "{a} in cartoon style",
        "a cartoon drawing of {a}",
    ),
}
_PAIRS = (
    "{0} and {1}",
    "{0} and {1}",
    "{0} and {1}",
    "{0} next to {1}",
    "{0} beside {1}",
    "{0} on the left and {1} on the right",
)
_FOURS = ("four {}", "a grid of {}", "4 {}")
_NINES = ("a pattern of {}", "many {}", "nine {}")
_BACKGROUNDS = (
    "{} on {a} background",
    "{}, {c} background",
    "{} against {a} background",
    "{} with {a} background",
    "{} on {c}",
)
_GRADIENTS = (
    "{} on a gradient background from {c} to {d}",
    "{} on {a} to {d} gradient",
    "{}, {c} and {d} gradient background",
)
_SINGULAR_IN_S = {
    "abacus",
    "bus",
    "cactus",
    "canvas",
    "christmas",
    "compass",
    "cross",
    "dress",
    "glass",
    "grass",
    "hibiscus",
    "hippopotamus",
    "iris",
    "lotus",
    "mrs. claus",
    "mx claus",
    "octopus",
    "platypus",
    "princess",
    "rhinoceros",
    "santa claus",
    "tennis",
    "trellis",
    "venus",
    "virus",
    "walrus",
}


def caption(scene: Scene, random: Random) -> str:
    """One of the ways to say it, in lower case."""
    text = _things(scene, random)
    match scene.background:
        case (first, second):
            return random.choice(_GRADIENTS).format(text, a=with_article(first), c=first, d=second)
        case (only,) if only != "white" or random.random() < 0.07:
            return random.choice(_BACKGROUNDS).format(text, a=with_article(only), c=only)
    return text


def with_article(name: str) -> str:
    """ "an apple", "a unicorn", "sunglasses"."""
    head = re.split(r"\b(?:with|of|on|in|and|without|from|over|at|facing|behind|through|showing)\b", name)[0].strip()
    head = head or name
    noun = head.split()[-1]
    plural = noun.endswith("s") and not noun.endswith(("ss", "'s")) and not {noun, head} & _SINGULAR_IN_S
    if plural or (name[0].isdigit() and name.split()[0] not in ("1st", "2nd", "3rd")):
        return name
    return ("an " if re.match(r"[aeio]|u(?!ni|ti)", name) else "a ") + name


def plural(name: str) -> str:
    """ "cherries", "foxes", "cats"."""
    if name.endswith("s"):
        return name
    if re.search("[^aeiou]y$", name):
        return f"{name[:-1]}ies"
    return name + ("es" if name.endswith(("ch", "sh", "x")) else "s")


def _things(scene: Scene, random: Random) -> str:
    name = _coloured(scene, random)
    match scene.arrangement:
        case Arrangement.PAIR:
            return _mention(random.choice(_PAIRS).format(with_article(name), with_article(scene.names[1])), scene)
        case Arrangement.FOUR:
            return _mention(random.choice(_FOURS).format(plural(name)), scene)
        case Arrangement.NINE:
            return _mention(random.choice(_NINES).format(plural(name)), scene)
        case Arrangement.SMALL:
            name = f"{random.choice(('small', 'tiny', 'little'))} {name}"
    if scene.style:
        template = random.choice(_STYLED[scene.style])
    else:
        template = random.choices(list(_PLAIN), list(_PLAIN.values()))[0]
    text = template.format(name, a=with_article(name))
    if scene.arrangement is Arrangement.SINGLE and random.random() < 0.08:
        text = ", ".join([text, *random.sample(scene.tags, min(len(scene.tags), random.choice((1, 2))))])
    return text


def _coloured(scene: Scene, random: Random) -> str:
    name = scene.names[0]
    if scene.repainted:
        return f"{scene.repainted} {without_colour(name)}"
    if scene.own_colour and not starts_with_colour(name) and random.random() < 0.22:
        return f"{scene.own_colour} {name}"
    return name


def _mention(text: str, scene: Scene) -> str:
    return f"{text}, {scene.style}" if scene.style else text

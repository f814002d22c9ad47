"""What each concept may be called in a prompt, and how often it is drawn."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

from training.pack import Concept, Pack, Style

HUES = {"red": 0, "orange": 28, "yellow": 50, "green": 125, "teal": 178, "blue": 218, "purple": 272, "pink": 325}
"""The colours that things are repainted in, as angles of hue in degrees."""

_ALIASES: dict[str, list[str]] = json.loads(Path(__file__).with_name("aliases.json").read_text())
_COLOUR = (
    r"(?:red|orange|yellow|green|blue|purple|brown|black|white|pink|grey|gray|light blue|golden)"  # as labels begin
)
_TOO_VAGUE = {"face", "button", "sign", "symbol", "eyes", "mouth"}
_SIGNS = {
    "arrow",
    "av-symbol",
    "zodiac",
    "religion",
    "other-symbol",
    "warning",
    "punctuation",
    "gender",
    "math",
    "currency",
    "geometric",
    "money",
    "mail",
    "office",
}
_PEOPLE = {"face-concerned", "person-role", "person-activity", "person-sport", "person-gesture"}


def plain(label: str) -> str:
    """A label as people write it: lower case, without punctuation that tells variants apart."""
    text = label.lower().replace("’", "'")  # noqa: RUF001 - as Unicode writes it
    text = text.replace("“", "").replace("”", "").replace("ñ", "n")
    text = re.sub(r"^person: (.*)$", r"person with \1", text)
    text = re.sub(r"^(man|woman): (.*)$", r"\1 with \2", text)
    return re.sub(r"[:!]", "", text).strip()


def without_colour(name: str) -> str:
    """A name without the colour that it begins with: "red apple" is "apple"."""
    return re.sub(f"^{_COLOUR} ", "", name)


def starts_with_colour(name: str) -> bool:
    return re.match(rf"^{_COLOUR}\b", name) is not None


@dataclass(frozen=True)
class Names:
    """What a concept is called, and how often it is called each."""

    names: tuple[str, ...]
    weights: tuple[float, ...]
    tags: tuple[str, ...]

    def draw(self, random: Random) -> str:
        return random.choices(self.names, self.weights)[0]


class Vocabulary:
    """The concepts of a pack, with their names, pictures and weights."""

    def __init__(self, pack: Pack) -> None:
        self.concepts = pack.concepts
        self.items = pack.items
        self.pictures: list[dict[Style, int]] = [{} for _ in pack.concepts]
        for number, item in enumerate(pack.items):
            self.pictures[item.concept][item.style] = number
        labels = {plain(concept.label) for concept in pack.concepts}
        spread = Counter(word for concept in pack.concepts for word in _words(concept))
        self.names = [_names(concept, labels, spread) for concept in pack.concepts]
        self._cumulative = list(itertools.accumulate(_weight(concept) for concept in pack.concepts))

    def draw(self, random: Random) -> int:
        """The number of a concept, drawn by weight."""
        return random.choices(range(len(self.concepts)), cum_weights=self._cumulative)[0]

    def repaintable(self, item: int) -> bool:
        """Whether one shift of hue turns the whole thing into another colour."""
        hue = self.items[item].hue
        return hue.share > 0.35 and hue.concentration > 0.82

    def colour(self, item: int) -> str | None:
        """The one word for the picture's colour, where there is one."""
        hue = self.items[item].hue
        if hue.share < 0.55 or hue.concentration < 0.9 or hue.saturation < 0.5 or hue.value < 0.6:
            return None
        angle = hue.angle * 360
        distances = {name: min(abs(angle - other), 360 - abs(angle - other)) for name, other in HUES.items()}
        nearest = min(distances, key=lambda name: distances[name])
        return nearest if distances[nearest] < 13 else None


def _words(concept: Concept) -> set[str]:
    return {plain(word) for word in (*concept.tags, *concept.keywords)}


def _names(concept: Concept, labels: set[str], spread: Counter[str]) -> Names:
    """The label most of the time, else words that few other concepts share."""
    label = plain(concept.label)
    tags, keywords = ({plain(word) for word in words} for words in (concept.tags, concept.keywords))
    others: dict[str, float] = {}
    for word in sorted(tags | keywords):
        if word in labels or not re.fullmatch(r"[a-z][a-z' -]{2,24}", word) or re.fullmatch(_COLOUR, word):
            continue
        ends_label = " " in label and label.endswith(f" {word}") and word not in _TOO_VAGUE
        if ends_label or (word in tags and word in keywords):
            others[word] = 0.3 * spread[word] ** -0.8 + 0.15 * ends_label
    for alias in _ALIASES.get(label, ()):
        others[alias] = others.get(alias, 0) + 1.0
    if label.endswith(" face") and concept.group == "animals-nature":
        others[label.removesuffix(" face")] = 3.0
    if (bare := without_colour(label)) != label:
        others[bare] = max(others.get(bare, 0), 0.3 if bare in ("heart", "circle", "square") else 1.0)
    best = sorted(others.items(), key=lambda entry: -entry[1])[:8]
    total = sum(weight for _, weight in best)
    share = min(0.4, 0.05 + 0.28 * total) if best else 0.0
    return Names(
        (label, *(name for name, _ in best)),
        (1 - share, *(share * weight / total for _, weight in best)),
        tuple(plain(tag) for tag in concept.tags if re.fullmatch(r"[a-z -]+", tag.lower())) or (label,),
    )


def _weight(concept: Concept) -> float:
    """How often a concept is drawn: things that people ask for more, signs less."""
    if concept.group == "symbols" or concept.subgroup in _SIGNS:
        return 0.5
    if concept.group in ("animals-nature", "food-drink"):
        return 1.3
    if concept.subgroup.startswith("transport") or concept.subgroup in ("face-smiling", "heart"):
        return 1.15
    return 0.75 if concept.subgroup in _PEOPLE else 1.0

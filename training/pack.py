"""The pack: every training picture in one file, with an index of what each shows."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

PICTURE_SIZE = 256
"""Width and height of the pictures in a pack, in pixels."""


class Style(StrEnum):
    """Which of the three emoji sets a picture is from."""

    SOLID = "3d"
    FLAT = "flat"
    CARTOON = "cartoon"


@dataclass(frozen=True)
class Concept:
    """One thing that pictures show, as Unicode names and groups it; `tags` and `keywords` are two sources' words."""

    label: str
    group: str
    subgroup: str
    tags: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hue:
    """The colour of a picture's saturated pixels: can one word name it, and can it be repainted?

    All are 0 to 1: the mean hue, how much of the opaque part is saturated, how alike those pixels' hues are (1: all
    the same), and their mean saturation and value.
    """

    angle: float = 0.0
    share: float = 0.0
    concentration: float = 0.0
    saturation: float = 0.0
    value: float = 0.0


@dataclass(frozen=True)
class Item:
    """One picture: the number of its concept, its set, and its colour."""

    concept: int
    style: Style
    hue: Hue


@dataclass(frozen=True)
class Pack:
    """Concepts, items, and a WebP file with alpha for each item."""

    concepts: tuple[Concept, ...]
    items: tuple[Item, ...]
    files: tuple[bytes, ...]

    def pictures(self, size: int) -> npt.NDArray[np.uint8]:
        """Every picture as RGBA with straight alpha: (items, size, size, 4), in the order of `items`."""

        def decode(file: bytes) -> npt.NDArray[np.uint8]:
            picture = Image.open(io.BytesIO(file)).convert("RGBA")
            # Premultiplied while it is scaled, or the colour under transparent pixels bleeds into the edges.
            return np.asarray(picture.convert("RGBa").resize((size, size), Image.Resampling.LANCZOS).convert("RGBA"))

        with ThreadPoolExecutor() as threads:
            return np.stack(list(threads.map(decode, self.files)))


def write_pack(folder: Path, concepts: Iterable[Concept], items: Iterable[tuple[Item, bytes]]) -> None:
    """Write `images.bin` and `index.json` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    with (folder / "images.bin").open("wb") as blob:
        for item, file in items:
            entries.append({**asdict(item), "length": len(file)})
            blob.write(file)
    index = {"concepts": [asdict(concept) for concept in concepts], "items": entries}
    (folder / "index.json").write_text(json.dumps(index, ensure_ascii=False))


def read_pack(folder: Path) -> Pack:
    """Read what `write_pack` wrote.

    Raises FileNotFoundError where the folder holds no pack.
    """
    index = json.loads((folder / "index.json").read_text())
    blob = (folder / "images.bin").read_bytes()
    concepts = tuple(
        Concept(entry["label"], entry["group"], entry["subgroup"], tuple(entry["tags"]), tuple(entry["keywords"]))
        for entry in index["concepts"]
    )
    items, files, offset = [], [], 0
    for entry in index["items"]:
        items.append(Item(entry["concept"], Style(entry["style"]), Hue(**entry["hue"])))
        files.append(blob[offset : offset + entry["length"]])
        offset += entry["length"]
    return Pack(concepts, tuple(items), tuple(files))

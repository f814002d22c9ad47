from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.pack import PICTURE_SIZE, Pack, Style, read_pack
from training.sources import FILL, build_pack


def write_json(file: Path, value: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))


def iconify(folder: Path, icons: dict[str, Any], chars: dict[str, str], **more: Any) -> None:
    write_json(folder / "icons.json", {"icons": icons, "width": 32, "height": 32, **more})
    write_json(folder / "chars.json", chars)


def name(label: str, code: str, emoji: str, subgroup: int = 0, **more: Any) -> dict[str, Any]:
    return {"label": label, "hexcode": code, "emoji": emoji, "group": 4, "subgroup": subgroup, **more}


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """All five packages: an apple in every set, a heart in the drawn ones, a star in one, and what is no use."""
    folder = tmp_path / "node_modules"
    names = [
        name("red apple", "1F34E", "🍎", tags=["fruit"]),
        name("red heart", "2764", "❤️"),
        name("star", "2B50", "⭐"),
        name("nowhere drawn", "1FFFF", "\U0001ffff"),
        name("flag: Utopia", "1F1E6", "🇦", subgroup=1),
        name("three o’clock", "1F552", "🕒"),  # noqa: RUF001
        name("woman dancing", "1F483", "💃", subgroup=2),
        {key: value for key, value in name("regional indicator", "1F1E7", "🇧").items() if key != "group"},
    ]
    write_json(folder / "emojibase-data/en/data.json", names)
    groups = {
        "groups": {"4": "food-drink"},
        "subgroups": {"0": "food-fruit", "1": "country-flag", "2": "person-activity"},
    }
    write_json(folder / "emojibase-data/meta/groups.json", groups)
    write_json(folder / "emojilib/dist/emoji-en-US.json", {"🍎": ["red_apple", "school"], "❤": ["love"]})
    square = {"body": '<rect x="4" y="12" width="8" height="4" fill="#0000ff"/>'}
    round_ = {"body": '<circle cx="64" cy="64" r="10" fill="#ff0000"/>', "width": 128, "height": 128}
    every = {"1f34e": "apple", "2764-fe0f": "heart", "1f1e6": "flag", "1f552": "clock", "1f483": "dancer"}
    icons = dict.fromkeys(("apple", "flag", "clock", "dancer"), square) | {"heart": round_}
    iconify(folder / "@iconify-json/fluent-emoji-flat", icons, every)
    iconify(
        folder / "@iconify-json/noto",
        {"apple": square, "heart-suit": round_},
        {"1f34e": "apple", "2764": "heart", "2b50": "missing"},
        aliases={"heart": {"parent": "heart-suit"}},
    )
    assets = folder / "@lobehub/fluent-emoji-3d/assets"
    assets.mkdir(parents=True)
    for code in ("1f34e", "2b50"):
        picture = Image.new("RGBA", (256, 256))
        picture.paste((0, 200, 0, 255), (100, 40, 140, 240))
        picture.save(assets / f"{code}.webp", lossless=True)
    return folder


@pytest.fixture
def built(modules: Path, tmp_path: Path) -> Pack:
    assert build_pack(modules, tmp_path / "pack") == 6
    return read_pack(tmp_path / "pack")


def test_holds_every_concept_in_every_set_that_has_it(built: Pack) -> None:
    assert [concept.label for concept in built.concepts] == ["red apple", "red heart", "star"]
    assert [(item.concept, item.style) for item in built.items] == [
        (0, Style.SOLID),
        (0, Style.FLAT),
        (0, Style.CARTOON),
        (1, Style.FLAT),
        (1, Style.CARTOON),
        (2, Style.SOLID),
    ]


def test_takes_the_words_of_both_sources(built: Pack) -> None:
    apple, heart, _ = built.concepts
    assert (apple.group, apple.subgroup) == ("food-drink", "food-fruit")
    assert (apple.tags, apple.keywords) == (("fruit",), ("red apple", "school"))
    assert heart.keywords == ("love",)


def test_things_are_as_large_as_each_other_and_in_the_middle(built: Pack) -> None:
    for item, file in zip(built.items, built.files, strict=True):
        picture = Image.open(io.BytesIO(file))
        assert picture.size == (PICTURE_SIZE, PICTURE_SIZE)
        box = picture.getchannel("A").point(lambda alpha: 255 * (alpha > 100)).getbbox()
        assert box
        left, top, right, bottom = box
        width, height = right - left, bottom - top
        assert max(width, height) == pytest.approx(FILL * PICTURE_SIZE, abs=2)
        assert (left + right, top + bottom) == pytest.approx((PICTURE_SIZE, PICTURE_SIZE), abs=2)
        # As wide to as high as they were drawn.
        proportion = {0: 0.2 if item.style is Style.SOLID else 2.0, 1: 1.0, 2: 0.2}[item.concept]
        assert width / height == pytest.approx(proportion, rel=0.05)


def test_keeps_the_colours_and_knows_the_hue(built: Pack) -> None:
    middles = built.pictures(64)[:, 32, 32].astype(int)
    for item, middle in zip(built.items, middles, strict=True):
        expected = {Style.SOLID: (0, 200, 0), Style.FLAT: (0, 0, 255), Style.CARTOON: (0, 0, 255)}[item.style]
        if item.concept == 1:
            expected = (255, 0, 0)
        assert np.abs(middle[:3] - expected).max() < 25
        angle = {(0, 200, 0): 1 / 3, (0, 0, 255): 2 / 3, (255, 0, 0): 0.0}[expected]
        assert (item.hue.angle - angle + 0.5) % 1 == pytest.approx(0.5, abs=0.02)
        assert item.hue.share > 0.9
        assert item.hue.concentration > 0.95


def test_names_the_package_that_is_not_there(modules: Path, tmp_path: Path) -> None:
    (modules / "@iconify-json/noto/icons.json").unlink()
    with pytest.raises(FileNotFoundError, match="noto"):
        build_pack(modules, tmp_path / "pack")

"""From the npm packages of three emoji sets, and two of their names and keywords, to a pack."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import resvg_py
from PIL import Image

from training.pack import PICTURE_SIZE, Concept, Hue, Item, Style, write_pack

FILL = 0.86
"""How much of the picture's width or height the thing takes, whichever is larger."""

Render = Callable[[str], Image.Image | None]
"""An emoji's code points, as in 1f600, to its picture; None where the set has none."""

_LEFT_OUT_SUBGROUPS = {
    "none",
    "skin-tone",
    "hair-style",
    "country-flag",
    "subdivision-flag",
    "keycap",
    "alphanum",
    "family",
    "transport-sign",
}
# Pictures of letters and words, and people whose only difference is one of gender or hair.
_LEFT_OUT_LABELS = re.compile(
    r"^(input |Japanese .*button|family:|kiss:|couple with heart:|men holding|women holding|woman and man|flag:)"
    r"|o’clock|-thirty$|^(end|back|on!|soon|top) arrow|facing right",  # noqa: RUF001 - as Unicode writes it
    re.IGNORECASE,
)
_GENDERED_SUBGROUPS = {
    "person-gesture",
    "person-role",
    "person-activity",
    "person-sport",
    "person-fantasy",
    "person-resting",
}


def build_pack(modules: Path, folder: Path) -> int:
    """Render every concept in every set that has it; how many pictures there are.

    `modules` is the node_modules of training/npm. Raises FileNotFoundError where a package is not there.
    """
    renders: dict[Style, Render] = {
        Style.SOLID: _solid(modules / "@lobehub/fluent-emoji-3d/assets"),
        Style.FLAT: _drawn(modules / "@iconify-json/fluent-emoji-flat"),
        Style.CARTOON: _drawn(modules / "@iconify-json/noto"),
    }

    def pictures(entry: _Entry) -> list[tuple[Style, Hue, bytes]]:
        rendered = ((style, render(entry.code)) for style, render in renders.items())
        normal = ((style, _normalised(picture)) for style, picture in rendered if picture)
        return [(style, _hue(picture), _webp(picture)) for style, picture in normal]

    concepts: list[Concept] = []
    items: list[tuple[Item, bytes]] = []
    with ThreadPoolExecutor() as threads:
        entries = list(_entries(modules))
        for entry, found in zip(entries, threads.map(pictures, entries), strict=True):
            if found:
                items += [(Item(len(concepts), style, hue), file) for style, hue, file in found]
                concepts.append(entry.concept)
    write_pack(folder, concepts, items)
    return len(items)


@dataclass(frozen=True)
class _Entry:
    code: str
    concept: Concept


def _entries(modules: Path) -> Iterator[_Entry]:
    """The concepts worth drawing, in the order of Unicode."""
    names = _json(modules / "emojibase-data/en/data.json")
    groups = _json(modules / "emojibase-data/meta/groups.json")
    keywords = _json(modules / "emojilib/dist/emoji-en-US.json")
    for name in names:
        label, emoji = name["label"], name["emoji"]
        subgroup = groups["subgroups"].get(str(name.get("subgroup")), "none")
        if "group" not in name or subgroup in _LEFT_OUT_SUBGROUPS or _LEFT_OUT_LABELS.search(label):
            continue
        if subgroup in _GENDERED_SUBGROUPS and re.match(r"(man|woman|men|women) ", label):
            continue
        if subgroup == "person" and re.match(r"(man|woman): (curly|white|bald|beard)", label):
            continue
        words = keywords.get(emoji) or keywords.get(emoji.replace("\ufe0f", "")) or []
        concept = Concept(
            label,
            groups["groups"][str(name["group"])],
            subgroup,
            tuple(name.get("tags", ())),
            tuple(word.replace("_", " ") for word in words),
        )
        yield _Entry(name["hexcode"], concept)


def _json(path: Path) -> Any:
    return json.loads(path.read_text())


def _code(text: str) -> str:
    """Without the selector that only says "as a picture": the sets differ in where they write it."""
    return "-".join(part for part in text.lower().split("-") if part != "fe0f")


def _solid(folder: Path) -> Render:
    files = {_code(path.stem): path for path in folder.iterdir()}

    def render(code: str) -> Image.Image | None:
        path = files.get(_code(code))
        return Image.open(path).convert("RGBA") if path else None

    return render


def _drawn(package: Path) -> Render:
    icons = _json(package / "icons.json")
    names = {_code(code): name for code, name in _json(package / "chars.json").items()}

    def render(code: str) -> Image.Image | None:
        name = names.get(_code(code), "")
        icon = icons["icons"].get(name) or icons["icons"].get(icons.get("aliases", {}).get(name, {}).get("parent", ""))
        if not icon:
            return None
        left, top = icon.get("left", 0), icon.get("top", 0)
        width, height = icon.get("width", icons.get("width", 16)), icon.get("height", icons.get("height", 16))
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="{left} {top} {width} {height}" width="512" height="512">{icon["body"]}</svg>'
        )
        png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=512, height=512))
        return Image.open(io.BytesIO(png)).convert("RGBA")

    return render


def _normalised(picture: Image.Image) -> Image.Image:
    """The thing cut out, scaled to FILL and centred: where it lies and how large it is shall not need learning."""
    # The same threshold for every set: soft shadows of the 3D set would otherwise shrink the thing.
    mask = picture.getchannel("A").point(lambda alpha: 255 * (alpha > 0.04 * 255))
    cut = picture.crop(mask.getbbox() or (0, 0, *picture.size))
    scale = FILL * PICTURE_SIZE / max(cut.size)
    width, height = (max(1, round(length * scale)) for length in cut.size)
    scaled = cut.convert("RGBa").resize((width, height), Image.Resampling.LANCZOS).convert("RGBA")
    canvas = Image.new("RGBA", (PICTURE_SIZE, PICTURE_SIZE))
    canvas.paste(scaled, ((PICTURE_SIZE - width) // 2, (PICTURE_SIZE - height) // 2))
    return canvas


def _hue(picture: Image.Image) -> Hue:
    small = picture.resize((64, 64), Image.Resampling.BOX)
    hue, saturation, value = np.moveaxis(np.asarray(small.convert("RGB").convert("HSV")) / 255.0, -1, 0)
    opaque = np.asarray(small.getchannel("A")) > 0.6 * 255
    saturated = opaque & (saturation > 0.3) & (value > 0.25)
    if opaque.sum() < 20 or saturated.sum() < 10:
        return Hue()
    weight = saturation[saturated]
    mean = (np.exp(2j * np.pi * hue[saturated]) * weight).sum() / weight.sum()
    return Hue(
        round(float(np.angle(mean) / (2 * np.pi) % 1), 4),
        round(float(saturated.sum() / opaque.sum()), 3),
        round(float(abs(mean)), 3),
        round(float(weight.mean()), 3),
        round(float(value[saturated].mean()), 3),
    )


def _webp(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=80, alpha_quality=80, method=4)
    return buffer.getvalue()

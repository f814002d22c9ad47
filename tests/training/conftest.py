"""A pack of thirty concepts, drawn here, and all that the stages make of it, in the smallest sizes that work."""

from __future__ import annotations

import io
import re
from pathlib import Path
from random import Random

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from PIL import Image, ImageDraw
from tokenizers import Tokenizer
from transformers import CLIPTokenizer

from training.export import assemble
from training.networks import Sizes, make_scheduler, make_vae
from training.pack import Concept, Hue, Item, Pack, Style, read_pack, write_pack
from training.painting import Painter
from training.recipes import draw_recipe, to_arrays
from training.tokenizer import train_tokenizer
from training.unet import make_denoiser
from training.vocabulary import Vocabulary

SIZES = Sizes(image=64, vae=(8, 8, 8, 8), unet=(32, 32, 32), unet_layers=(1, 1, 1), text=64, text_layers=1)
_THINGS = """
red apple, cat face, dog face, lion, fox, horse, rose, cherries, hamburger, pizza, rocket, house, guitar, crown, kite,
umbrella, octopus, unicorn, person: beard, automobile, green heart, ice, key, bell, book, candle, drum, gem stone,
hammer, airplane
"""


@pytest.fixture(scope="session")
def pack_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    labels = re.split(r",\s+", _THINGS.strip())
    concepts = [
        Concept(label, "animals-nature" if "face" in label else "objects", "other", (label,)) for label in labels
    ]
    items = [
        (Item(number, style, Hue(number / 30, 0.9, 0.95, 0.9, 0.9)), _thing(number, style))
        for number in range(len(concepts))
        for style in list(Style)[: 1 + number % 3]
    ]
    write_pack(folder, concepts, items)
    return folder


@pytest.fixture(scope="session")
def pack(pack_folder: Path) -> Pack:
    return read_pack(pack_folder)


@pytest.fixture(scope="session")
def tokenizer_folder(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(pack, folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder: Path) -> CLIPTokenizer:
    loaded: CLIPTokenizer = CLIPTokenizer.from_pretrained(tokenizer_folder)
    return loaded


@pytest.fixture(scope="session")
def painter(pack: Pack, tokenizer_folder: Path) -> Painter:
    """Of 40 recipes, at the size of SIZES."""
    vocabulary, random = Vocabulary(pack), Random(0)
    words = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    words.no_padding()
    words.no_truncation()
    recipes = to_arrays([draw_recipe(vocabulary, random) for _ in range(40)], words)
    return Painter(pack.pictures(SIZES.image), recipes, torch.device("cpu"))


@pytest.fixture
def pipeline(tokenizer: CLIPTokenizer) -> StableDiffusionPipeline:
    """Untrained, of SIZES."""
    torch.manual_seed(0)
    return assemble(make_vae(SIZES), make_denoiser(SIZES, tokenizer), tokenizer, make_scheduler())


def _thing(number: int, style: Style) -> bytes:
    picture = Image.new("RGBA", (64, 64))
    draw = ImageDraw.Draw(picture)
    colour = (40 + 7 * number, 250 - 7 * number, 90 * list(Style).index(style), 255)
    (draw.ellipse if number % 2 else draw.rectangle)((6, 6, 57, 57), fill=colour)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()

"""Make the pictures of the README and the model cards again: `.venv/bin/python docs/images/make_samples.py`.

It is run in the repository's root. Each picture is what `darkroom predict -i prompt="..." -i seed=1 -o picture.webp`
gives with the model that is named.
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from server.diffusion import Engine, PictureRequest, save

SAMPLES = ("a red apple", "a rocket on a black background", "a penguin", "a slice of pizza", "a butterfly", "a robot")
SEED = 1
PROMPTS = Path("training/prompts.txt").read_text().splitlines()
MARGIN = 8


def main() -> None:
    """Write six pictures of the default model, forty of either model, and the six again with the LoRA."""
    write("samples.webp", draw("models/emoji", SAMPLES), columns=len(SAMPLES), margin=MARGIN)
    write("emoji.webp", draw("models/emoji", PROMPTS), columns=8)
    write("emoji-fast.webp", draw("models/emoji-fast", PROMPTS), columns=8)
    both = [*draw("models/emoji", SAMPLES), *draw("models/emoji", SAMPLES, lora="models/emoji-loras/pixel-art")]
    write("pixel-art.webp", both, columns=len(SAMPLES), margin=MARGIN)


def draw(model: str, prompts: Iterable[str], lora: str | None = None) -> list[Image.Image]:
    """A picture for each prompt, with the defaults of the model's card."""
    engine = Engine(model)
    if lora:
        engine.pipeline.load_lora_weights(lora, weight_name="pytorch_lora_weights.safetensors")

    async def make() -> list[Image.Image]:
        requests = (PictureRequest(prompt=prompt, seed=SEED) for prompt in prompts)
        # One after another: beside others, sums are rounded differently.
        return [picture.image for request in requests async for picture in engine.generate(request)]

    return asyncio.run(make())


def write(name: str, pictures: list[Image.Image], columns: int, margin: int = 0) -> None:
    """One sheet of them all, row by row."""
    width, height = (length + margin for length in pictures[0].size)
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width - margin, rows * height - margin), "white")
    for place, picture in enumerate(pictures):
        sheet.paste(picture, (place % columns * width, place // columns * height))
    save(sheet, Path(__file__).with_name(name), quality=85)


if __name__ == "__main__":
    main()

"""Make the pictures of the README again: `.venv/bin/python docs/images/make_samples.py`, in the repository's root.

Each is what `darkroom predict -i prompt="..." -i seed=N -o picture.webp` gives with the embedded model.
"""

from pathlib import Path

from PIL import Image

from server.diffusion import Engine, TextToImage, save

SAMPLES = {
    "a red apple": 18,
    "a smiling face": 10,
    "a rainbow": 2,
    "a red heart": 10,
    "a blue car on a yellow background": 9,
    "a full moon on a black background": 6,
}
"""Each prompt with its seed."""

MARGIN = 8


def main() -> None:
    """Write `samples.webp`: the pictures side by side."""
    engine = Engine("models/emoji")
    pictures = [
        picture.image
        for prompt, seed in SAMPLES.items()
        for picture in engine.generate(TextToImage(prompt=prompt, seed=seed))
    ]
    width, height = pictures[0].size
    row = Image.new("RGB", (len(pictures) * (width + MARGIN) - MARGIN, height), "white")
    for place, picture in enumerate(pictures):
        row.paste(picture, (place * (width + MARGIN), 0))
    save(row, Path(__file__).with_name("samples.webp"), quality=92)


if __name__ == "__main__":
    main()

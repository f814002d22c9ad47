"""A folder of images of the kinds that people send and programs stumble over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.diffusion.broken_files import broken_files, flipped_headers
from tests.diffusion.markers import Shows
from tests.diffusion.odd_pictures import odd_pictures


@dataclass(frozen=True)
class Refused:
    """A file that is refused.

    Attributes:
        says: words of the error.
    """

    says: str


@dataclass(frozen=True)
class Chance:
    """A file of which either can be expected: that it is read, or refused with an error that names the input."""


@dataclass(frozen=True)
class NastyImage:
    """One of them.

    Attributes:
        path: the file.
        expected: what has to come of it.
    """

    path: Path
    expected: Shows | Refused | Chance


def nasty_images(folder: Path, seed: int = 0) -> list[NastyImage]:
    """Make them in a folder, the same ones for the same seed.

    Args:
        folder: an empty one, which exists.
        seed: what is random comes from it.
    """
    images: list[NastyImage] = []

    def add(name: str, content: bytes, expected: Shows | Refused | Chance) -> None:
        path = folder / name
        with path.open("xb") as file:
            file.write(content)
        images.append(NastyImage(path, expected))

    for name, content, shows in odd_pictures():
        add(name, content, shows)
    for name, content, says in broken_files(seed):
        add(name, content, Refused(says))
    for name, content in flipped_headers(seed):
        add(name, content, Chance())
    return images

"""The pictures that a request sends, read."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from server.diffusion.errors import InputError
from server.diffusion.forms import Forms, Task
from server.diffusion.masks import mask_from_alpha, read_mask, turn_with
from server.diffusion.reading import SentPicture, read_picture
from server.diffusion.request import PictureRequest
from server.diffusion.sizing import Size
from server.diffusion.warnings import Warnings


@dataclass(frozen=True)
class SentPictures:
    """The pictures of a request, as they were sent.

    Attributes:
        image: what it begins with, or edits.
        mask: what of that is to be painted anew, mode L.
        mask_input: the input that the mask was made of.
        references: further pictures to edit from.
    """

    image: SentPicture | None = None
    mask: Image.Image | None = None
    mask_input: str = "mask"
    references: tuple[SentPicture, ...] = ()

    @property
    def size(self) -> Size | None:
        """That of the first picture, which gives the others their shape; `None` where there is none."""
        first = self.image or next(iter(self.references), None)
        return Size(*first.rgb.size) if first else None


def read_sent(forms: Forms, request: PictureRequest, warnings: Warnings) -> SentPictures:
    """Read the pictures of a request, but for that of a ControlNet.

    Args:
        forms: what the model can do with them.
        request: what was sent.
        warnings: told of what was converted or ignored.

    Raises:
        InputError: the model takes no such picture, or one cannot be read; or the request is strict and there is
            something to warn of.
    """
    inpaints = Task.INPAINTING in forms.tasks
    if request.image and not forms.tasks - {Task.TEXT_TO_IMAGE}:
        raise InputError("image", "this model makes pictures from text alone. Leave it out, or choose another model.")
    if request.mask and not inpaints:
        raise InputError("mask", "this model cannot paint a part of a picture anew. Leave it out.")
    count = len(request.reference_images) + (request.image is not None)
    if request.reference_images and count > forms.most_references:
        most = forms.most_references
        rule = f"this model takes {most} at most, image among them" if most else "this model takes none"
        raise InputError("reference_images", f"{rule}, and {count} were sent. Leave out the others.")
    references = tuple(read_picture(path, "reference_images", warnings) for path in request.reference_images)
    if request.image is None:
        return SentPictures(references=references)
    by_alpha = inpaints and not request.mask and not references
    image = read_picture(request.image, "image", warnings, alpha_is_used=by_alpha)
    if request.mask:
        mask = turn_with(read_mask(request.mask, "mask", warnings), image, "mask", warnings)
        return SentPictures(image, mask, references=references)
    if by_alpha and image.alpha is not None and image.alpha.getextrema() != (255, 255):
        return SentPictures(image, mask_from_alpha(image.alpha), "image", references)
    return SentPictures(image, references=references)

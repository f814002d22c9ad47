"""Where in a picture's file its metadata goes, in each format, and how it is read from there."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile, PngInfo

from server.diffusion import xmp
from server.diffusion.errors import MetadataError
from server.diffusion.infotext import infotext
from server.diffusion.metadata import Metadata, from_json, to_json
from server.diffusion.warnings import WarningCode, Warnings

_PARAMETERS = "parameters"
_JSON = "darkroom"
_XMP = "XML:com.adobe.xmp"

_JPEG_SEGMENT = 65533
"""How many bytes of EXIF a JPEG holds."""

_ENCODING = b"UNICODE\0"
"""How EXIF says of a comment that it is UTF-16."""

# A TIFF of two directories, each the number of its entries, the entries (tag, type, count, value) and no next one.
_HEADER = b"MM\0*\0\0\0\x08"
_IFD0 = struct.Struct(">HHHIII")
_IFD = struct.Struct(">HHHI4sHHIII")
_EXIF_IFD, _EXIF_VERSION, _USER_COMMENT = 0x8769, 0x9000, 0x9286
_LONG, _UNDEFINED = 4, 7


def png_arguments(metadata: Metadata) -> dict[str, Any]:
    """What to call Pillow's `save` with, so that a PNG carries the metadata."""
    chunks = PngInfo()
    # As the web UI writes it: tEXt where Latin-1 suffices, which is all that some readers know, else iTXt.
    chunks.add_text(_PARAMETERS, infotext(metadata))
    chunks.add_itxt(_JSON, to_json(metadata))
    chunks.add_itxt(_XMP, xmp.packet(metadata, with_json=False))
    return {"pnginfo": chunks}


def jpeg_arguments(metadata: Metadata, warnings: Warnings | None = None) -> dict[str, Any]:
    """The same for a JPEG, whose segments are short: the JSON may go on in others, the web UI's line is left out."""
    packet, parts = xmp.jpeg_packets(metadata)
    arguments: dict[str, Any] = {"xmp": packet}
    if parts:
        arguments["extra"] = b"".join(_segment(part) for part in parts)
    exif = _exif(metadata)
    if len(exif) <= _JPEG_SEGMENT:
        arguments["exif"] = exif
    elif warnings:
        warnings.add(
            WarningCode.TRUNCATED,
            None,
            "The prompt is too long for the comment that other programs read in a JPEG, so that is left out; "
            "`darkroom reproduce` finds all that it needs. Ask for png, webp or avif to have both.",
        )
    return arguments


def other_arguments(metadata: Metadata) -> dict[str, Any]:
    """The same for WebP and AVIF."""
    return {"exif": _exif(metadata), "xmp": xmp.packet(metadata)}


def read_metadata(path: Path) -> Metadata:
    """What a picture's file tells of how it was made.

    Raises:
        MetadataError: it tells nothing, or nothing that can be used; or it is not there, or no picture.
    """
    try:
        with Image.open(path) as image:
            text = _find(image)
            foreign = text is None and _PARAMETERS in image.info
    except MetadataError as error:
        raise MetadataError(f"What {path} tells of how it was made {error}.") from error
    except FileNotFoundError as error:
        raise MetadataError(f"There is no file {path}.") from error
    except UnidentifiedImageError as error:
        raise MetadataError(f"{path} is not a picture of a kind that can be read.") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MetadataError(f"{path} cannot be read: {error}.") from error
    if text is None:
        raise MetadataError(
            f"{path} was made by another program: it has that one's parameters, and no record of Darkroom."
            if foreign
            else f"{path} does not tell how it was made. It was saved with embed_metadata false or by another program, "
            "or one that it went through has removed that, as many sites do. Use the file as it came from Darkroom."
        )
    try:
        return from_json(text)
    except MetadataError as error:
        raise MetadataError(f"What {path} tells of how it was made {error}.") from error


def _exif(metadata: Metadata) -> bytes:
    # Big-endian throughout, as the web UI reads the comment whatever the header says. Written here because Pillow
    # gives the comment the type of numbers.
    comment = _ENCODING + infotext(metadata).encode("utf-16-be")
    start = len(_HEADER) + _IFD0.size
    directory = _IFD0.pack(1, *(_EXIF_IFD, _LONG, 1, start), 0)
    exif = _IFD.pack(
        2, *(_EXIF_VERSION, _UNDEFINED, 4, b"0232"), *(_USER_COMMENT, _UNDEFINED, len(comment), start + _IFD.size), 0
    )
    return b"Exif\0\0" + _HEADER + directory + exif + comment


def _segment(content: bytes) -> bytes:
    return b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content


def _find(image: Image.Image) -> str | None:
    if isinstance(image, PngImageFile):
        # Another program may have put it behind the pixels.
        text = image.text.get(_JSON)
        if text is not None:
            return str(text)
    packet = image.info.get("xmp")
    if not packet:
        return None
    segments = [content for name, content in getattr(image, "applist", []) if name == "APP1"]
    return xmp.read_json(packet if isinstance(packet, bytes) else packet.encode(), segments)

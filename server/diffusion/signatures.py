"""What a file is, by its first bytes: its name says nothing that can be relied on."""

import codecs
import re
from enum import StrEnum

HEAD = 1024
"""As many bytes of a file as tell what it is."""


class PictureKind(StrEnum):
    """The kinds of picture that can be sent in."""

    AVIF = "AVIF"
    BMP = "BMP"
    GIF = "GIF"
    HEIC = "HEIC"
    JPEG = "JPEG"
    PNG = "PNG"
    TIFF = "TIFF"
    WEBP = "WebP"


READABLE = "a JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP or TIFF file"
"""What to send instead of what cannot be read."""

_PICTURES = {
    b"\xff\xd8\xff": PictureKind.JPEG,
    b"\x89PNG\r\n\x1a\n": PictureKind.PNG,
    b"GIF87a": PictureKind.GIF,
    b"GIF89a": PictureKind.GIF,
    b"BM": PictureKind.BMP,
    b"II*\0": PictureKind.TIFF,
    b"MM\0*": PictureKind.TIFF,
    b"II+\0": PictureKind.TIFF,
    b"MM\0+": PictureKind.TIFF,
}

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}

_OTHERS = {
    b"%PDF": "a PDF document",
    b"8BPS": "a Photoshop document (PSD)",
    b"%!PS": "a PostScript file (EPS)",
    b"\xc5\xd0\xd3\xc6": "a PostScript file (EPS)",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"\xff\x0a": "a JPEG XL picture",
    b"\0\0\0\x0cJXL ": "a JPEG XL picture",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 picture",
    b"\xff\x4f\xff\x51": "a JPEG 2000 picture",
    b"\0\0\x01\0": "an icon (ICO)",
    b"\x76\x2f\x31\x01": "an OpenEXR picture",
    b"#?RADIANCE": "a Radiance HDR picture",
    b"gimp xcf": "a GIMP document (XCF)",
    b"DDS ": "a DirectDraw texture (DDS)",
    b"\x1aE\xdf\xa3": "a WebM or Matroska video",
    b"ID3": "a sound file",
    b"OggS": "a sound file",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"version https://git-lfs": "a pointer of Git LFS, in place of the file itself",
}

_TEXTS = (
    (r"<(!doctype\s+html|html|head|body)\b", "an HTML page"),
    (r"<!--.*<html\b", "an HTML page"),
    (r"(<.*)?<svg[\s>]", "an SVG drawing"),
    (r"<", "an XML document"),
    (r"[{\[]", "a JSON document"),
    (r"data:[\w/+.-]*[;,]", "the text of a data URL, in place of the picture in it"),
    (r"https?://", "the text of an address, in place of what is there"),
    (r"", "text"),
)
"""What texts begin with, after any blanks; the first that fits."""


def picture_kind(head: bytes) -> PictureKind | None:
    """Which kind of picture a file is, by its first `HEAD` bytes; `None` for anything else."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return PictureKind.WEBP
    if head[4:8] == b"ftyp":
        return _by_brands(head)
    if _is_raw(head):
        return None
    return next((kind for start, kind in _PICTURES.items() if head.startswith(start)), None)


def describe(head: bytes) -> str:
    """What a file is that is no picture that can be read, by its first `HEAD` bytes: `an HTML page`."""
    if not head:
        return "an empty file"
    if _is_raw(head):
        return "a raw photograph of a camera"
    if head[4:8] == b"ftyp":
        return "a video, or a picture of a rare kind"
    for start, what in _OTHERS.items():
        if head.startswith(start):
            return what
    if (text := _text(head)) is not None:
        return next(what for start, what in _TEXTS if re.match(start, text, re.IGNORECASE | re.DOTALL))
    return "of no kind that is known"


def _is_raw(head: bytes) -> bool:
    """Whether it is Canon's kind of TIFF, of which only a thumbnail could be read."""
    return head.startswith(b"II*\0") and head[8:10] == b"CR"


def _by_brands(head: bytes) -> PictureKind | None:
    """The kind of an ISO base media file, by its major brand or else by those that it is compatible with."""
    end = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(end, len(head)), 4))]
    for brand in brands:
        if brand in _AVIF_BRANDS:
            return PictureKind.AVIF
        if brand in _HEIF_BRANDS:
            return PictureKind.HEIC
    return None


def _text(head: bytes) -> str | None:
    """The file's beginning as text without blanks in front; `None` where it is none."""
    try:
        # The last letter may be cut in two, which is an error to any other decoder.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return None
    is_text = all(letter.isprintable() or letter.isspace() for letter in text)
    return text.lstrip() if is_text else None

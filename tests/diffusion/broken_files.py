"""Files that cannot be read as pictures, with what the reader has to say of them."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from collections.abc import Iterator

from tests.diffusion.markers import encoded, marked, png
from tests.diffusion.odd_pictures import heic

DAMAGED = "damaged or ends too early"
TOO_LARGE = "pixels. Up to"


def broken_files(seed: int) -> Iterator[tuple[str, bytes, str]]:
    """The name and the content of each, and words of the error. `seed` draws the bytes of those that are random."""
    yield from _no_pictures(seed)
    yield from _cut_short()
    yield from _damaged()
    yield from _bombs()


def flipped_headers(seed: int) -> Iterator[tuple[str, bytes]]:
    """Files with a few bits of their first 200 bytes flipped: whether they can be read is left to chance."""
    draw = random.Random(seed)
    picture = marked()
    for format in ("PNG", "JPEG", "GIF", "WEBP", "AVIF", "BMP", "TIFF"):
        for number in range(3):
            file = bytearray(encoded(picture.quantize(4) if format == "GIF" else picture, format))
            for _ in range(4):
                file[draw.randrange(12, min(200, len(file)))] ^= 1 << draw.randrange(8)
            yield f"flipped-{number}.{format.lower()}", bytes(file)


def _no_pictures(seed: int) -> Iterator[tuple[str, bytes, str]]:
    yield "empty.png", b"", "an empty file"
    yield "page.jpg", b"<!DOCTYPE html>\n<html><head><title>404</title></head></html>", "an HTML page"
    yield "late-page.jpg", b"\n\n  <!-- cached -->\n<HTML><body>Sorry</body>", "an HTML page"
    yield "answer.png", json.dumps({"error": "not found"}).encode(), "a JSON document"
    yield "drawing.svg", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"
    yield "feed.png", b'<?xml version="1.0"?><rss/>', "an XML document"
    yield "note.txt", "Bitte später".encode(), "text"
    yield "data-url.png", b"data:image/png;base64,iVBORw0KGgo=", "a data URL"
    yield "address.png", b"https://example.com/cat.png\n", "an address"
    yield "pointer.png", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"
    yield "paper.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"
    yield "layers.psd", b"8BPS\0\x01" + bytes(20), "Photoshop"
    yield "figure.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "PostScript"
    yield "film.mp4", b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2" + bytes(40), "a video"
    yield "next.jxl", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20), "a JPEG XL picture"
    yield "icon.ico", b"\0\0\x01\0\x01\0\x10\x10" + bytes(20), "an icon"
    yield "raw.cr2", b"II*\0\x10\0\0\0CR\x02\0" + bytes(40), "a raw photograph"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("cat.png"), encoded(marked(), "PNG"))
    yield "archive.png", buffer.getvalue(), "a ZIP archive"
    yield "noise.png", b"\x80" + random.Random(seed).randbytes(5000), "no kind that is known"
    yield "targa.tga", encoded(marked(), "TGA"), "no kind that is known"


def _cut_short() -> Iterator[tuple[str, bytes, str]]:
    picture = marked((640, 480))
    files = {
        "jpg": encoded(picture, "JPEG", quality=95),
        "png": encoded(picture, "PNG", compress_level=0),
        "gif": encoded(picture.quantize(4), "GIF"),
        "webp": encoded(picture, "WEBP", lossless=True),
        "avif": encoded(picture, "AVIF"),
        "heic": heic(picture),
        "bmp": encoded(picture, "BMP"),
        "tif": encoded(picture, "TIFF", compression="tiff_lzw"),
    }
    for ending, file in files.items():
        yield f"half.{ending}", file[: len(file) // 2], DAMAGED
        yield f"start.{ending}", file[:30], DAMAGED
    for ending in ("jpg", "png", "bmp"):
        yield f"most.{ending}", files[ending][: len(files[ending]) * 9 // 10], DAMAGED


def _damaged() -> Iterator[tuple[str, bytes, str]]:
    good = encoded(marked(), "PNG")
    yield "flipped-size.png", good[:19] + bytes([good[19] ^ 1]) + good[20:], DAMAGED
    yield "no-width.png", png((0, 10), 8, 2, [b""] * 10), DAMAGED
    yield "flipped-pixels.png", good[:45] + bytes([good[45] ^ 255]) + good[46:], DAMAGED
    photo = encoded(marked(), "JPEG")
    yield "no-tables.jpg", photo.replace(b"\xff\xdb", b"\xff\xfe"), DAMAGED


def _bombs() -> Iterator[tuple[str, bytes, str]]:
    pixel = b"\xff\0\0"
    yield "bomb.png", png((50_000, 50_000), 8, 2, [pixel * 10]), TOO_LARGE
    yield "black.png", png((20_000, 20_000), 1, 0, [bytes(2500)] * 20_000), TOO_LARGE
    yield "long.png", png((40_000, 1), 8, 2, [pixel * 40_000]), TOO_LARGE
    photo = encoded(marked((16, 16)), "JPEG")
    frame = photo.index(b"\xff\xc0") + 5
    yield "bomb.jpg", photo[:frame] + struct.pack(">HH", 65_500, 65_500) + photo[frame + 4 :], TOO_LARGE
    yield (
        "bomb.gif",
        b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + encoded(marked().quantize(4), "GIF")[10:],
        TOO_LARGE,
    )
    bitmap = encoded(marked((16, 16)), "BMP")
    yield "bomb.bmp", bitmap[:18] + struct.pack("<ii", 30_000, 30_000) + bitmap[26:], TOO_LARGE
    chunk = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (16_382).to_bytes(3, "little") * 2
    yield "bomb.webp", b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk, "too large"
    tiff = encoded(marked((16, 16)), "TIFF")
    yield "bomb.tif", _with_tiff_size(tiff, 30_000), TOO_LARGE


def _with_tiff_size(file: bytes, side: int) -> bytes:
    """A little-endian TIFF file that says that it is so wide and high."""
    start = int.from_bytes(file[4:8], "little")
    count = int.from_bytes(file[start : start + 2], "little")
    changed = bytearray(file)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        if int.from_bytes(file[entry : entry + 2], "little") in (256, 257):
            changed[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, side)
    return bytes(changed)

"""Pictures that can be read, each odd in its way, with what they show."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import numpy as np
import pillow_heif
from PIL import Image, ImageCms, TiffImagePlugin

from server.diffusion.warnings import WarningCode
from tests.diffusion.icc_profiles import ADOBE_RGB, DISPLAY_P3, SRGB, cmyk_profile, grey_profile, rgb_profile
from tests.diffusion.markers import (
    BLACK_AND_WHITE,
    COLOURS,
    GREYS,
    SIZE,
    Colour,
    Corners,
    Shows,
    encoded,
    marked,
    narrow,
    stored,
)
from tests.diffusion.odd_pngs import odd_pngs

_WHITE = (255, 255, 255)
_CONVERTED = frozenset({WarningCode.CONVERTED})
_IGNORED = frozenset({WarningCode.IGNORED})


def odd_pictures() -> Iterator[tuple[str, bytes, Shows]]:
    """The name, the content and the sight of each."""
    yield from odd_pngs()
    yield from _jpegs()
    yield from _turned()
    yield from _profiled()
    yield from _gifs()
    yield from _modern()
    yield from _bmps()
    yield from _tiffs()
    yield from _shapes()
    yield from _misnamed()


def _jpegs() -> Iterator[tuple[str, bytes, Shows]]:
    picture = marked()
    near = Shows(tolerance=6)
    plain = encoded(picture, "JPEG", quality=95)
    yield "rgb.jpg", plain, near
    yield "progressive.jpg", encoded(picture, "JPEG", quality=95, progressive=True), near
    yield "grey.jpg", encoded(marked(corners=GREYS).convert("L"), "JPEG"), Shows(corners=GREYS, tolerance=6)
    yield (
        "odd-size.jpg",
        encoded(marked((61, 43)), "JPEG", quality=95, subsampling=2),
        Shows((61, 43), tolerance=6),
    )
    # Full inks: what any reader makes of them without a profile. Pillow inverts them on writing, as Adobe does.
    inks = Image.new("CMYK", SIZE)
    inks.paste((0, 255, 255, 0), (0, 0, 32, 24))
    inks.paste((255, 0, 255, 0), (32, 0, 64, 24))
    inks.paste((255, 255, 0, 0), (0, 24, 32, 48))
    primaries: Corners = ((255, 0, 0), (0, 255, 0), (0, 0, 255), _WHITE)
    yield "cmyk.jpg", encoded(inks, "JPEG", quality=95), Shows(corners=primaries, tolerance=6, warns=_CONVERTED)
    profile = cmyk_profile()
    yield (
        "cmyk-profile.jpg",
        encoded(inks, "JPEG", quality=95, icc_profile=profile),
        Shows(corners=_by_lcms(inks, profile), tolerance=8, warns=_CONVERTED),
    )
    exif = Image.Exif()
    exif[0x010E] = "x" * 60_000
    yield "huge-exif.jpg", encoded(picture, "JPEG", quality=95, exif=exif), near
    yield "junk-behind.jpg", plain + bytes(range(256)) * 16, near
    yield "two-pictures.jpg", encoded(picture, "MPO", quality=95, save_all=True, append_images=[picture]), near
    broken = b"Exif\0\0II*\0\x08\0\0\0" + b"\xff" * 40
    yield "broken-exif.jpg", encoded(picture, "JPEG", quality=95, exif=broken), near


def _turned() -> Iterator[tuple[str, bytes, Shows]]:
    picture = marked()
    for orientation in range(1, 9):
        held, exif = stored(picture, orientation), _orientation(orientation)
        photo = encoded(held, "JPEG", quality=95, exif=exif)
        yield f"orientation-{orientation}.jpg", photo, Shows(tolerance=6)
        yield f"orientation-{orientation}.png", encoded(held, "PNG", exif=exif), Shows()
    for orientation in (0, 9):
        photo = encoded(picture, "JPEG", quality=95, exif=_orientation(orientation))
        yield f"orientation-{orientation}.jpg", photo, Shows(tolerance=6)
    held, exif = stored(picture, 6), _orientation(6)
    yield "turned.webp", encoded(held, "WEBP", lossless=True, exif=exif), Shows()
    yield "turned.avif", encoded(held, "AVIF", quality=100, subsampling="4:4:4", exif=exif), Shows(tolerance=6)
    yield "turned.tif", encoded(held, "TIFF", tiffinfo=_tags({0x0112: 6})), Shows()
    yield "turned-packed.tif", encoded(held, "TIFF", compression="tiff_lzw", tiffinfo=_tags({0x0112: 6})), Shows()
    yield "turned.heic", heic(held, exif=exif), Shows(tolerance=6)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    yield "turned-by-xmp.webp", encoded(held, "WEBP", lossless=True, xmp=xmp), Shows()


def _profiled() -> Iterator[tuple[str, bytes, Shows]]:
    picture, grey = marked(), marked(corners=GREYS).convert("L")
    yield "srgb.png", encoded(picture, "PNG", icc_profile=rgb_profile(SRGB, None)), Shows()
    for name, profile in ("p3", rgb_profile(DISPLAY_P3, None)), ("adobe", rgb_profile(ADOBE_RGB, 563 / 256)):
        seen = _by_lcms(picture, profile)
        yield f"{name}.png", encoded(picture, "PNG", icc_profile=profile), Shows(corners=seen, warns=_CONVERTED)
        yield (
            f"{name}.jpg",
            encoded(picture, "JPEG", quality=95, icc_profile=profile),
            Shows(corners=seen, tolerance=9, warns=_CONVERTED),
        )
    p3 = rgb_profile(DISPLAY_P3, None)
    grey_of_p3 = Shows(corners=GREYS, tolerance=1, warns=_CONVERTED)
    yield "grey-with-rgb-profile.png", encoded(grey, "PNG", icc_profile=p3), grey_of_p3
    linear = grey_profile(1.0)
    seen = _by_lcms(grey, linear)
    yield "linear-grey.png", encoded(grey, "PNG", icc_profile=linear), Shows(corners=seen, warns=_CONVERTED)
    yield "broken-profile.png", encoded(picture, "PNG", icc_profile=b"no profile" * 20), Shows(warns=_IGNORED)
    yield "cut-profile.png", encoded(picture, "PNG", icc_profile=p3[:200]), Shows(warns=_IGNORED)
    yield "profile-of-print.png", encoded(picture, "PNG", icc_profile=cmyk_profile()), Shows(warns=_IGNORED)
    seen = _by_lcms(picture, p3)
    yield "p3-palette.png", encoded(picture.quantize(4), "PNG", icc_profile=p3), Shows(corners=seen, warns=_CONVERTED)
    yield (
        "p3.webp",
        encoded(picture, "WEBP", lossless=True, icc_profile=p3),
        Shows(corners=seen, warns=_CONVERTED),
    )


def _gifs() -> Iterator[tuple[str, bytes, Shows]]:
    picture = marked().quantize(4)
    yield "still.gif", encoded(picture, "GIF"), Shows()
    frames = [marked(corners=GREYS).quantize(4)]
    yield "animated.gif", encoded(picture, "GIF", save_all=True, append_images=frames), Shows(warns=_CONVERTED)
    index = picture.getpixel((1, 1))
    yield (
        "clear.gif",
        encoded(picture, "GIF", transparency=index),
        Shows(corners=(_WHITE, *COLOURS[1:]), warns=_CONVERTED),
    )


def _modern() -> Iterator[tuple[str, bytes, Shows]]:
    picture = marked()
    clear = picture.copy()
    clear.putalpha(Image.fromarray(np.where(np.asarray(picture)[..., 0] == COLOURS[0][0], 0, 255).astype(np.uint8)))
    rest: Corners = (_WHITE, *COLOURS[1:])
    frames = [marked(corners=GREYS)]
    yield "lossy.webp", encoded(picture, "WEBP", quality=95), Shows(tolerance=12)
    yield "lossless.webp", encoded(picture, "WEBP", lossless=True), Shows()
    yield "clear.webp", encoded(clear, "WEBP", lossless=True), Shows(corners=rest, warns=_CONVERTED)
    animated = encoded(picture, "WEBP", lossless=True, save_all=True, append_images=frames)
    yield "animated.webp", animated, Shows(warns=_CONVERTED)
    best = {"quality": 100, "subsampling": "4:4:4"}
    yield "rgb.avif", encoded(picture, "AVIF", **best), Shows(tolerance=6)
    yield "clear.avif", encoded(clear, "AVIF", **best), Shows(corners=rest, tolerance=6, warns=_CONVERTED)
    animated = encoded(picture, "AVIF", save_all=True, append_images=frames, **best)
    yield "animated.avif", animated, Shows(tolerance=6, warns=_CONVERTED)
    yield "rgb.heic", heic(picture), Shows(tolerance=6)
    yield "clear.heic", heic(clear), Shows(corners=rest, tolerance=6, warns=_CONVERTED)
    yield "odd-size.heic", heic(marked((61, 43))), Shows((61, 43), tolerance=12)


def _bmps() -> Iterator[tuple[str, bytes, Shows]]:
    picture = marked()
    plain = encoded(picture, "BMP")
    yield "rgb.bmp", plain, Shows()
    yield "palette.bmp", encoded(picture.quantize(4), "BMP"), Shows()
    yield "bilevel.bmp", encoded(marked(corners=BLACK_AND_WHITE).convert("1"), "BMP"), Shows(corners=BLACK_AND_WHITE)
    mirrored = encoded(picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM), "BMP")
    top_down = mirrored[:22] + struct.pack("<i", -SIZE[1]) + mirrored[26:]
    yield "top-down.bmp", top_down, Shows()


def _tiffs() -> Iterator[tuple[str, bytes, Shows]]:
    picture, grey = marked(), marked(corners=GREYS).convert("L")
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield f"{compression}.tif", encoded(picture, "TIFF", compression=compression), Shows()
    bilevel = marked(corners=BLACK_AND_WHITE).convert("1")
    yield "fax.tif", encoded(bilevel, "TIFF", compression="group4"), Shows(corners=BLACK_AND_WHITE)
    pages = [marked(corners=GREYS)]
    yield "pages.tif", encoded(picture, "TIFF", save_all=True, append_images=pages), Shows(warns=_CONVERTED)
    inks = Image.new("CMYK", SIZE, (0, 255, 255, 0))
    red: Corners = ((255, 0, 0),) * 4
    yield "cmyk.tif", encoded(inks, "TIFF"), Shows(corners=red, warns=_CONVERTED)
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    srgb = ImageCms.createProfile("sRGB")
    in_lab = ImageCms.profileToProfile(picture, srgb, lab, outputMode="LAB")
    assert in_lab is not None
    in_lab.info = {}
    yield "lab.tif", encoded(in_lab, "TIFF"), Shows(tolerance=6)
    levels = np.asarray(grey)
    deep = Image.fromarray(levels.astype(np.uint16) * 257)
    yield "grey16.tif", encoded(deep, "TIFF"), Shows(corners=GREYS, warns=_CONVERTED)
    inverse = Image.fromarray((255 - levels.astype(np.uint16)) * 257)
    yield (
        "white-is-zero16.tif",
        encoded(inverse, "TIFF", tiffinfo=_tags({262: 0})),
        Shows(corners=GREYS, warns=_CONVERTED),
    )
    signed = Image.fromarray(levels.astype(np.int32) * 257)
    yield "grey32.tif", encoded(signed, "TIFF"), Shows(corners=GREYS, warns=_CONVERTED)
    floats = (levels / 255).astype(np.float32)
    yield "float.tif", encoded(Image.fromarray(floats), "TIFF"), Shows(corners=GREYS, warns=_CONVERTED)


def _shapes() -> Iterator[tuple[str, bytes, Shows]]:
    for size in ((1, 1), (1, 4000), (4000, 1), (2, 3), (17, 31), (5000, 7), (1023, 769)):
        yield f"{size[0]}x{size[1]}.png", encoded(marked(size), "PNG"), Shows(size, narrow(COLOURS, size))


def _misnamed() -> Iterator[tuple[str, bytes, Shows]]:
    picture = marked()
    yield "in-fact-png.jpg", encoded(picture, "PNG"), Shows()
    yield "in-fact-jpeg.png", encoded(picture, "JPEG", quality=95), Shows(tolerance=6)
    yield "in-fact-webp.gif", encoded(picture, "WEBP", lossless=True), Shows()
    yield "no-ending", encoded(picture, "PNG"), Shows()
    yield "in-fact-bmp.html", encoded(picture, "BMP"), Shows()


def _orientation(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def heic(picture: Image.Image, **options: bytes) -> bytes:
    """A picture as an HEIC file."""
    buffer = io.BytesIO()
    pillow_heif.from_pillow(picture).save(buffer, quality=-1, chroma=444, **options)
    return buffer.getvalue()


def _tags(values: dict[int, int]) -> TiffImagePlugin.ImageFileDirectory_v2:
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in values.items():
        directory[tag] = value
    return directory


def _by_lcms(picture: Image.Image, profile: bytes) -> Corners:
    """What littleCMS makes of the colours of a picture."""
    space = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    seen = ImageCms.profileToProfile(picture, space, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert seen is not None
    width, height = seen.size
    found: list[Colour] = [seen.getpixel((x, y)) for y in (0, height - 1) for x in (0, width - 1)]  # type: ignore[misc]
    return found[0], found[1], found[2], found[3]

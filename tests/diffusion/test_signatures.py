"""What files are, by their first bytes; the files of test_nasty_images.py go through it too."""

from __future__ import annotations

import pytest

from server.diffusion.signatures import HEAD, PictureKind, describe, picture_kind


def _container(major: bytes, *brands: bytes) -> bytes:
    content = b"ftyp" + major + bytes(4) + b"".join(brands)
    return (len(content) + 4).to_bytes(4, "big") + content + b"\0\0\0\x08free"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (_container(b"avif", b"mif1", b"miaf"), PictureKind.AVIF),
        (_container(b"mif1", b"avif", b"miaf"), PictureKind.AVIF),
        (_container(b"avis", b"msf1"), PictureKind.AVIF),
        (_container(b"heic", b"mif1"), PictureKind.HEIC),
        (_container(b"mif1", b"heic"), PictureKind.HEIC),
        (_container(b"isom", b"mp41"), None),
        # What comes after the brands is none of them.
        (_container(b"isom") + b"avif", None),
        (b"RIFF\0\0\0\0WEBPVP8 ", PictureKind.WEBP),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"II+\0\x08\0\0\0", PictureKind.TIFF),
        (b"MM\0*\0\0\0\x08", PictureKind.TIFF),
        (b"II*\0\x10\0\0\0CR\x02\0", None),
        (b"", None),
        (b"\x89PNG", None),
    ],
)
def test_kinds(head: bytes, kind: PictureKind | None) -> None:
    assert picture_kind(head) == kind


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"\xef\xbb\xbf\r\n<html lang=en>", "an HTML page"),
        (b"<!doctype HTML>", "an HTML page"),
        (b"<!doctype html><svg></svg>", "an HTML page"),
        (b"<svg>", "an SVG drawing"),
        (b"<?xml version='1.0'?><!-- made\nby hand --><svg width='1'>", "an SVG drawing"),
        (b"<Error><Code>AccessDenied</Code></Error>", "an XML document"),
        (b'  {"detail": "Not Found"}', "a JSON document"),
        (b"not found", "text"),
        (b"   \n", "text"),
        # A letter of two bytes, of which the second is not in the head.
        (b"x" * (HEAD - 1) + "é".encode()[:1], "text"),
        (b"P6\n8 8\n255\n" + bytes([200, 220, 255] * 64), "of no kind that is known"),
        (b"caf\xe9 au lait, encoded otherwise", "of no kind that is known"),
        (bytes(HEAD), "of no kind that is known"),
    ],
)
def test_descriptions(head: bytes, what: str) -> None:
    assert describe(head) == what

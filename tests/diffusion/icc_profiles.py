"""Colour profiles made from their published numbers, after ICC.1:2001-04."""

import itertools
import struct

import numpy as np

_D50 = (0.9642, 1.0, 0.8249)

SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))
"""Red, green and blue as XYZ under D50, as the ICC's own profile of sRGB has them."""
DISPLAY_P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
"""The same of Apple's Display P3."""
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
"""The same of Adobe RGB (1998)."""


def rgb_profile(primaries: tuple[tuple[float, float, float], ...], gamma: float | None) -> bytes:
    """A profile of a screen. `gamma` is the exponent of its curve, or `None` for the curve of sRGB."""
    curve = _srgb_curve() if gamma is None else _gamma_curve(gamma)
    tags = {name: _xyz(values) for name, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def grey_profile(gamma: float) -> bytes:
    """A profile of greys whose light is their value to the power of `gamma`."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _gamma_curve(gamma)})


def cmyk_profile() -> bytes:
    """A profile of a press whose four inks are duller than pure ones, as real inks are."""
    inks = np.array([(0.1, 0.6, 0.85), (0.8, 0.1, 0.5), (0.95, 0.9, 0.1), (0.15, 0.14, 0.13)])
    lattice = b"".join(
        _lab8(np.prod(np.where(np.array(on)[:, None], inks, 1.0), axis=0))
        for on in itertools.product((False, True), repeat=4)
    )
    identity = bytes(range(256))
    matrix = b"".join(_fixed(value) for value in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + identity * 4 + lattice + identity * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


def to_light(encoded: float) -> float:
    """The light of an sRGB value, both from 0 to 1 (IEC 61966-2-1)."""
    return encoded / 12.92 if encoded <= 0.04045 else float(((encoded + 0.055) / 1.055) ** 2.4)


def from_light(light: float) -> float:
    """The sRGB value of a light, both from 0 to 1 (IEC 61966-2-1)."""
    return light * 12.92 if light <= 0.0031308 else float(1.055 * light ** (1 / 2.4) - 0.055)


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": _xyz(_D50),
        **tags,
    }
    offset = 128 + 4 + 12 * len(tags)
    directory, content = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        directory += name + struct.pack(">II", offset + len(content), len(data))
        content += data + bytes(-len(data) % 4)
    size = struct.pack(">I", offset + len(content))
    header = size + b"none" + bytes([2, 0x10, 0, 0]) + kind + space + connection + bytes(12) + b"acsp"
    header = header.ljust(68, b"\0") + b"".join(_fixed(value) for value in _D50)
    return header.ljust(128, b"\0") + directory + content


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(_fixed(value) for value in values)


def _gamma_curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def _srgb_curve() -> bytes:
    values = [round(to_light(index / 1023) * 65535) for index in range(1024)]
    return b"curv\0\0\0\0" + struct.pack(">I1024H", 1024, *values)


def _lab8(rgb: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bytes:
    """A colour, in light from 0 to 1, as CIELAB of 8 bits, with the primaries of sRGB under D50."""
    to_xyz = np.array(((0.4361, 0.3851, 0.1431), (0.2225, 0.7169, 0.0606), (0.0139, 0.0971, 0.7141)))
    x, y, z = np.cbrt(to_xyz @ rgb / _D50)
    lab = 116 * y - 16, 500 * (x - y), 200 * (y - z)
    return bytes(round(value) for value in np.clip((lab[0] * 2.55, lab[1] + 128, lab[2] + 128), 0, 255))

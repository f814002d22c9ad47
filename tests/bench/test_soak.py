from __future__ import annotations

import io

import numpy
import pytest
from PIL import Image

from bench.clients import WrongAnswer, check_drawn, pictures
from bench.soak import decibels_lost, growth, levels_apart, reserved_bytes


def _png(*pixels: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(numpy.array([[[value] * 3 for value in pixels]], dtype=numpy.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_pictures_are_compared_by_level_and_by_noise() -> None:
    assert levels_apart(_png(10, 200), _png(13, 199)) == 3
    assert levels_apart(_png(10, 200), _png(10, 200)) == 0
    # 20 log10(255 / 2)
    assert decibels_lost(_png(10, 200), _png(12, 202)) == pytest.approx(-42.11, abs=0.01)
    assert decibels_lost(_png(10, 200), _png(10, 200)) == float("-inf")


def test_memory_counts_from_the_first_minute_on() -> None:
    # It rises to 2 GiB within the first minute, and stays, but for the last two minutes of ten and a half.
    readings = [(float(at), 1.0 + min(at, 60) / 60 if at < 480 else 2.2) for at in range(620)]
    assert growth(readings, "memory") == {
        "memory_gib": 2.2,
        "memory_growth": pytest.approx(0.1),
        "memory_by_minute": [1.0, *[2.0] * 7, *[2.2] * 3],
    }


def test_memory_that_comes_and_goes_is_level_and_a_leak_beneath_it_is_not() -> None:
    pictures = [(float(at), 2.0 + at % 7 / 10) for at in range(600)]
    assert growth(pictures, "memory")["memory_growth"] == 0
    higher = [(at, value + (at > 450 and value > 2.2)) for at, value in pictures]
    assert growth(higher, "memory")["memory_growth"] == 0
    leaking = [(at, value + 0.2 * at / 600) for at, value in pictures]
    assert growth(leaking, "memory")["memory_growth"] > 0.05


def test_memory_of_all_gpus_is_read_from_the_metrics() -> None:
    assert reserved_bytes("""# TYPE darkroom_gpu_memory_reserved_bytes gauge
darkroom_gpu_memory_reserved_bytes{gpu="0"} 3e+09
darkroom_gpu_memory_reserved_bytes{gpu="1"} 2e+09
# TYPE darkroom_gpu_memory_used_bytes gauge
darkroom_gpu_memory_used_bytes{gpu="0"} 9e+09
""") == pytest.approx(5e9)
    assert reserved_bytes("# TYPE darkroom_queue gauge\ndarkroom_queue 0\n") == 0


def test_a_picture_of_one_colour_was_not_drawn() -> None:
    check_drawn(_png(0, 255))
    with pytest.raises(WrongAnswer, match="of one colour"):
        check_drawn(_png(0, 0))


def test_only_png_is_taken() -> None:
    with pytest.raises(WrongAnswer, match="not PNG"):
        pictures({"output": ["data:image/webp;base64,AAAA"]})

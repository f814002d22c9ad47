"""What becomes of outputs. The expected values, and the texts of errors, were observed of Cog 0.23.1."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import io
import os
import pathlib
import tempfile
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import pydantic
import pytest

from server import cog
from server.worker.encoding import MAX_DEPTH, OutputEncoder
from server.worker.messages import LocalFile


class Color(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 3


class Word(str, enum.Enum):  # noqa: UP042 - what models have
    YES = "yes"


@dataclasses.dataclass
class Point:
    x: int
    color: Color = Color.RED


class Answer(cog.BaseModel):
    text: str
    extra: Any = None


class Pydantic(pydantic.BaseModel):
    name: str
    at: datetime.datetime


class Pair(NamedTuple):
    a: int
    b: int


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


@pytest.fixture
def encoder(tmp_path: Path) -> OutputEncoder:
    folder = tmp_path / "outputs"
    folder.mkdir()
    return OutputEncoder(folder)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**100, 2**100),
        (1.5, 1.5),
        ("text", "text"),
        (Text("x"), "x"),
        (Color.RED, "red"),
        (Size.SMALL, 3),
        (Word.YES, "yes"),
        ({"a": Color.RED, "b": [Color.RED]}, {"a": "red", "b": ["red"]}),
        (datetime.datetime(2020, 1, 1), "2020-01-01T00:00:00"),
        ((1, 2), [1, 2]),
        ({7}, [7]),
        (frozenset([1]), [1]),
        ((n for n in [1, 2]), [1, 2]),
        (collections.OrderedDict(a=1), {"a": 1}),
        (Pair(1, 2), [1, 2]),
        ({1: 2, None: 3, False: 4, 1.5: 5}, {"1": 2, "null": 3, "false": 4, "1.5": 5}),
        ({Word.YES: 1}, {"yes": 1}),
        (Point(1), {"x": 1, "color": "red"}),
        (Answer("hi", Color.RED), {"text": "hi", "extra": "red"}),
        (Pydantic(name="n", at=datetime.datetime(2020, 1, 1)), {"name": "n", "at": "2020-01-01T00:00:00"}),
        (numpy.float32(1.5), 1.5),
        (numpy.int64(3), 3),
        (numpy.bool_(True), True),
        (numpy.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        ({"scores": numpy.array([0.5])}, {"scores": [0.5]}),
        (numpy.str_("x"), "x"),
    ],
)
def test_values(encoder: OutputEncoder, value: Any, expected: Any) -> None:
    encoded = encoder.encode(value)
    assert encoded == expected
    assert type(encoded) is type(expected)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"x", "Object of type bytes is not JSON serializable"),
        (bytearray(b"x"), "Object of type bytearray is not JSON serializable"),
        (memoryview(b"x"), "Object of type memoryview is not JSON serializable"),
        (1 + 2j, "Object of type complex is not JSON serializable"),
        (object(), "Object of type object is not JSON serializable"),
        (lambda: 1, "Object of type function is not JSON serializable"),
        (Point, "Object of type type is not JSON serializable"),
        (range(3), "Object of type range is not JSON serializable"),
        (collections.deque([1]), "Object of type deque is not JSON serializable"),
        (iter([1]), "Object of type list_iterator is not JSON serializable"),
        ({}.keys(), "Object of type dict_keys is not JSON serializable"),
        (datetime.date(2020, 1, 1), "Object of type date is not JSON serializable"),
        (datetime.timedelta(1), "Object of type timedelta is not JSON serializable"),
        (decimal.Decimal(1), "Object of type Decimal is not JSON serializable"),
        (uuid.UUID(int=1), "Object of type UUID is not JSON serializable"),
        ({"deep": [{"x": b""}]}, "Object of type bytes is not JSON serializable"),
        ({(1, 2): 3}, "keys must be str, int, float, bool or None, not tuple"),
        ({Color.RED: 1}, "keys must be str, int, float, bool or None, not Color"),
    ],
)
def test_what_is_not_json(encoder: OutputEncoder, value: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        encoder.encode(value)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), [-float("inf")], {float("nan"): 1}, numpy.array([numpy.nan])]
)
def test_numbers_that_json_lacks(encoder: OutputEncoder, value: Any) -> None:
    with pytest.raises(TypeError, match=r"Object of type float is not JSON serializable where it is (nan|-?inf)"):
        encoder.encode(value)


def test_half_a_surrogate_pair(encoder: OutputEncoder) -> None:
    with pytest.raises(UnicodeEncodeError):
        encoder.encode({"x": "\ud800"})
    with pytest.raises(UnicodeEncodeError):
        encoder.encode({"\ud800": 1})


def test_depth(encoder: OutputEncoder) -> None:
    value: list[Any] = []
    for _ in range(MAX_DEPTH):
        value = [value]
    assert encoder.encode(value) == value
    with pytest.raises(ValueError, match="deeper than 128"):
        encoder.encode([value])
    value.append(value)
    with pytest.raises(ValueError, match="contains itself"):
        encoder.encode(value)


def content(file: Any) -> tuple[str, bytes]:
    assert isinstance(file, LocalFile)
    path = Path(file.path)
    return path.name, path.read_bytes()


@pytest.mark.parametrize("type_", [cog.Path, pathlib.Path, pathlib.PurePosixPath])
def test_a_path_is_copied_at_once(encoder: OutputEncoder, tmp_path: Path, type_: Any) -> None:
    original = tmp_path / "out.png"
    original.write_bytes(b"first")
    first = encoder.encode(type_(original))
    original.write_bytes(b"second")
    second = encoder.encode({"deep": [type_(original)]})["deep"][0]
    third = encoder.encode(Answer("x", type_(original)))["extra"]
    assert [content(file) for file in (first, second, third)] == [
        ("out.png", b"first"),
        ("out-1.png", b"second"),
        ("out-2.png", b"second"),
    ]
    assert {Path(file.path).parent for file in (first, second, third)} == {tmp_path / "outputs"}
    # Like Cog, the model's own file is left to the model.
    assert original.exists()


def test_open_files(encoder: OutputEncoder, tmp_path: Path) -> None:
    with (tmp_path / "a.bin").open("w+b") as file:
        file.write(b"not flushed")
        assert content(encoder.encode(file)) == ("a.bin", b"not flushed")
    with (tmp_path / "b.txt").open("w+") as text:
        text.write("text")
        assert content(encoder.encode(text)) == ("b.txt", b"text")
    with tempfile.NamedTemporaryFile(suffix=".wav") as temporary:
        temporary.write(b"sound")
        assert content(encoder.encode(temporary)) == (Path(temporary.name).name, b"sound")
    assert content(encoder.encode(io.BytesIO(b"memory"))) == ("output", b"memory")
    with tempfile.TemporaryFile() as nameless:
        nameless.write(b"x")
        assert content(encoder.encode(nameless)) == ("output-1", b"x")


def test_text_in_memory_is_no_file(encoder: OutputEncoder) -> None:
    with pytest.raises(TypeError, match="StringIO holds text, not bytes"):
        encoder.encode(io.StringIO("x"))


def test_files_that_cannot_be_read(encoder: OutputEncoder, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="/nonexistent"):
        encoder.encode(cog.Path("/nonexistent"))
    with pytest.raises(OSError, match="Not a file; return the path of one"):
        encoder.encode(cog.Path(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="Not a file"):
        encoder.encode(cog.Path(tmp_path / "pipe"))

"""From Python functions to signatures. What is expected is what Cog's generator makes of the same."""

from __future__ import annotations

import ast
import functools
import os
import pathlib
import typing
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path as LocalPath
from typing import Annotated, Any, NotRequired, Optional, TypedDict, Union

import pydantic
import pytest
import typing_extensions

from server.cog import (
    AsyncConcatenateIterator,
    BaseModel,
    BasePredictor,
    BaseRunner,
    ConcatenateIterator,
    File,
    Input,
    Opaque,
    Path,
    Secret,
    concurrent,
    streaming,
)
from server.errors import SignatureError
from server.schema.inspect import concurrency_of, inspect_predictor, prediction_function
from server.schema.signature import Display, InputField, Kind, ModelField, OutputType, ValueType
from tests.schema.conftest import Load

BAD_SIGNATURES = sorted((LocalPath(__file__).parent / "bad_signatures").glob("*.py"))

ANY = ValueType(Kind.ANY)
STRING = ValueType(Kind.STRING)
INTEGER = ValueType(Kind.INTEGER)
PATH = ValueType(Kind.PATH)


class Options(TypedDict):
    steps: int
    name: NotRequired[str]


class OtherOptions(typing_extensions.TypedDict):
    steps: int


class Mode(StrEnum):
    FAST = "fast"
    SLOW = "slow"


class Point(BaseModel):
    x: int
    note: str | None
    unit: str = "px"


class Tree(BaseModel):
    name: str
    children: list[Tree]


class Reply(pydantic.BaseModel):
    text: str
    image: Optional[Path] = None  # noqa: UP045
    score: float = pydantic.Field(default=0.5)

    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)


class ByHand(BaseModel, auto_dataclass=False):
    name: str
    size: int = 5


@dataclass
class Box:
    corner: Point
    tags: list[str] = field(default_factory=list)


@pytest.mark.parametrize("file", BAD_SIGNATURES, ids=lambda path: path.stem)
def test_what_cannot_be_served_is_refused_with_place_rule_and_remedy(
    file: LocalPath, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    with pytest.raises((SignatureError, TypeError)) as caught:
        inspect_predictor(load(file))
    assert str(caught.value) == _error_in(file)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (str, STRING),
        (int, INTEGER),
        (float, ValueType(Kind.NUMBER)),
        (bool, ValueType(Kind.BOOLEAN)),
        (Path, PATH),
        (pathlib.Path, PATH),
        (os.PathLike, PATH),
        (File, ValueType(Kind.FILE)),
        (Secret, ValueType(Kind.SECRET)),
        (Any, ANY),
        (dict, ANY),
        (dict[str, int], ANY),
        (Options, ANY),
        (list, ValueType(Kind.LIST, (ANY,))),
        (list[dict[str, str]], ValueType(Kind.LIST, (ANY,))),
        (list[Path], ValueType(Kind.LIST, (PATH,))),
        (list[list[int]], ValueType(Kind.LIST, (ValueType(Kind.LIST, (INTEGER,)),))),
        (Optional[str], ValueType(Kind.STRING, nullable=True)),  # noqa: UP045
        (Union[str, None], ValueType(Kind.STRING, nullable=True)),  # noqa: UP007
        (str | None, ValueType(Kind.STRING, nullable=True)),
        (list[str] | None, ValueType(Kind.LIST, (STRING,), nullable=True)),
        (int | str, ValueType(Kind.UNION, (INTEGER, STRING))),
        (Union[int, str, None], ValueType(Kind.UNION, (INTEGER, STRING), nullable=True)),  # noqa: UP007
        (int | list[int], ValueType(Kind.UNION, (INTEGER, ValueType(Kind.LIST, (INTEGER,))))),
        (Annotated[int, "in pixels"], INTEGER),
        (list[Annotated[int, "in pixels"]], ValueType(Kind.LIST, (INTEGER,))),
        (Annotated[bytes, Opaque], ANY),
        (Annotated[list[bytes], Opaque], ValueType(Kind.LIST, (ANY,))),
        (list[Annotated[bytes, Opaque]], ValueType(Kind.LIST, (ANY,))),
        (typing.Dict, ANY),  # noqa: UP006
        (typing.List, ValueType(Kind.LIST, (ANY,))),  # noqa: UP006
        (typing.List[int], ValueType(Kind.LIST, (INTEGER,))),  # noqa: UP006
        (OtherOptions, ANY),
        (Annotated[bytes | None, Opaque], ValueType(Kind.ANY, nullable=True)),
        (Annotated[bytes, Opaque] | None, ValueType(Kind.ANY, nullable=True)),
    ],
    ids=str,
)
def test_inputs(annotation: Any, expected: ValueType) -> None:
    def predict(value: Any) -> str:
        raise NotImplementedError

    predict.__annotations__["value"] = annotation
    assert inspect_predictor(predict).inputs[0].type == expected


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (str, OutputType(STRING)),
        (Path, OutputType(PATH)),
        (Any, OutputType(ANY)),
        (dict, OutputType(ANY)),
        (typing.Dict, OutputType(ANY)),  # noqa: UP006
        (Annotated[Iterator[str], "slowly"], OutputType(STRING, Display.LIST)),
        (typing.Iterator[str], OutputType(STRING, Display.LIST)),
        (
            ByHand,
            OutputType(
                ValueType(
                    Kind.MODEL,
                    fields=(ModelField("name", STRING, required=True), ModelField("size", INTEGER, required=False)),
                )
            ),
        ),
        (dict[str, list[int]], OutputType(ValueType(Kind.MAPPING, (ValueType(Kind.LIST, (INTEGER,)),)))),
        (list, OutputType(ValueType(Kind.LIST, (ANY,)))),
        (list[list[str]], OutputType(ValueType(Kind.LIST, (ValueType(Kind.LIST, (STRING,)),)))),
        (Annotated[bytes, Opaque], OutputType(ANY)),
        (Iterator[str], OutputType(STRING, Display.LIST)),
        (Iterator[list[Path]], OutputType(ValueType(Kind.LIST, (PATH,)), Display.LIST)),
        (AsyncIterator[Path], OutputType(PATH, Display.LIST)),
        (ConcatenateIterator[str], OutputType(STRING, Display.CONCATENATE)),
        (AsyncConcatenateIterator[str], OutputType(STRING, Display.CONCATENATE)),
        (
            Point,
            OutputType(
                ValueType(
                    Kind.MODEL,
                    fields=(
                        ModelField("x", INTEGER, required=True),
                        ModelField("note", ValueType(Kind.STRING, nullable=True), required=False),
                        ModelField("unit", STRING, required=False),
                    ),
                )
            ),
        ),
        (
            Reply,
            OutputType(
                ValueType(
                    Kind.MODEL,
                    fields=(
                        ModelField("text", STRING, required=True),
                        ModelField("image", ValueType(Kind.PATH, nullable=True), required=False),
                        ModelField("score", ValueType(Kind.NUMBER), required=False),
                    ),
                )
            ),
        ),
        (
            Options,
            OutputType(
                ValueType(
                    Kind.MODEL,
                    fields=(
                        ModelField("steps", INTEGER, required=True),
                        ModelField("name", STRING, required=False),
                    ),
                )
            ),
        ),
        (
            Tree,
            OutputType(
                ValueType(
                    Kind.MODEL,
                    fields=(
                        ModelField("name", STRING, required=True),
                        ModelField("children", ValueType(Kind.LIST, (ANY,)), required=True),
                    ),
                )
            ),
        ),
    ],
    ids=str,
)
def test_outputs(annotation: Any, expected: OutputType) -> None:
    def predict() -> str:
        raise NotImplementedError

    predict.__annotations__["return"] = annotation
    assert inspect_predictor(predict).output == expected


def test_models_within_models() -> None:
    def predict() -> list[Box]:
        raise NotImplementedError

    [box] = inspect_predictor(predict).output.type.items
    assert [(field.name, field.type.kind, field.required) for field in box.fields] == [
        ("corner", Kind.MODEL, True),
        ("tags", Kind.LIST, False),
    ]


@pytest.mark.parametrize(
    ("annotation", "default", "required", "published"),
    [
        (int, ..., True, ...),
        (int, 5, False, 5),
        (int, Input(default=5), False, 5),
        (int, Input(5), False, 5),
        (int, Input(ge=1), True, ...),
        (int, None, True, ...),
        (int, Input(default=None), True, ...),
        (int | None, ..., False, ...),
        (int | None, Input(ge=1), False, ...),
        (int | None, None, False, None),
        (int | None, Input(default=None), False, None),
        (int | None, Input(default=5), False, 5),
        (int | str, ..., True, ...),
        (int | str | None, ..., True, ...),
        (int | str | None, Input(default=None), False, None),
        (Secret, ..., True, ...),
        (Secret, Input(default=None), False, None),
        (Secret, Input(default=Secret("hidden")), False, None),
        (Secret, Input(default="shown"), False, "shown"),
        (float, 1, False, 1),
        (bool, 0, False, False),
        (int, True, False, 1),
        (str, Mode.FAST, False, "fast"),
        (list[str], ("a", "b"), False, ["a", "b"]),
        (list[float], Input(default=[1, 0.5]), False, [1, 0.5]),
        (list[str], Input(default=["a"], choices=["a", "b"]), False, ["a"]),
        (dict, Input(default={"a": [1, (2,)]}), False, {"a": [1, [2]]}),
        (Path | None, Input(default=None), False, None),
        (list[Path], Input(default=[]), False, []),
    ],
)
def test_defaults(annotation: Any, default: Any, required: bool, published: Any) -> None:
    def predict(value: Any = default) -> str:
        raise NotImplementedError

    if default is ...:
        predict.__defaults__ = None
    predict.__annotations__["value"] = annotation
    [read] = inspect_predictor(predict).inputs
    assert read.required is required
    assert read.has_default is (published is not ...)
    assert (read.default, type(read.default)) == (
        (None, type(None)) if published is ... else (published, type(published))
    )


def test_a_secret_that_may_be_missing_is_nullable() -> None:
    def predict(token: Secret = Input(default=None)) -> str:
        raise NotImplementedError

    assert inspect_predictor(predict).inputs[0].type == ValueType(Kind.SECRET, nullable=True)


def test_what_input_says() -> None:
    def predict(
        steps: int = Input(description="Steps", default=20, ge=1, le=100),
        name: str = Input(min_length=2, max_length=8, regex="^[a-z]+$", deprecated=True),
        mode: str = Input(choices=[Mode.FAST, Mode.SLOW], default=Mode.FAST),
        scale: float = Input(choices=(0.5, 1)),
        image: Path = Input(accept="image/*"),
        sizes: list[int] = Input(ge=1, default=[1, 2]),
    ) -> str:
        raise NotImplementedError

    assert inspect_predictor(predict).inputs == (
        InputField("steps", INTEGER, required=False, has_default=True, default=20, description="Steps", ge=1, le=100),
        InputField("name", STRING, required=True, min_length=2, max_length=8, regex="^[a-z]+$", deprecated=True),
        InputField("mode", STRING, required=False, has_default=True, default="fast", choices=("fast", "slow")),
        InputField("scale", ValueType(Kind.NUMBER), required=True, choices=(0.5, 1)),
        InputField("image", PATH, required=True, accept="image/*"),
        InputField("sizes", ValueType(Kind.LIST, (INTEGER,)), required=False, has_default=True, default=[1, 2], ge=1),
    )


def test_annotations_may_be_strings() -> None:
    # As all of this file are, by its first line; a forward reference inside a type is one too.
    def predict(point: "dict[str, 'Mode']", words: list["str"]) -> "list['Point']":  # noqa: UP037
        raise NotImplementedError

    signature = inspect_predictor(predict)
    assert [field.type.kind for field in signature.inputs] == [Kind.ANY, Kind.LIST]
    assert signature.output.type.items[0].kind is Kind.MODEL


def _timed(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


class Plain:
    def predict(self, prompt: str) -> str:
        """Say it."""
        raise NotImplementedError


class Asynchronous(BaseRunner):
    @streaming
    @concurrent(max=4)
    async def run(self, prompt: str) -> AsyncIterator[str]:
        """Say it."""
        raise NotImplementedError
        yield


class Inheriting(Asynchronous):
    pass


class Decorated(BasePredictor):
    @_timed
    def predict(self, prompt: str) -> str:
        """Say it."""
        raise NotImplementedError


class Static(BasePredictor):
    @staticmethod
    def predict(prompt: str) -> str:
        """Say it."""
        raise NotImplementedError


class OfClass(BasePredictor):
    @classmethod
    def predict(cls, prompt: str) -> str:
        """Say it."""
        raise NotImplementedError


class ByKeyword(BasePredictor):
    def predict(self, *, prompt: str) -> str:
        """Say it."""
        raise NotImplementedError


def predict(prompt: str) -> str:
    """Say it."""
    raise NotImplementedError


@pytest.mark.parametrize(
    "predictor",
    [Plain(), Asynchronous(), Inheriting(), Decorated(), Static(), OfClass(), ByKeyword(), predict, Plain().predict],
    ids=lambda predictor: getattr(predictor, "__qualname__", type(predictor).__name__),
)
def test_every_shape_of_predictor(predictor: object) -> None:
    signature = inspect_predictor(predictor)
    assert signature.inputs == (InputField("prompt", STRING, required=True),)
    assert signature.description == "Say it."
    is_async = isinstance(predictor, Asynchronous)
    assert signature.streaming is is_async
    assert concurrency_of(predictor) == (4 if is_async else 1)


def test_a_predictor_without_a_docstring_is_not_described_by_its_base() -> None:
    class Silent(BasePredictor):
        def predict(self, prompt: str) -> str:
            return prompt

    assert inspect_predictor(Silent).description is None


def test_the_prediction_function_is_bound() -> None:
    class Echo(BaseRunner):
        def run(self, text: str) -> str:
            return text

    assert prediction_function(Echo())("hello") == "hello"


def test_what_is_no_predictor_is_refused() -> None:
    with pytest.raises(SignatureError, match="int: it defines neither run nor predict"):
        inspect_predictor(5)


def _error_in(file: LocalPath) -> str:
    # Read, not imported: importing is what fails for some of them.
    for node in ast.parse(file.read_text()).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="ERROR")], value=value):
                return str(ast.literal_eval(value))
    raise AssertionError(f"{file} does not say its ERROR")

"""Python annotations -> the types of inputs and outputs.

What is accepted, and what becomes of it, is what Cog's own generator accepts and makes; dataclasses as outputs and
lists of lists as inputs are ours.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import typing
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Hashable, Iterable, Iterator
from enum import Enum
from types import NoneType, UnionType
from typing import Any, NotRequired, Required, TypeVar, Union

from server.cog import AsyncConcatenateIterator, ConcatenateIterator, File, Opaque, Secret
from server.cog.input import FieldInfo
from server.errors import UnsupportedType
from server.schema.fields import is_typed_dict, read_fields
from server.schema.signature import Display, Kind, ModelField, OutputType, ValueType

T = TypeVar("T")


def input_type(annotation: Any) -> ValueType:
    """The type of an input.

    Args:
        annotation: resolved, that is no string, as `typing.get_type_hints(..., include_extras=True)` gives it.

    Raises:
        UnsupportedType: it cannot be served.
    """
    annotation, is_opaque = _peel(annotation)
    if is_opaque:
        return _opaque_type(annotation)
    members = _union_members(annotation)
    if members is None:
        return _single_input(annotation)
    nullable = NoneType in members
    types = [input_type(member) for member in members if member is not NoneType]
    if len(types) == 1:
        return dataclasses.replace(types[0], nullable=types[0].nullable or nullable)
    for type_ in types:
        _check_union_member(type_, annotation)
    return ValueType(Kind.UNION, tuple(types), nullable=nullable)


def output_type(annotation: Any) -> OutputType:
    """The type of what comes back. See `input_type`."""
    peeled, is_opaque = _peel(annotation)
    display = None if is_opaque else _look_up(_DISPLAYS, typing.get_origin(peeled) or peeled)
    if display is None:
        return OutputType(_output_value(annotation, ()))
    arguments = typing.get_args(peeled)
    if len(arguments) != 1:
        name = peeled.__name__
        raise UnsupportedType(f"{name} does not say what it yields", f"Write {name}[str], or the type of your items.")
    item = _output_value(arguments[0], ())
    if display is Display.CONCATENATE and item.kind is not Kind.STRING:
        raise UnsupportedType(
            f"{_name(peeled)} yields no text; its items are shown as one string",
            f"Yield str, or write Iterator[{_name(arguments[0])}].",
        )
    return OutputType(item, display)


_SCALARS: dict[Any, Kind] = {
    str: Kind.STRING,
    int: Kind.INTEGER,
    float: Kind.NUMBER,
    bool: Kind.BOOLEAN,
    File: Kind.FILE,
    Secret: Kind.SECRET,
    Any: Kind.ANY,
    dict: Kind.ANY,
}

_DISPLAYS: dict[Any, Display] = {
    Iterator: Display.LIST,
    AsyncIterator: Display.LIST,
    ConcatenateIterator: Display.CONCATENATE,
    AsyncConcatenateIterator: Display.CONCATENATE,
}

_ITERATORS: dict[Any, str] = {
    Generator: "Iterator",
    Iterable: "Iterator",
    Iterator: "Iterator",
    AsyncGenerator: "AsyncIterator",
    AsyncIterable: "AsyncIterator",
    AsyncIterator: "AsyncIterator",
}
"""What to write instead of these, which are no outputs, or not there."""

_INPUTS = "str, int, float, bool, Path, File, Secret, dict, Any, or a list or an optional of these"
_OUTPUTS = "str, int, float, bool, Path, dict, Any, a list, an Iterator, or a BaseModel"


def _peel(annotation: Any) -> tuple[Any, bool]:
    """`annotation` without `Annotated`, `Required` and the like, and whether it was marked `Opaque`."""
    is_opaque = False
    while (origin := typing.get_origin(annotation)) in (typing.Annotated, Required, NotRequired):
        annotation, *extras = typing.get_args(annotation)
        is_opaque = is_opaque or (origin is typing.Annotated and Opaque in extras)
        if any(isinstance(extra, FieldInfo) for extra in extras):
            raise UnsupportedType(
                f"an Input(...) inside of Annotated[{_name(annotation)}, ...] is not read",
                f"Write it as the default value: {_name(annotation)} = Input(...).",
            )
    return annotation, is_opaque


def _union_members(annotation: Any) -> tuple[Any, ...] | None:
    return typing.get_args(annotation) if typing.get_origin(annotation) in (Union, UnionType) else None


def _opaque_type(annotation: Any) -> ValueType:
    """Lists and optionals keep their shape; all else is an object."""
    annotation, _ = _peel(annotation)
    members = _union_members(annotation) or ()
    if NoneType in members and len(members) == 2:
        inner = next(member for member in members if member is not NoneType)
        return dataclasses.replace(_opaque_type(inner), nullable=True)
    if annotation is list or typing.get_origin(annotation) is list:
        return ValueType(Kind.LIST, (ValueType(Kind.ANY),))
    return ValueType(Kind.ANY)


def _single_input(annotation: Any) -> ValueType:
    if kind := _scalar(annotation):
        return ValueType(kind)
    if typing.get_origin(annotation) is dict or is_typed_dict(annotation):
        return ValueType(Kind.ANY)
    if (item := _list_item(annotation)) is not None:
        type_ = input_type(item)
        if type_.nullable:
            raise UnsupportedType(
                f"the items of {_name(annotation)} may be None, which no request can send",
                f"Write list[{_name(item).removesuffix(' | None')}].",
            )
        return ValueType(Kind.LIST, (type_,))
    raise UnsupportedType(f"the type {_name(annotation)} cannot be an input", _input_remedy(annotation))


def _check_union_member(type_: ValueType, union: Any) -> None:
    while type_.kind is Kind.LIST:
        type_ = type_.items[0]
    if type_.kind in (Kind.PATH, Kind.FILE, Kind.SECRET):
        raise UnsupportedType(
            f"a {type_.kind} cannot be a member of {_name(union)}: on the wire it is a string like any other",
            "Write two optional inputs instead.",
        )


def _output_value(annotation: Any, within: tuple[Any, ...]) -> ValueType:
    """The type of an output or of a part of one; `within` are the models around it."""
    annotation, is_opaque = _peel(annotation)
    if is_opaque:
        return _refuse_nullable(_opaque_type(annotation), annotation)
    if kind := _scalar(annotation):
        return ValueType(kind)
    if typing.get_origin(annotation) is dict:
        arguments = typing.get_args(annotation)
        return ValueType(Kind.MAPPING, (_output_value(arguments[1], within),)) if arguments else ValueType(Kind.ANY)
    if (item := _list_item(annotation)) is not None:
        return ValueType(Kind.LIST, (_output_value(item, within),))
    if inspect.isclass(annotation) and (fields := read_fields(annotation)) is not None:
        if annotation in within:  # a tree of models has no end; below here it is any object
            return ValueType(Kind.ANY)
        return ValueType(
            Kind.MODEL,
            fields=tuple(_model_field(name, type_, needed, (*within, annotation)) for name, type_, needed in fields),
        )
    if annotation is None or annotation is NoneType:
        raise UnsupportedType("it is None, so there is nothing to send back", "Name what comes back, such as -> str.")
    if (members := _union_members(annotation)) is not None:
        rest = " | ".join(_name(member) for member in members if member is not NoneType)
        remedy = (
            f"Write {rest}, and raise an exception where there is no result; or return a BaseModel with such a field."
        )
        if NoneType in members:
            raise UnsupportedType(f"an output cannot be optional, as {_name(annotation)} is", remedy)
        raise UnsupportedType(
            f"an output cannot be a union, as {_name(annotation)} is", "Write one type; Any fits every value."
        )
    if better := _look_up(_ITERATORS, typing.get_origin(annotation) or annotation):
        remedy = f"Write {better}[...] around the type of your items, and only around the whole output."
        raise UnsupportedType(f"the type {_name(annotation)} cannot be an output", remedy)
    raise UnsupportedType(f"the type {_name(annotation)} cannot be an output", f"Use {_OUTPUTS}.")


def _model_field(name: str, annotation: Any, required: bool | None, within: tuple[Any, ...]) -> ModelField:
    """`required` is `None` where the model does not say and the type decides."""
    peeled, is_opaque = _peel(annotation)
    members = _union_members(peeled) or ()
    try:
        if is_opaque:
            type_ = _opaque_type(peeled)
        elif NoneType in members and len(members) == 2:
            inner = next(member for member in members if member is not NoneType)
            type_ = dataclasses.replace(_output_value(inner, within), nullable=True)
        else:
            type_ = _output_value(peeled, within)
    except UnsupportedType as unsupported:
        rule = f"in {within[-1].__name__}, the field {name}: {unsupported.rule}"
        raise UnsupportedType(rule, unsupported.remedy) from unsupported.__cause__
    return ModelField(name, type_, not type_.nullable if required is None else required)


def _scalar(annotation: Any) -> Kind | None:
    if inspect.isclass(annotation) and issubclass(annotation, os.PathLike):
        return Kind.PATH
    return _look_up(_SCALARS, annotation)


def _look_up(table: dict[Any, T], annotation: Any) -> T | None:
    # People write `-> [str]` too, and a list cannot be looked up.
    return table.get(annotation) if isinstance(annotation, Hashable) else None


def _list_item(annotation: Any) -> Any:
    """The annotation of the items; `Any` where a list names none; `None` if it is no list."""
    if annotation is list or typing.get_origin(annotation) is list:
        return next(iter(typing.get_args(annotation)), Any)
    return None


def _refuse_nullable(type_: ValueType, annotation: Any) -> ValueType:
    if type_.nullable:
        raise UnsupportedType(f"an output cannot be optional, as {_name(annotation)} is", "Write it without None.")
    return type_


def _input_remedy(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin is typing.Literal or (inspect.isclass(annotation) and issubclass(annotation, Enum)):
        return "Write the type of its values, and Input(choices=[...])."
    if annotation is NoneType:
        return "Name the type of its values, or remove the parameter."
    if origin is not None or not inspect.isclass(annotation):
        return f"Use {_INPUTS}."
    return f"Use {_INPUTS}; or Annotated[{annotation.__name__}, Opaque], which takes any JSON object."


def _name(annotation: Any) -> str:
    """As it stands in the source, without `typing.` and `cog.`."""
    if isinstance(annotation, list):
        return f"[{', '.join(map(_name, annotation))}]"
    return inspect.formatannotation(annotation).replace("server.cog.types.", "")

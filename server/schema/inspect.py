"""A predictor's function -> its `Signature`. Runs in the worker process, the only one that imports the predictor."""

from __future__ import annotations

import inspect
import math
import os
import reprlib
import typing
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from server.cog import Secret
from server.cog.input import FieldInfo, Input
from server.cog.predictor import method_owner
from server.errors import InvalidRequest, SignatureError, UnsupportedType
from server.schema.annotations import input_type, output_type
from server.schema.constraints import check_constraints
from server.schema.openapi import openapi_document
from server.schema.signature import InputField, Kind, Mode, OutputType, Signature, ValueType
from server.schema.validation import InputValidator

_RETURN = "return"


def inspect_predictor(predictor: object, mode: Mode = Mode.PREDICT) -> Signature:
    """What a predictor, or a trainer, takes and returns.

    Args:
        predictor: a class that defines `run` or `predict`, or `train`; an instance of it; or a function. Of a class no
            instance is set up.
        mode: what it is to do.

    Raises:
        SignatureError: it cannot be served.
    """
    # Not by calling the class: what that does is for the one instance that is served.
    instance = predictor.__new__(predictor) if inspect.isclass(predictor) else predictor
    function = prediction_function(instance, mode)
    source = inspect.unwrap(getattr(function, "__func__", function))
    signature = Signature(
        inputs=tuple(_read_input(source, parameter) for parameter in _parameters(function, source)),
        output=_read_output(source),
        description=inspect.getdoc(source),
        streaming=getattr(function, "__darkroom_streaming__", False),
    )
    _check_names(source, signature)
    return signature


def prediction_function(predictor: object, mode: Mode = Mode.PREDICT) -> Callable[..., Any]:
    """The function, or the bound method `run` or `predict`, that makes a prediction; or `train`, that trains.

    Raises:
        SignatureError: there is none, or there are both.
    """
    if inspect.isfunction(predictor) or inspect.ismethod(predictor):
        return predictor
    cls = type(predictor)
    names = ("run", "predict") if mode is Mode.PREDICT else ("train",)
    match [name for name in names if method_owner(cls, name)]:
        case [name]:
            function: Callable[..., Any] = getattr(predictor, name)
            return function
        case []:
            lacking = "defines neither run nor predict" if mode is Mode.PREDICT else "does not define train"
            raise SignatureError(_location(cls), cls.__name__, f"it {lacking}", f"Define {names[0]}(self, ...).")
    raise SignatureError(
        _location(cls),
        cls.__name__,
        "it defines both run and predict, and only one can be what is served",
        "Keep run, and give the other another name.",
    )


def concurrency_of(predictor: object, mode: Mode = Mode.PREDICT) -> int:
    """How many predictions `@concurrent` lets run at once; 1 without it.

    Raises:
        SignatureError: the predictor cannot be served.
    """
    concurrency: int = getattr(prediction_function(predictor, mode), "__cog_concurrent_max__", 1)
    return concurrency


def _parameters(function: Callable[..., Any], source: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = list(inspect.signature(source).parameters.values())
    for parameter in parameters:
        if parameter.kind in _STARS:
            raise SignatureError(
                _location(source),
                _STARS[parameter.kind] + parameter.name,
                "nobody can know which inputs it stands for",
                "Name each input; if a decorator put this here, write @functools.wraps(function) above its function.",
            )
    if inspect.ismethod(function):
        # A method without self would be called with one input too many.
        if not inspect.isclass(function.__self__) and (not parameters or parameters[0].name != "self"):
            raise SignatureError(
                _location(source),
                source.__name__,
                "its first parameter is not self",
                f"Write def {source.__name__}(self, ...).",
            )
        parameters = parameters[1:]
    for parameter in parameters:
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise SignatureError(
                _location(source), parameter.name, "it can only be passed by position, not by name", "Remove the `/`."
            )
    return parameters


_STARS = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


def _read_input(source: Callable[..., Any], parameter: inspect.Parameter) -> InputField:
    if parameter.annotation is parameter.empty:
        raise SignatureError(
            _location(source), parameter.name, "it has no type annotation", f"Write {parameter.name}: str, or its type."
        )
    try:
        type_ = input_type(_resolve(source, parameter.name, parameter.annotation))
        info = _field_info(parameter.default)
        field = _with_default(_describe(parameter.name, type_, info), info.default, info.has_default)
        check_constraints(field)
        _check_default(field)
    except UnsupportedType as unsupported:
        raise SignatureError(
            _location(source), parameter.name, unsupported.rule, unsupported.remedy
        ) from unsupported.__cause__
    return field


def _read_output(source: Callable[..., Any]) -> OutputType:
    annotation = inspect.signature(source).return_annotation
    if annotation is inspect.Signature.empty:
        raise SignatureError(
            _location(source), _RETURN, "it has no type annotation", "Write what comes back, such as -> str."
        )
    try:
        return output_type(_resolve(source, _RETURN, annotation))
    except UnsupportedType as unsupported:
        raise SignatureError(
            _location(source), _RETURN, unsupported.rule, unsupported.remedy
        ) from unsupported.__cause__


def _resolve(source: Callable[..., Any], name: str, annotation: Any) -> Any:
    """`annotation` as an object where the source has a string, with `Annotated` kept."""
    holder = SimpleNamespace(__annotations__={name: annotation})
    try:
        return typing.get_type_hints(holder, source.__globals__, include_extras=True)[name]
    except Exception as error:
        raise UnsupportedType(
            f"the annotation {annotation} cannot be evaluated ({type(error).__name__}: {error})",
            "Import or define its names at the top of the file, not under TYPE_CHECKING.",
        ) from error


def _field_info(default: Any) -> FieldInfo:
    if isinstance(default, FieldInfo):
        return default
    info: FieldInfo = Input() if default is inspect.Parameter.empty else Input(default=default)
    return info


def _describe(name: str, type_: ValueType, info: FieldInfo) -> InputField:
    choices = None if info.choices is None else tuple(_plain(choice) for choice in _listed(info.choices))
    return InputField(
        name=name,
        type=type_,
        required=True,
        description=info.description,
        ge=info.ge,
        le=info.le,
        min_length=info.min_length,
        max_length=info.max_length,
        regex=info.regex,
        choices=choices,
        deprecated=bool(info.deprecated),
        accept=info.accept,
    )


def _with_default(field: InputField, default: Any, given: bool) -> InputField:
    """Whether it is required and what default is published, as Cog decides it.

    `x: T = None` is required unless `T` allows `None` (models write it for "made up at run time"), but a secret that
    may be missing is a secret that nobody has to give.
    """
    type_ = field.type
    if given and type_.kind is Kind.SECRET and (default is None or isinstance(default, Secret)):
        type_ = ValueType(Kind.SECRET, nullable=True)
    published = given and (default is not None or type_.nullable)
    required = not published and (not type_.nullable or type_.kind is Kind.UNION)
    return replace(
        field,
        type=type_,
        required=required,
        has_default=published,
        default=_json_default(default, type_) if published else None,
    )


def _json_default(value: Any, type_: ValueType) -> Any:
    """A Python default as JSON; it is checked against the schema afterwards."""
    value = _plain(value)
    match type_.kind, value:
        case Kind.SECRET, Secret():
            return None
        case Kind.BOOLEAN, 0 | 1:
            return bool(value)
        case Kind.INTEGER | Kind.NUMBER, bool():
            return int(value)
        case Kind.LIST, list() | tuple() | set() | frozenset():
            return [_json_default(item, type_.items[0]) for item in value]
    return _json(value)


def _json(value: Any) -> Any:
    match _plain(value):
        case None | bool() | int() | str() as plain:
            return plain
        case float() as plain if math.isfinite(plain):
            return plain
        case list() | tuple() as items:
            return [_json(item) for item in items]
        case dict() as mapping if all(isinstance(key, str) for key in mapping):
            return {key: _json(item) for key, item in mapping.items()}
    raise UnsupportedType(
        f"the default {reprlib.repr(value)} is not JSON, so no client could see it",
        "Use a literal, or None and make the value in the function.",
    )


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _listed(choices: Any) -> list[Any]:
    if isinstance(choices, str | bytes) or not hasattr(choices, "__iter__"):
        raise UnsupportedType(f"choices={choices!r} is no list", "Write choices=[...] with the values allowed.")
    return list(choices)


def _check_default(field: InputField) -> None:
    if not field.has_default or field.default is None:
        return
    item = field.type.items[0] if field.type.kind is Kind.LIST else field.type
    if item.kind in (Kind.PATH, Kind.FILE) and field.default != []:
        raise UnsupportedType(
            f"a file cannot have a default, such as {field.default!r}: it would not be fetched",
            "Write Path | None = Input(default=None), and open your file where it is None.",
        )
    # Cog publishes the choices of a list as the schema of the whole list; each item is what is meant.
    is_list_of_choices = field.choices is not None and field.type.kind is Kind.LIST
    values = field.default if is_list_of_choices else [field.default]
    validator = InputValidator(Signature((field,), OutputType(ValueType(Kind.ANY))))
    for value in values:
        try:
            validator.validate({field.name: value})
        except InvalidRequest as invalid:
            raise UnsupportedType(
                f"the default {field.default!r} breaks its own rule: {invalid.violations[0].msg}",
                "Change the default, or the rule.",
            ) from None


def _check_names(source: Callable[..., Any], signature: Signature) -> None:
    """The choices of a parameter are published under its name, beside the names that every document has."""
    bare = Signature((), signature.output)
    taken = openapi_document(dict.fromkeys(Mode, bare))["components"]["schemas"]
    for field in signature.inputs:
        if field.choices is not None and field.name in taken:
            raise SignatureError(
                _location(source),
                field.name,
                "a parameter with choices cannot have this name: the OpenAPI document uses it",
                "Choose another name, such as one in small letters.",
            )


def _location(thing: Any) -> str:
    """`file:line`, the file relative to the current folder if it is below it."""
    try:
        file = inspect.getsourcefile(thing) or inspect.getfile(thing)
        line = inspect.getsourcelines(thing)[1]
    except (OSError, TypeError):  # made without a source file
        return getattr(thing, "__qualname__", repr(thing))
    path = Path(file)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{os.fspath(shown)}:{line}"

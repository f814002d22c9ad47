"""A predictor's function -> its `Signature`. Runs in the worker process, the only one that imports the predictor."""

from __future__ import annotations

import inspect
import os
import typing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from server.cog import Secret
from server.cog.input import FieldInfo, Input
from server.cog.predictor import method_owner
from server.errors import SignatureError, UnsupportedType
from server.schema.annotations import input_type, output_type
from server.schema.constraints import check_constraints, check_name
from server.schema.literals import check_default, json_choices, json_default
from server.schema.signature import InputField, Kind, Mode, OutputType, Signature, ValueType

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
        # Its own: what it overrides says nothing of this model.
        description=inspect.cleandoc(source.__doc__) if source.__doc__ else None,
        streaming=getattr(function, "__darkroom_streaming__", False),
    )
    for field in signature.inputs:
        try:
            check_name(field, signature.output)
        except UnsupportedType as unsupported:
            raise SignatureError(location_of(source), field.name, unsupported.rule, unsupported.remedy) from None
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
            raise SignatureError(location_of(cls), cls.__name__, f"it {lacking}", f"Define {names[0]}(self, ...).")
    raise SignatureError(
        location_of(cls),
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
                location_of(source),
                _STARS[parameter.kind] + parameter.name,
                "nobody can know which inputs it stands for",
                "Name each input; if a decorator put this here, write @functools.wraps(function) above its function.",
            )
    if inspect.ismethod(function):
        # A method without self would be called with one input too many.
        if not inspect.isclass(function.__self__) and (not parameters or parameters[0].name != "self"):
            raise SignatureError(
                location_of(source),
                source.__name__,
                "its first parameter is not self",
                f"Write def {source.__name__}(self, ...).",
            )
        parameters = parameters[1:]
    for parameter in parameters:
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise SignatureError(
                location_of(source), parameter.name, "it can only be passed by position, not by name", "Remove the `/`."
            )
    return parameters


_STARS = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


def _read_input(source: Callable[..., Any], parameter: inspect.Parameter) -> InputField:
    if parameter.annotation is parameter.empty:
        raise SignatureError(
            location_of(source),
            parameter.name,
            "it has no type annotation",
            f"Write {parameter.name}: str, or its type.",
        )
    try:
        type_ = input_type(_resolve(source, parameter.name, parameter.annotation))
        info = _field_info(parameter.default)
        field = _with_default(_describe(parameter.name, type_, info), info.default, info.has_default)
        check_constraints(field)
        check_default(field)
    except UnsupportedType as unsupported:
        raise SignatureError(
            location_of(source), parameter.name, unsupported.rule, unsupported.remedy
        ) from unsupported.__cause__
    return field


def _read_output(source: Callable[..., Any]) -> OutputType:
    annotation = inspect.signature(source).return_annotation
    if annotation is inspect.Signature.empty:
        raise SignatureError(
            location_of(source), _RETURN, "it has no type annotation", "Write what comes back, such as -> str."
        )
    try:
        return output_type(_resolve(source, _RETURN, annotation))
    except UnsupportedType as unsupported:
        raise SignatureError(
            location_of(source), _RETURN, unsupported.rule, unsupported.remedy
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
    choices = None if info.choices is None else json_choices(info.choices)
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
        default=json_default(default, type_) if published else None,
    )


def location_of(thing: Any) -> str:
    """Where a function or a class is: `file:line`, the file relative to the current folder if it is below it."""
    try:
        file = inspect.getsourcefile(thing) or inspect.getfile(thing)
        line = inspect.getsourcelines(thing)[1]
    except (OSError, TypeError):  # made without a source file
        return getattr(thing, "__qualname__", repr(thing))
    path = Path(file)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{os.fspath(shown)}:{line}"

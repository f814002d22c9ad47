"""The input of a request -> the arguments of `predict`."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from server.cog import Path, Secret
from server.cog.input import FieldInfo
from server.schema.signature import Kind, Signature, ValueType
from server.worker.messages import LocalFile


class InputDecoder:
    """Makes arguments for one predictor.

    Args:
        function: what makes a prediction.
        signature: what `inspect_predictor` says of it.
    """

    def __init__(self, function: Callable[..., Any], signature: Signature) -> None:
        self._signature = signature
        self._types = {field.name: field.type for field in signature.inputs}
        parameters = inspect.signature(function).parameters
        self._defaults = {name: _default(parameters[name]) for name in self._types if name in parameters}

    def narrow(self, signature: Signature) -> None:
        """From now on give the defaults of `signature`, where they are others than those of the source."""
        before = {field.name: field for field in self._signature.inputs}
        for field in signature.inputs:
            if (field.has_default, field.default) != (before[field.name].has_default, before[field.name].default):
                self._defaults[field.name] = field.default

    def decode(self, values: dict[str, Any], files: ExitStack) -> dict[str, Any]:
        """The arguments, by name.

        An input that `values` leaves out is as the source has it, unless `narrow` has said otherwise: like Cog, nothing
        is made of a default but what was written. A list among them is a copy, so that no prediction can change it for
        the next.

        Args:
            values: the validated input of a request.
            files: closes the files that are opened for `cog.File`.

        Raises:
            OSError: such a file cannot be opened.
        """
        given = {name: _decode(value, self._types[name], files) for name, value in values.items()}
        return {**copy.deepcopy(self._defaults), **given}


def _default(parameter: inspect.Parameter) -> Any:
    default = parameter.default
    if isinstance(default, FieldInfo):
        return default.default
    return None if default is parameter.empty else default


def _decode(value: Any, type_: ValueType, files: ExitStack) -> Any:
    match type_.kind, value:
        case Kind.FILE, LocalFile(path=path):
            return files.enter_context(Path(path).open("rb"))
        case _, LocalFile(path=path):
            return Path(path)
        case Kind.SECRET, str():
            return Secret(value)
        case Kind.LIST, list():
            return [_decode(item, type_.items[0], files) for item in value]
    return value

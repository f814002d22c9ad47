"""What a predictor is, as plain data: the types of its inputs and of its output.

The child process reads it off the Python function (`server.schema.inspect`) and sends it to the parent, which makes
the OpenAPI document (`server.schema.openapi`) and the validation (`server.schema.validation`) from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any


class Mode(StrEnum):
    """What a model is run for. As in Cog, a server does one of them, whatever it is asked for."""

    PREDICT = "predict"
    TRAIN = "train"

    @property
    def noun(self) -> str:
        """What one run is called."""
        return "prediction" if self is Mode.PREDICT else "training"

    @property
    def other(self) -> Mode:
        """The other one."""
        return Mode.TRAIN if self is Mode.PREDICT else Mode.PREDICT


class Kind(StrEnum):
    """The kinds of value that cross the wire."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    PATH = "path"
    """A file that the model sees as `cog.Path`; a URL on the wire."""
    FILE = "file"
    """A file that the model sees as an open binary file; a URL on the wire."""
    SECRET = "secret"  # noqa: S105
    """A string that the model sees as `cog.Secret` and that is never logged."""
    ANY = "any"
    """A JSON object of any content: `Any`, a plain `dict`, a `TypedDict`, an opaque type."""
    MAPPING = "mapping"
    """An object whose values are all of `items[0]`."""
    LIST = "list"
    """An array of `items[0]`."""
    UNION = "union"
    """One of `items`."""
    MODEL = "model"
    """An object with the named `fields`."""


@dataclass(frozen=True)
class ValueType:
    """A type of input or output.

    Attributes:
        kind: what the value is on the wire.
        items: the element type of a list or mapping, the members of a union; empty otherwise.
        fields: the fields of a model, in order; empty otherwise.
        nullable: whether `None` is a member (`Optional[T]`, `T | None`).
    """

    kind: Kind
    items: tuple[ValueType, ...] = ()
    fields: tuple[ModelField, ...] = ()
    nullable: bool = False


@dataclass(frozen=True)
class ModelField:
    """A field of a structured output.

    Attributes:
        name: its key in the object.
        type: its type.
        required: false where the model gives a default or the field is optional.
    """

    name: str
    type: ValueType
    required: bool


@dataclass(frozen=True)
class InputField:
    """One parameter of `predict`, or of `train`.

    Attributes:
        name: the parameter's name and its key in `input`.
        type: its type.
        required: whether a request must give it.
        has_default: whether `default` is published (a default of null differs from none at all).
        default: the JSON value used where a request leaves the input out.
        description: what people read next to the field.
        ge, le: inclusive bounds of a number.
        min_length, max_length: inclusive bounds of a string's length, in characters.
        regex: a pattern that a string must contain a match of.
        choices: the values allowed, all strings or all numbers.
        deprecated: whether clients should stop sending it.
        accept: media types or extensions that a file picker should offer, as in HTML.
        multiple_of: what the model rounds a whole number to; no rule, so that others are taken.
    """

    name: str
    type: ValueType
    required: bool
    has_default: bool = False
    default: Any = None
    description: str | None = None
    ge: float | None = None
    le: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    regex: str | None = None
    choices: tuple[str | int | float, ...] | None = None
    deprecated: bool = False
    accept: str | None = None
    multiple_of: int | None = None


@dataclass(frozen=True)
class RemovedInput:
    """An input that the loaded model cannot take; clients do not see it.

    Attributes:
        field: what the source says of it. It is not required.
        reason: why the model cannot, as part of a sentence; `None` where the author does not say.
    """

    field: InputField
    reason: str | None = None


class Display(StrEnum):
    """How an output that arrives in pieces should be shown."""

    LIST = "list"
    CONCATENATE = "concatenate"


@dataclass(frozen=True)
class OutputType:
    """What `predict` or `train` returns or yields.

    Attributes:
        type: the type of the returned value, or of one yielded item.
        iterator: whether it arrives in pieces, or `None` where it is one value.
    """

    type: ValueType
    iterator: Display | None = None


@dataclass(frozen=True)
class Signature:
    """The typed signature of `predict` (or `run`), or of `train`.

    Attributes:
        inputs: in the order of the source.
        output: what comes back.
        description: the function's docstring, or `None`.
        streaming: whether the author marked it with `@cog.streaming`.
        removed: inputs of the source that the loaded model cannot take; `inputs` has none of them.
    """

    inputs: tuple[InputField, ...]
    output: OutputType
    description: str | None = None
    streaming: bool = False
    removed: tuple[RemovedInput, ...] = ()


@dataclass(frozen=True)
class Interface:
    """What a model offers, and what of it runs.

    Attributes:
        mode: what runs.
        signatures: of what the model can be run for; that of `mode` is always among them.
    """

    mode: Mode
    signatures: dict[Mode, Signature]

    @property
    def served(self) -> Signature:
        """The signature of what runs."""
        return self.signatures[self.mode]

    def narrowed(self, signature: Signature) -> Interface:
        """The same with another signature of what runs."""
        return replace(self, signatures={**self.signatures, self.mode: signature})

    def asked(self, mode: Mode) -> Signature:
        """What a request for a prediction, or a training, is checked against; as in Cog, of a model that has only the
        other of the two, that."""
        return self.signatures.get(mode, self.served)

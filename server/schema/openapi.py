"""Signatures -> the OpenAPI document.

`Input`, `Output` and the choices are exactly what Cog's own generator makes: programs are generated from them. The rest
says all that Cog's document says, and what this server adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.schema.bodies import bodies
from server.schema.examples import with_examples
from server.schema.operations import paths
from server.schema.signature import Display, InputField, Kind, Mode, OutputType, Signature, ValueType
from server.schema.trainings import in_trainings

COG_VERSION = "0.23.1"
"""The release of Cog whose behaviour this server has."""


def openapi_document(
    signature: Signature | Mapping[Mode, Signature],
    title: str = "Cog",
    version: str = COG_VERSION,
    served: Mode = Mode.PREDICT,
) -> dict[str, Any]:
    """The OpenAPI 3.0 document of a model.

    Args:
        signature: the model's; of one that trains, those of all that it does, at least one.
        title: what the API is called; clients that generators make are named after it.
        version: the version of the API.
        served: what runs, whatever of the two is asked for; of a server that trains, `info` says so.
    """
    signatures = {Mode.PREDICT: signature} if isinstance(signature, Signature) else signature
    info = {"title": title, "version": version}
    if served is Mode.TRAIN:
        info["x-darkroom-mode"] = served.value
    # Of the first that has one: a model is described by what it does here.
    for mode in sorted(Mode, key=lambda mode: mode is not served):
        if mode in signatures and (description := signatures[mode].description):
            info.setdefault("description", description)
    operations: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    if predict := signatures.get(Mode.PREDICT):
        operations |= with_examples(_paths(predict, predict.streaming), predict.inputs)
        schemas |= component_schemas(predict)
    if train := signatures.get(Mode.TRAIN):
        # What is there for both, such as the health, is told as it is where the model predicts.
        operations = with_examples(in_trainings(_paths(train, streaming=False)), train.inputs) | operations
        schemas = _training_schemas(train, taken=schemas) | schemas
    return {"openapi": "3.0.2", "info": info, "paths": operations, "components": {"schemas": schemas}}


def component_schemas(signature: Signature) -> dict[str, Any]:
    """`components.schemas` of the document: `Input`, `Output`, choices under their parameter's name, and the bodies."""
    return {
        "Input": _input(signature.inputs),
        "Output": _output(signature.output),
        **_enumerations(signature),
        **bodies(signature.inputs),
    }


def _paths(signature: Signature, streaming: bool) -> dict[str, Any]:
    return paths(streaming, needs_input=any(field.required for field in signature.inputs))


def _training_schemas(signature: Signature, taken: Mapping[str, Any]) -> dict[str, Any]:
    input = {**_input(signature.inputs), "title": "TrainingInput"}
    enumerations = _enumerations(signature)
    for name, schema in list(enumerations.items()):
        if taken.get(name, schema) != schema:
            # `predict` has other choices for an input of this name: here they are told in place.
            del enumerations[name]
            input["properties"][name]["allOf"] = [schema]
    told = {_training_name(name): in_trainings(body) for name, body in bodies(signature.inputs).items()}
    return {"TrainingInput": input, "TrainingOutput": _output(signature.output), **enumerations, **told}


def _training_name(component: str) -> str:
    return component.replace("Prediction", "Training")


def _enumerations(signature: Signature) -> dict[str, Any]:
    return {field.name: _choices(field) for field in signature.inputs if field.choices is not None}


def _input(fields: tuple[InputField, ...]) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "title": "Input",
        "type": "object",
        "properties": {field.name: _input_property(field, order) for order, field in enumerate(fields)},
    }
    if required := [field.name for field in fields if field.required]:
        schema["required"] = required
    return schema


# How a parameter is published:
#                                 required  default  nullable
#   x: T                          yes       no       no
#   x: T = v                      no        v        no
#   x: T = None                   yes       no       no        (T = Secret: as Optional[Secret])
#   x: Optional[T]                no        no       yes       (a union of several: required)
#   x: Optional[T] = v            no        v        yes       (v may be None)
def _input_property(field: InputField, order: int) -> dict[str, Any]:
    if field.choices is None:
        schema = {"title": _title(field.name), **_value(field.type)}
    else:
        schema = {"allOf": [{"$ref": f"#/components/schemas/{field.name}"}]}
        if field.type.nullable:
            schema["nullable"] = True
    if field.has_default:
        schema["default"] = field.default
    limits = {
        "description": field.description,
        "minimum": _number(field.ge),
        "maximum": _number(field.le),
        "minLength": field.min_length,
        "maxLength": field.max_length,
        "pattern": field.regex,
        "deprecated": field.deprecated or None,
        "x-cog-accept": field.accept,
        # Not `multipleOf`, which would have other numbers refused that the model rounds.
        "x-multiple-of": field.multiple_of,
    }
    schema.update({keyword: limit for keyword, limit in limits.items() if limit is not None})
    schema["x-order"] = order
    return schema


def _choices(field: InputField) -> dict[str, Any]:
    # Of a list too, these are the choices of one item, as in Cog.
    item = field.type.items[0] if field.type.kind is Kind.LIST else field.type
    return {
        "title": field.name,
        "description": "An enumeration.",
        "enum": list(field.choices or ()),
        "type": _SCALARS[item.kind]["type"],
    }


def _output(output: OutputType) -> dict[str, Any]:
    if output.iterator is None:
        return {"title": "Output", **_value(output.type)}
    schema = {"title": "Output", "type": "array", "items": _value(output.type), "x-cog-array-type": "iterator"}
    if output.iterator is Display.CONCATENATE:
        schema["x-cog-array-display"] = "concatenate"
    return schema


_SCALARS: dict[Kind, dict[str, Any]] = {
    Kind.STRING: {"type": "string"},
    Kind.INTEGER: {"type": "integer"},
    Kind.NUMBER: {"type": "number"},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.PATH: {"type": "string", "format": "uri"},
    Kind.FILE: {"type": "string", "format": "uri"},
    Kind.SECRET: {"type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True},
    Kind.ANY: {"type": "object"},
}


def _value(type_: ValueType) -> dict[str, Any]:
    schema: dict[str, Any]
    match type_.kind:
        case Kind.LIST:
            schema = {"type": "array", "items": _value(type_.items[0])}
        case Kind.MAPPING:
            schema = {"type": "object", "additionalProperties": _value(type_.items[0])}
        case Kind.UNION:
            schema = {"anyOf": [_value(item) for item in type_.items]}
            if type_.nullable:
                for member in schema["anyOf"]:
                    member["nullable"] = True
        case Kind.MODEL:
            properties = {field.name: {"title": _title(field.name), **_value(field.type)} for field in type_.fields}
            schema = {"type": "object", "properties": properties}
            if required := [field.name for field in type_.fields if field.required]:
                schema["required"] = required
        case _:
            schema = dict(_SCALARS[type_.kind])
    if type_.nullable:
        schema["nullable"] = True
    return schema


def _title(name: str) -> str:
    return " ".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _number(bound: float | None) -> float | None:
    """Whole bounds without a decimal point, as Cog's generator writes them; they are quoted in messages."""
    is_whole = bound is not None and float(bound).is_integer() and abs(bound) < 1e21
    return int(bound) if bound is not None and is_whole else bound

"""The bodies of requests and responses, as components of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from server.schema.health import HEALTH
from server.schema.signature import InputField


def bodies(inputs: Sequence[InputField]) -> dict[str, Any]:
    """Each schema under its name in `components.schemas`, for a model that takes these inputs."""
    return {
        "PredictionRequest": _request(_REQUEST, inputs),
        "PredictionOnceRequest": _request(_ONCE_REQUEST, inputs),
        "PredictionResponse": _RESPONSE,
        "PredictionPage": _PAGE,
        "Status": _STATUS,
        "HTTPValidationError": _HTTP_VALIDATION_ERROR,
        "ValidationError": _VALIDATION_ERROR,
        "Error": _ERROR,
        "Discovery": _DISCOVERY,
        "Health": HEALTH,
    }


def _request(body: dict[str, Any], inputs: Sequence[InputField]) -> dict[str, Any]:
    rules: dict[str, Any] = {}
    if any(field.required for field in inputs):
        rules["required"] = ["input"]
    else:
        # OpenAPI 3.0 looks at nothing beside a reference, yet most that read it look at this.
        rules["properties"] = {**body["properties"], "input": {**_INPUT, "nullable": True}}
    if nullable := [field.name for field in inputs if field.type.nullable]:
        # `Input` has to say, as Cog's does, that these may be null; and Cog refuses null all the same.
        nulls = [_object_with(name, {"enum": [None]}) for name in nullable]
        rules["not"] = _object_with("input", {"anyOf": nulls})
    return {**body, **rules}


def _object_with(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": [name], "properties": {name: schema}}


ID_PATTERN = "^[A-Za-z0-9_~:@+=,-][A-Za-z0-9_~:@+=,.-]{0,199}$"
"""The ids that clients may choose: safe as file names and as parts of URLs."""

_INPUT = {"$ref": "#/components/schemas/Input"}
_OUTPUT = {"$ref": "#/components/schemas/Output"}
_STATUSES = ["starting", "processing", "succeeded", "canceled", "failed"]


def _time(title: str, description: str) -> dict[str, Any]:
    return {"title": title, "type": "string", "format": "date-time", "description": description}


_REQUEST: dict[str, Any] = {
    "title": "PredictionRequest",
    "description": "What to predict. An input that is to have no value is left out; null is refused.",
    "type": "object",
    "properties": {
        "id": {
            "title": "Id",
            "type": "string",
            "nullable": True,
            "pattern": ID_PATTERN,
            "description": "A name of your own for this prediction. Without one the server makes it up.",
        },
        "input": _INPUT,
        "context": {
            "title": "Context",
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Texts that the model can read beside its inputs, such as the name of a user.",
        },
        "webhook": {
            "title": "Webhook",
            "type": "string",
            "nullable": True,
            "description": (
                "An http or https URL to which the state of the prediction is POSTed as it changes. Any other text is "
                "ignored."
            ),
        },
        "webhook_events_filter": {
            "title": "Webhook Events Filter",
            "type": "array",
            "items": {"type": "string", "enum": ["start", "output", "logs", "completed"]},
            "description": "What the webhook is told of; all of it, unless given.",
        },
    },
}

_ONCE_REQUEST: dict[str, Any] = {
    "title": "PredictionOnceRequest",
    "description": "A PredictionRequest under the id in the URL; an `id` that is given here too must be the same.",
    "type": "object",
    "properties": {name: schema for name, schema in _REQUEST["properties"].items() if name != "id"},
}

_RESPONSE: dict[str, Any] = {
    "title": "PredictionResponse",
    "type": "object",
    "properties": {
        "id": {"title": "Id", "type": "string", "description": "The id of the request, or the one made up for it."},
        "status": {
            "title": "Status",
            "type": "string",
            "enum": _STATUSES,
            "description": "How far the prediction is. `succeeded`, `failed` and `canceled` are final.",
        },
        "input": _INPUT,
        "output": _OUTPUT,
        "error": {"title": "Error", "type": "string", "description": "Why it failed; only with the status `failed`."},
        "logs": {"title": "Logs", "type": "string", "description": "What the model printed meanwhile."},
        "metrics": {
            "title": "Metrics",
            "type": "object",
            "properties": {
                "predict_time": {
                    "title": "Predict Time",
                    "type": "number",
                    "description": "Seconds that the model took.",
                }
            },
            "additionalProperties": True,
            "description": "`predict_time`, and what the model itself recorded.",
        },
        "version": {"title": "Version", "type": "string", "description": "The version of the model."},
        "created_at": _time("Created At", "When the request arrived."),
        "started_at": _time("Started At", "When the model began."),
        "completed_at": _time("Completed At", "When it ended."),
        "queue_position": {
            "title": "Queue Position",
            "type": "integer",
            "minimum": 1,
            "description": "Its place in the queue, 1 being next; only while it waits.",
        },
        "omitted": {
            "title": "Omitted",
            "type": "array",
            "items": {"type": "string"},
            "description": "What is too large for a list of predictions; ask for this one alone to see it.",
        },
        "urls": {
            "title": "Urls",
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "`get`: where its state is. `cancel`: where to POST to stop it.",
        },
    },
    "required": ["id", "status"],
}

_PAGE: dict[str, Any] = {
    "title": "PredictionPage",
    "description": "Some predictions, the newest first.",
    "type": "object",
    "properties": {
        "results": {
            "title": "Results",
            "type": "array",
            "items": {"$ref": "#/components/schemas/PredictionResponse"},
        },
        "next": {
            "title": "Next",
            "type": "string",
            "nullable": True,
            "description": "The URL of the page with older ones.",
        },
        "previous": {
            "title": "Previous",
            "type": "string",
            "nullable": True,
            "description": "The URL of the page with newer ones.",
        },
    },
    "required": ["results", "next", "previous"],
}

_STATUS: dict[str, Any] = {
    "title": "Status",
    "description": "An enumeration.",
    "enum": _STATUSES,
    "type": "string",
}

_ERROR: dict[str, Any] = {
    "title": "Error",
    "description": "Why the request was not carried out.",
    "type": "object",
    "properties": {
        "error": {"title": "Error", "type": "string", "description": "What is wrong, and what would help."},
        "status": {"title": "Status", "type": "string", "enum": ["failed"]},
    },
    "required": ["error"],
}

_VALIDATION_ERROR: dict[str, Any] = {
    "title": "ValidationError",
    "description": "One way in which the request breaks the schema.",
    "type": "object",
    "properties": {
        "loc": {
            "title": "Location",
            "type": "array",
            "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "description": 'Where, such as `["body", "input", "prompt"]`; an item of a list is `"words/0"`.',
        },
        "msg": {"title": "Message", "type": "string", "description": "What is wrong."},
        "type": {"title": "Error Type", "type": "string", "description": "`value_error.missing` or `value_error`."},
    },
    "required": ["loc", "msg", "type"],
}

_HTTP_VALIDATION_ERROR: dict[str, Any] = {
    "title": "HTTPValidationError",
    "description": "Every way in which the request breaks the schema.",
    "type": "object",
    "properties": {
        "detail": {"title": "Detail", "type": "array", "items": {"$ref": "#/components/schemas/ValidationError"}}
    },
}

_DISCOVERY: dict[str, Any] = {
    "title": "Discovery",
    "description": "Where everything is, as paths on this server.",
    "type": "object",
    "properties": {
        "cog_version": {
            "title": "Cog Version",
            "type": "string",
            "description": "The release of Cog whose behaviour this server has.",
        }
    },
    "additionalProperties": {"type": "string"},
    "required": ["cog_version"],
}

"""The operations of the HTTP interface, as `paths` of the OpenAPI document."""

from __future__ import annotations

from typing import Any

from server.schema.bodies import ID_PATTERN

CURSOR_PATTERN = "^[no][0-9a-f]{1,15}$"
"""A place in the list of predictions: a direction, `n`ewer or `o`lder, and a number in hexadecimal digits."""


def paths(streaming: bool, *, needs_input: bool) -> dict[str, Any]:
    """Every path.

    Args:
        streaming: whether the author marked the predictor with `@streaming`.
        needs_input: whether a prediction must have a body, since the model has inputs that may not be left out.
    """
    body: dict[str, Any] = {"required": True} if needs_input else {}
    predict = {**_PREDICT, "requestBody": _BODY | body}
    if streaming:
        predict["x-cog-streaming"] = True
    return {
        "/": {"get": _DISCOVER},
        "/health-check": {"get": _CHECK_HEALTH},
        "/livez": {"get": _LIVE},
        "/readyz": {"get": _READY},
        "/predictions": {"get": _LIST, "post": predict},
        "/predictions/{prediction_id}": {"get": _GET, "put": {**_PREDICT_ONCE, "requestBody": _ONCE_BODY | body}},
        "/predictions/{prediction_id}/cancel": {"post": _CANCEL},
        "/shutdown": {"post": _SHUT_DOWN},
    }


def _json(description: str, schema: str | None, **more: Any) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"} if schema else {}
    return {"description": description, "content": {"application/json": {"schema": reference}}, **more}


def _text(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}}


_PREDICTION_ID = {
    "in": "path",
    "name": "prediction_id",
    "required": True,
    "description": "The id of the prediction.",
    "schema": {"title": "Prediction Id", "type": "string", "pattern": ID_PATTERN},
    "example": "my-prediction",
}

_PREFER = {
    "in": "header",
    "name": "Prefer",
    "required": False,
    "description": (
        "`respond-async`: answer at once with 202, instead of when the prediction has ended; or, where a stream is "
        "asked for, go on when the client stops reading."
    ),
    "schema": {"title": "Prefer", "type": "string"},
}

_WARNING = {
    "X-Darkroom-Warning": {
        "description": "Names what was ignored: inputs that the model does not have, unknown keys of the body.",
        "schema": {"type": "string"},
    }
}

_EVENTS = {
    "schema": {
        "type": "string",
        "description": "`start`, `log`, `metric` and `output` events as they happen, then `completed`.",
    }
}

_STREAMABLE = _json("Successful Response", "PredictionResponse", headers=_WARNING)
_STREAMABLE["content"]["text/event-stream"] = _EVENTS

_INVALID = _json("Validation Error", "HTTPValidationError")
_INVALID["content"]["text/plain"] = {"schema": {"type": "string"}}

_REFUSALS = {
    "400": _text("The body is not JSON."),
    "406": _json("A stream was asked for, and the server streams only models that are marked for it.", "Error"),
    "409": _json("The server keeps no queue and is busy, or a prediction with this id has not ended.", "Error"),
    "413": _text("The body is too large."),
    "415": _text("The content type is not JSON."),
    "422": _INVALID,
    "429": _json(
        "Too many predictions are waiting.",
        "Error",
        headers={
            "Retry-After": {
                "description": "Seconds after which to try again.",
                "schema": {"type": "integer", "minimum": 1},
            }
        },
    ),
    "503": _json("The model is not loaded yet, could not be loaded, or the server is stopping.", "Error"),
}

_BODY = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/PredictionRequest"}}}}
_ONCE_BODY = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/PredictionOnceRequest"}}}}

_PREDICT: dict[str, Any] = {
    "summary": "Predict",
    "description": "Run a single prediction on the model",
    "operationId": "predict_predictions_post",
    "parameters": [_PREFER],
    "responses": {
        "200": _STREAMABLE,
        "202": _json("Accepted; it runs on by itself.", "PredictionResponse", headers=_WARNING),
        **_REFUSALS,
    },
}

_PREDICT_ONCE = {
    "summary": "Predict once",
    "description": (
        "Run a prediction under an id of your own. While one with this id runs, the same request starts no second "
        "one and is answered with 202 and its state, so it is safe to send again."
    ),
    "operationId": "predict_idempotent_predictions__prediction_id__put",
    "parameters": [_PREDICTION_ID, _PREFER],
    "responses": {
        "200": _STREAMABLE,
        "202": _json("It runs.", "PredictionResponse", headers=_WARNING),
        "404": _json("The id in the URL is none that a prediction can have.", "Error"),
        **_REFUSALS,
    },
}

_GET = {
    "summary": "Get a prediction",
    "description": "The state of a prediction that waits, runs, or has ended not too long ago.",
    "operationId": "get_predictions__prediction_id__get",
    "parameters": [_PREDICTION_ID],
    "responses": {
        "200": _json("Successful Response", "PredictionResponse"),
        "404": _json("There is no such prediction, or it is forgotten by now.", "Error"),
        "503": _json("What has ended cannot be read at the moment.", "Error"),
    },
}

_LIST = {
    "summary": "List predictions",
    "description": "The predictions that wait, run, or have ended not too long ago; the newest first.",
    "operationId": "list_predictions_get",
    "parameters": [
        {
            "in": "query",
            "name": "limit",
            "required": False,
            "description": "How many at the most.",
            "schema": {"title": "Limit", "type": "integer", "minimum": 1, "maximum": 100, "default": 100},
        },
        {
            "in": "query",
            "name": "cursor",
            "required": False,
            "description": "Where to go on; the links of a page have it.",
            "schema": {"title": "Cursor", "type": "string", "pattern": CURSOR_PATTERN},
        },
    ],
    "responses": {
        "200": _json("Successful Response", "PredictionPage"),
        "422": _json("Validation Error", "HTTPValidationError"),
        "503": _json("What has ended cannot be read at the moment.", "Error"),
    },
}

_CANCEL = {
    "summary": "Cancel",
    "description": "Stop a prediction that runs or waits. Asking again does no harm.",
    "operationId": "cancel_predictions__prediction_id__cancel_post",
    "parameters": [_PREDICTION_ID],
    "responses": {
        "200": _json("Successful Response", None),
        "404": _json("No prediction with this id runs or waits.", None),
        "422": _json("Validation Error", "HTTPValidationError"),
    },
}

_DISCOVERY = _json("Successful Response", "Discovery")
_DISCOVERY["content"]["text/html"] = {"schema": {"type": "string"}}

_DISCOVER = {
    "summary": "Root",
    "description": "Where everything is. A browser gets a page for people.",
    "operationId": "root__get",
    "responses": {"200": _DISCOVERY},
}

_CHECK_HEALTH = {
    "summary": "Healthcheck",
    "description": "How the server and the model are. The status code is always 200; look at `status` in the body.",
    "operationId": "healthcheck_health_check_get",
    "parameters": [
        {
            "in": "query",
            "name": "logs",
            "required": False,
            "description": "`true`: tell what setup has logged so far, also before its end.",
            "schema": {"title": "Logs", "type": "string"},
        }
    ],
    "responses": {"200": _json("Successful Response", "Health")},
}

_LIVE = {
    "summary": "Liveness",
    "description": "Answers as long as the server runs, whatever the model does. For orchestrators.",
    "operationId": "livez_livez_get",
    "responses": {"200": _json("The server runs.", None)},
}

_READY = {
    "summary": "Readiness",
    "description": "Whether predictions should be sent here, told by the status code. For orchestrators.",
    "operationId": "readyz_readyz_get",
    "responses": {
        "200": _json("The model is ready, busy or not.", None),
        "503": _json("The model is loading, failed to load, or is not well.", None),
    },
}

_SHUT_DOWN = {
    "summary": "Shut down",
    "description": "End the server, once the predictions that run have ended.",
    "operationId": "shutdown_shutdown_post",
    "responses": {"200": _json("The server is about to stop.", None)},
}

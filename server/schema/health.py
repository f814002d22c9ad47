"""The body of `/health-check`, as a component of the OpenAPI document."""

from __future__ import annotations

from typing import Any

_TIME = {"type": "string", "format": "date-time"}

_STATUS = {
    "title": "Status",
    "type": "string",
    "enum": ["STARTING", "READY", "BUSY", "SETUP_FAILED", "UNHEALTHY", "DEFUNCT"],
    "description": (
        "`STARTING`: the model is being loaded. `READY`: it takes predictions. `BUSY`: it takes them, and they "
        "wait. `SETUP_FAILED`: it could not be loaded. `UNHEALTHY`: the model's own check says no. "
        "`DEFUNCT`: its process died and could not be replaced yet."
    ),
}

_SETUP = {
    "title": "Setup",
    "type": "object",
    "description": "The loading of the model.",
    "properties": {
        "status": {"title": "Status", "type": "string", "enum": ["starting", "succeeded", "failed"]},
        "started_at": {"title": "Started At", **_TIME, "description": "When it began."},
        "completed_at": {"title": "Completed At", **_TIME, "description": "When it ended."},
        "logs": {"title": "Logs", "type": "string", "description": "What the model printed; why it failed."},
    },
    "required": ["status"],
}

_HEALTHCHECK_ERROR = {
    "title": "User Healthcheck Error",
    "type": "string",
    "description": "Why the status is `UNHEALTHY`.",
}

_DEVICE = {
    "type": "object",
    "properties": {
        "device": {"title": "Device", "type": "string", "description": "Its number or UUID."},
        "status": _STATUS,
        "running": {"title": "Running", "type": "integer", "description": "How many predictions it runs."},
        "restarts": {"title": "Restarts", "type": "integer", "description": "How many times its process was replaced."},
        "setup": _SETUP,
        "user_healthcheck_error": _HEALTHCHECK_ERROR,
    },
    "required": ["device", "status", "running", "restarts", "setup"],
}

HEALTH: dict[str, Any] = {
    "title": "Health",
    "description": "How the server and the model are.",
    "type": "object",
    "properties": {
        "status": _STATUS,
        "setup": _SETUP,
        "user_healthcheck_error": _HEALTHCHECK_ERROR,
        "devices": {
            "title": "Devices",
            "type": "array",
            "items": _DEVICE,
            "description": "The same of each device, where there are several.",
        },
        "version": {
            "title": "Version",
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "The versions of the parts of the server.",
        },
    },
    "required": ["status"],
}

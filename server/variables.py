"""The environment variables that set an option: ours and those of Cog, and which of them counts."""

from __future__ import annotations

import os

PREFIX = "DARKROOM_"
"""Every option can be set by the environment variable of this prefix and its name in capitals."""

INHERITED_VARIABLES = {
    "compile": "COMPILE",
    "compile_cache": "COMPILE_CACHE",
    "controlnet_id": "CONTROLNET_ID",
    "log_level": "COG_LOG_LEVEL",
    "lora_cache": "LORA_CACHE",
    "max_concurrency": "COG_MAX_CONCURRENCY",
    "model_id": "MODEL_ID",
    "model_revision": "MODEL_REVISION",
    "port": "PORT",
    "predictor": "COG_PREDICT_TYPE_STUB",
    "quantize": "QUANTIZE",
    "require_safety_checker": "REQUIRE_SAFETY_CHECKER",
    "setup_timeout": "COG_SETUP_TIMEOUT",
    "stream_history": "COG_STREAM_HISTORY_CAPACITY",
    "strict": "STRICT",
    "trainer": "COG_TRAIN_TYPE_STUB",
    "user_agent": "COG_USER_AGENT",
    "webhook_auth_token": "WEBHOOK_AUTH_TOKEN",
    "webhook_interval": "COG_THROTTLE_RESPONSE_INTERVAL",
}
"""Variables that Cog, or `predict.py`, already reads for the same purpose; ours is stronger where both are set."""

COG_DEFAULTS = {
    "COG_LOG_LEVEL": "info",
    "COG_MAX_CONCURRENCY": "1",
    "COG_STREAM_HISTORY_CAPACITY": "1024",
    "COG_THROTTLE_RESPONSE_INTERVAL": "0.5",
}
"""What Cog goes by where one of these variables has a value that cannot be used; of ours each is an error."""


def environment_variables(option: str) -> list[str]:
    """The environment variables that set an option, the strongest first."""
    inherited = INHERITED_VARIABLES.get(option)
    return [PREFIX + option.upper(), *([inherited] if inherited else [])]


def variable_in_use(variable: str) -> str:
    """Of the variables that set the same option as `variable`, one of ours, the one that counts."""
    option = variable.removeprefix(PREFIX).lower()
    return next((name for name in environment_variables(option) if os.environ.get(name)), variable)

"""From the declared settings to the flags of a command, and back to validated settings."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from server import logs
from server.manifest import load_manifest
from server.schema.signature import Mode
from server.settings import ModelSettings, Settings, unknown_variables
from server.variables import environment_variables, variable_in_use

logger = logging.getLogger(__name__)

_Command = Callable[..., None]
_SECRET = {"webhook_auth_token", *environment_variables("webhook_auth_token")}
"""What no error quotes."""

_METAVARS = {str: "TEXT", int: "INTEGER", float: "SECONDS", bool: "true|false"}


def takes(settings: type[ModelSettings]) -> Callable[[_Command], _Command]:
    """Give a command a flag for every option of `settings`.

    The command is called with the settings and the manifest of the current folder before its own parameters.

    Raises:
        click.UsageError: a value breaks its rule.
        ManifestError: the folder does not say what to serve.
    """

    def decorate(command: _Command) -> _Command:
        @functools.wraps(command)
        def run(**parameters: Any) -> None:
            manifest = load_manifest(Path.cwd())
            for name, value in manifest.environment.items():
                # Cog writes them into the image, where they are for the server as well as for the model.
                os.environ.setdefault(name, value)
            given = {name: parameters.pop(name) for name in settings.model_fields}
            with logs.held_back():
                values = _validate(settings, {name: value for name, value in given.items() if value is not None})
                with_prompts = isinstance(values, Settings) and values.log_prompts
                logs.start(values.log_level, as_json=values.log_format == "json", with_prompts=with_prompts)
            for name in unknown_variables(dict(os.environ)):
                logger.warning("The environment variable %s is not an option of Darkroom and is ignored.", name)
            for warning in manifest.warnings():
                logger.warning("%s", warning)
            command(values, manifest.choose(Mode(values.x_mode), values.predictor, values.trainer), **parameters)

        flagged: _Command = run
        for name, field in reversed(settings.model_fields.items()):
            flagged = _flag(name, field)(flagged)
        return flagged

    return decorate


def _flag(name: str, field: FieldInfo) -> Callable[[_Command], _Command]:
    alternatives = get_args(field.annotation) or (field.annotation,)
    choices = [alternative for alternative in alternatives if isinstance(alternative, str)]
    metavar = "|".join(choices) or next(kind for type_, kind in _METAVARS.items() if type_ in alternatives)
    default = "" if field.default is None else f" Default: {field.default}."
    variables = ", ".join(environment_variables(name))
    return click.option(
        f"--{name.replace('_', '-')}", name, metavar=metavar, help=f"{field.description}{default} [{variables}]"
    )


def _validate(settings: type[ModelSettings], given: dict[str, Any]) -> ModelSettings:
    try:
        return settings(**given)
    except ValidationError as invalid:
        lines = [
            f"{_origin(error['loc'][0])}: {error['msg']}{_instead(error['loc'][0], error['input'])}."
            for error in invalid.errors()
        ]
        raise click.UsageError("\n".join(lines)) from invalid


def _instead(place: int | str, value: Any) -> str:
    return "" if str(place) in _SECRET else f", not {value!r}"


def _origin(place: int | str) -> str:
    # A value from the environment is located by its variable, one from a flag by the option.
    name = str(place)
    return variable_in_use(name) if name.isupper() else f"--{name.replace('_', '-')}"

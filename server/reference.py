"""The page `docs/settings.md`, made from the declared options."""

from __future__ import annotations

from typing import get_args

from pydantic_settings import BaseSettings

from server.variables import environment_variables


def reference(settings: type[BaseSettings], starred: type[BaseSettings]) -> str:
    """The table of all options, in Markdown.

    Args:
        settings: which declare them.
        starred: those of them that every command takes.
    """
    rows = [
        "# Settings",
        "",
        "Every option is a flag of `darkroom serve` and an environment variable; the flag is stronger, and of two",
        "variables the first. `darkroom predict`, `reproduce` and `schema` take those marked with a star.",
        "As in Cog's images, `environment` in cog.yaml sets variables for the server as well as for the model: any of",
        "these, where it is not set outside.",
        "Traces go by the variables of OpenTelemetry, `OTEL_*`: see [operations.md](operations.md#traces).",
        "`python -m server.settings > docs/settings.md` made this page; a test fails where the two differ.",
        "",
        "| Flag | Environment | Default | Meaning |",
        "| --- | --- | --- | --- |",
    ]
    for option, field in settings.model_fields.items():
        star = "*" if option in starred.model_fields else ""
        variables = ", ".join(f"`{variable}`" for variable in environment_variables(option))
        default = "" if field.default is None else f"`{field.default}`"
        choices = [argument for argument in get_args(field.annotation) if isinstance(argument, str)]
        meaning = (field.description or "") + (f" One of {', '.join(choices)}." if choices else "")
        rows.append(f"| `--{option.replace('_', '-')}`{star} | {variables} | {default} | {meaning} |")
    return "\n".join(rows) + "\n"

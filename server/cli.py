"""The command `darkroom`: serve a model, run it once, or print its schema."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import click

from server import __version__
from server.errors import DarkroomError
from server.manifest import Manifest
from server.options import takes
from server.settings import ModelSettings, Settings


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="darkroom")
def cli() -> None:
    """Serve a model written for Cog. Run it in any folder with a cog.yaml, ours or another model's.

    Each option is an environment variable too, named in brackets.
    """


def main() -> None:
    """Run the command line; an error that Darkroom knows is one line on standard error and exit status 1."""
    try:
        cli(prog_name="darkroom")
    except DarkroomError as error:
        sys.exit(f"darkroom: {error}")


@cli.command()
@takes(Settings)
def serve(settings: Settings, manifest: Manifest) -> None:
    """Load the model and answer HTTP requests until Ctrl-C or SIGTERM.

    \b
    Then, from another terminal:
      curl -H 'Content-Type: application/json' -d '{"input": {"prompt": "a red apple"}}' \\
        http://127.0.0.1:5000/predictions
    """
    from server.listener import listen

    listen(settings, manifest)


@cli.command()
@click.option(
    "-i",
    "--input",
    "inputs",
    metavar="NAME=VALUE",
    multiple=True,
    help="An input; give one for each. NAME=@FILE sends a file. Repeat the name, or write JSON, for a list.",
)
@click.option(
    "--json",
    "document",
    metavar="JSON",
    help="All inputs as one JSON object; @FILE reads it from a file, - from standard input. The whole prediction is "
    "then put out as JSON, even if it failed.",
)
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Where the output goes: a file (more than one are numbered) or a folder. Default: files keep their own names "
    "in this folder; anything else is printed.",
)
@takes(ModelSettings)
def predict(
    settings: ModelSettings, manifest: Manifest, inputs: tuple[str, ...], document: str | None, output: Path | None
) -> None:
    """Run the model once, without a server.

    For example: darkroom predict -i prompt="a red apple" -o apple.webp
    """
    from server.assignments import read_object
    from server.oneoff import predict_once

    if inputs and document is not None:
        raise click.UsageError("--input and --json both give the inputs; use one of them.")
    given = inputs if document is None else read_object(document)
    try:
        asyncio.run(predict_once(settings, manifest, given, output))
    except KeyboardInterrupt:
        sys.exit(130)


@cli.command()
@click.option(
    "--narrowed",
    is_flag=True,
    help="Load the model, and print what it takes then, as a running server does. The same where predict.py has no "
    "`narrow_inputs`.",
)
@takes(ModelSettings)
def schema(settings: ModelSettings, manifest: Manifest, narrowed: bool) -> None:
    """Print the model's OpenAPI document, without loading its weights."""
    from server.oneoff import read_interface
    from server.schema.openapi import openapi_document

    interface = asyncio.run(read_interface(settings, manifest, narrowed=narrowed))
    click.echo(json.dumps(openapi_document(interface.signatures), indent=2, ensure_ascii=False))

"""The command `darkroom`: serve a model, run it once, make a picture again, or print the schema."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from server import __version__
from server.errors import DarkroomError
from server.manifest import Manifest
from server.options import takes
from server.settings import ModelSettings, Settings

logger = logging.getLogger(__name__)


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

    try:
        listen(settings, manifest)
    except DarkroomError as error:
        if settings.log_format == "text":
            raise
        logger.critical("%s", error)
        sys.exit(1)


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


def _exits_with_2(command: Callable[..., None]) -> Callable[..., None]:
    """Keep exit status 1 for what the command finds, as `diff` and `cmp` do."""

    @functools.wraps(command)
    def run(**parameters: Any) -> None:
        try:
            command(**parameters)
        except DarkroomError as error:
            print(f"darkroom: {error}", file=sys.stderr)
            sys.exit(2)

    return run


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-i",
    "--input",
    "inputs",
    metavar="NAME=@FILE",
    multiple=True,
    help="A file that the picture was made from, such as image=@photo.jpg; give one for each. The picture knows them "
    "by their SHA-256 and holds none. NAME=VALUE for what was secret.",
)
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Where to put the picture that is made, a file or a folder. Default: it is only compared.",
)
@_exits_with_2
@takes(ModelSettings)
def reproduce(
    settings: ModelSettings, manifest: Manifest, file: Path, inputs: tuple[str, ...], output: Path | None
) -> None:
    """Make a picture again from what its FILE tells, and say whether the pixels are the same.

    For example: darkroom reproduce apple.webp

    A model of the Hub that FILE names is taken, unless MODEL_ID names another.

    \b
    Exit status:
      0  the pixels are the same
      1  they are not: by how much, and what is different now
      2  FILE does not tell how it was made, or the model could not be run
    """
    from server.reproduce import reproduce_file

    if settings.x_mode != "predict":
        raise click.UsageError("A picture is made again by predicting; leave --x-mode out.")
    try:
        same = asyncio.run(reproduce_file(settings, manifest, file, inputs, output))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if same else 1)


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
    click.echo(json.dumps(openapi_document(interface.signatures, served=interface.mode), indent=2, ensure_ascii=False))

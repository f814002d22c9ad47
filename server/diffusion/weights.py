"""Fetch a model beforehand, so that the server needs no network: `python -m server.diffusion.weights`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import constants

from server.diffusion.errors import ModelError
from server.diffusion.files import list_files
from server.diffusion.model_downloads import public
from server.diffusion.sources import download


def main(arguments: Sequence[str] | None = None) -> None:
    """Fetch the weights of a model; what the command line of `script/download-weights` says."""
    parser = argparse.ArgumentParser(
        prog="script/download-weights",
        description="Fetch a model, so that the server needs no network afterwards. Of a diffusers pipeline on the "
        "Hugging Face Hub only what it needs is fetched, weights as safetensors. A single .safetensors file with a "
        "whole model works too, with the configuration that it needs from the Hub. All goes to the Hub's usual cache: "
        f"{constants.HF_HOME} (HF_HOME moves it). A run that was interrupted is resumed by the next, and what came is "
        "verified.",
        epilog="Models that need a licence to be accepted also need HF_TOKEN, an access token of the Hub; some of "
        "CivitAI need CIVITAI_API_TOKEN, an API key of it.",
    )
    parser.add_argument(
        "model",
        nargs="?",
        help="id on the Hub, owner/name; a file there, owner/name/file.safetensors; the URL of a file, which may end "
        "in #sha256=HEX; or a folder or file on this machine (default: $MODEL_ID)",
    )
    parser.add_argument("--revision", help="commit, branch or tag (default: $MODEL_REVISION, else the main branch)")
    parser.add_argument("--variant", help="kind of weights, such as fp16 for half the size (default: $MODEL_VARIANT)")
    options = parser.parse_args(arguments)
    model = options.model or os.environ.get("MODEL_ID")
    if not model:
        print("No model is named and MODEL_ID is not set: the embedded model is in this repository, nothing to fetch.")
        return
    try:
        if Path(model).expanduser().is_dir():
            print(f"{model} is a folder on this machine: nothing to fetch.")
            return
        revision = options.revision or os.environ.get("MODEL_REVISION") or None
        variant = options.variant or os.environ.get("MODEL_VARIANT") or None
        path = download(model, revision, variant)
        told = _tell_file(path) if path.is_file() else _tell_folder(path)
    except ModelError as error:
        sys.exit(f"script/download-weights: {error}")
    except KeyboardInterrupt:
        sys.exit(
            "script/download-weights: interrupted. What came is kept; run the same command again to go on from there."
        )
    print(f"{public(model)} {told}")


def _tell_folder(folder: Path) -> str:
    size = sum((folder / name).stat().st_size for name in list_files(folder))
    return f"at commit {folder.name} is on this machine: {folder} ({size / 1e6:.1f} MB)"


def _tell_file(file: Path) -> str:
    # These import torch, for which the download of a folder need not wait.
    from server.diffusion.checkpoint import locate_configuration, read_header

    configuration = locate_configuration(file, read_header(file))
    return f"is on this machine: {file} ({file.stat().st_size / 1e6:.1f} MB), and its configuration: {configuration}"


if __name__ == "__main__":
    main()

"""Fetch a model beforehand, so that the server needs no network: `python -m server.diffusion.weights`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import constants

from server.diffusion.errors import ModelError
from server.diffusion.files import list_files
from server.diffusion.hub import download


def main(arguments: Sequence[str] | None = None) -> None:
    """Fetch the weights of a model; what the command line of `script/download-weights` says."""
    parser = argparse.ArgumentParser(
        prog="script/download-weights",
        description="Fetch a model from the Hugging Face Hub, so that the server needs no network afterwards. Only "
        "what the pipeline needs is fetched, weights as safetensors. It goes to the Hub's usual cache: "
        f"{constants.HF_HUB_CACHE} (HF_HOME moves it). A run that was interrupted is resumed by the next.",
        epilog="Models that need a licence to be accepted also need HF_TOKEN, an access token of the Hub.",
    )
    parser.add_argument("model", nargs="?", help="id on the Hub, owner/name, or a folder (default: $MODEL_ID)")
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
        folder = download(model, revision, variant)
    except ModelError as error:
        sys.exit(f"script/download-weights: {error}")
    except KeyboardInterrupt:
        sys.exit(
            "script/download-weights: interrupted. What came is kept; run the same command again to go on from there."
        )
    size = sum((folder / name).stat().st_size for name in list_files(folder))
    print(f"{model} at commit {folder.name} is on this machine: {folder} ({size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()

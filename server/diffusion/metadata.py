"""What a picture's file tells of how it was made, as data and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Annotated, Any, NoReturn

import msgspec

from server.diffusion.errors import MetadataError
from server.diffusion.redaction import without_secrets

FORMAT = 1
"""The version of the JSON; it grows when what an older Darkroom reads would mislead it."""

_Count = Annotated[int, msgspec.Meta(ge=0)]
_Pixels = Annotated[int, msgspec.Meta(ge=1)]

# What XML 1.0 does not allow, escaped or not. JSON has an escape for each of them, which it uses in strings alone.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Provenance:
    """What makes pictures: a model, where it runs and by which software.

    Attributes:
        model: the id on the Hub, or of a folder or file its name alone.
        revision: the commit, of a model of the Hub.
        digest: the SHA-256 of what was loaded, where there is no commit (`server.diffusion.provenance`).
        pipeline: the class of Diffusers.
        device: what it computed on.
        dtype: in which type of numbers, such as `bfloat16`.
        quantization: what its weights were rounded to, such as `int8`; `None` is nothing.
        versions: of the software that has a say in the pixels, by name.
    """

    model: str
    revision: str | None = None
    digest: str | None = None
    pipeline: str | None = None
    device: str | None = None
    dtype: str | None = None
    quantization: str | None = None
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class UsedLora:
    """An adapter that was on.

    Attributes:
        source: where it came from; what may be secret in a URL is left out.
        scale: how strong it was.
        sha256: of its file.
    """

    source: str
    scale: float = 1.0
    sha256: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", without_secrets(self.source))

    @property
    def name(self) -> str:
        """Its file's name without the ending, in characters that other tools take for a name."""
        path = PurePath(self.source.partition("?")[0])
        name = path.stem if path.suffix == ".safetensors" else path.name
        return re.sub(r"[^\w.-]", "_", name)


@dataclass(frozen=True)
class Metadata:
    """How one picture was made.

    Attributes:
        prompt: what it shows; of several prompts in one request, its own.
        seed: its own; alone, it makes the same picture again.
        width, height: in pixels.
        provenance: what made it.
        inputs: those of the request by name, as `record_inputs` gives them.
        index: which picture of the request it is, counted from 0.
        negative_prompt: what it was not to show.
        num_inference_steps: how many denoising steps.
        guidance_scale: how closely it follows the prompt; `None` where the model takes none.
        scheduler: one of `SCHEDULERS`, or the class of Diffusers.
        strength: how much was changed of a picture that was given, 0 to 1; `None` where there was none.
        loras: the adapters that were on.
        edited: whether it goes back to a picture that was given and may show parts of it.
    """

    prompt: str
    seed: _Count
    width: _Pixels
    height: _Pixels
    provenance: Provenance
    inputs: dict[str, Any] = field(default_factory=dict)
    index: _Count = 0
    negative_prompt: str | None = None
    num_inference_steps: _Count | None = None
    guidance_scale: float | None = None
    scheduler: str | None = None
    strength: float | None = None
    loras: tuple[UsedLora, ...] = ()
    edited: bool = False

    def __post_init__(self) -> None:
        # In JSON 20.0 is an integer, and a server may hand it over as the float it looks like.
        for name in ("seed", "width", "height", "index", "num_inference_steps"):
            value = getattr(self, name)
            if isinstance(value, float) and value.is_integer():
                object.__setattr__(self, name, int(value))


def to_json(metadata: Metadata) -> str:
    """The metadata as JSON on one line, of characters that XML allows.

    Raises:
        TypeError: an input is of a type that JSON does not have; `record_inputs` turns those of a request into JSON.
    """
    document = {"format": FORMAT, **msgspec.to_builtins(metadata)}
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def from_json(text: str) -> Metadata:
    """The metadata that `to_json` wrote.

    Raises:
        MetadataError: it is something else, or somebody has changed it.
    """
    try:
        document = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise MetadataError(f"is damaged: it is not JSON ({error})") from error
    version = document.get("format") if isinstance(document, Mapping) else None
    if version != FORMAT:
        raise MetadataError(
            f"has the format {version!r}, and this version of Darkroom reads {FORMAT}. If a later version made the "
            "file, use that one"
        )
    try:
        return msgspec.convert(document, Metadata)
    except msgspec.ValidationError as error:
        raise MetadataError(f"is damaged: {error}") from error


def printable(text: str) -> str:
    """The text for readers who take it as it is: what no format can hold becomes the sign for that, U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")

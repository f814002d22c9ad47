"""The line by which AUTOMATIC1111's web UI tells how a picture was made; CivitAI and most galleries read it.

Its form is that of `create_infotext` there: the prompt, `Negative prompt: ...` on a line of its own, and at the end one
line of `Name: value` with commas between; a value with a comma, a colon or a line break in it is a string of JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from server.diffusion.metadata import Metadata, printable

# The names there of the methods, and of the noise levels where they have a name of their own. Others keep ours.
_SAMPLERS = {
    "DDIM": ("DDIM", None),
    "DPMSolverMultistep": ("DPM++ 2M", None),
    "DPMSolverSDE": ("DPM++ SDE", None),
    "DPMSolverSinglestep": ("DPM++ 2S", None),
    "EulerAncestralDiscrete": ("Euler a", None),
    "EulerDiscrete": ("Euler", None),
    "ExponentialDPM": ("DPM++ 2M", "Exponential"),
    "FlowMatchEulerDiscrete": ("Euler", None),
    "HeunDiscrete": ("Heun", None),
    "K_EULER": ("Euler", None),
    "K_EULER_ANCESTRAL": ("Euler a", None),
    "K_EULER_BETA": ("Euler", "Beta"),
    "K_EULER_EXPONENTIAL": ("Euler", "Exponential"),
    "K_EULER_KARRAS": ("Euler", "Karras"),
    "KDPM2AncestralDiscrete": ("DPM2 a", None),
    "KDPM2Discrete": ("DPM2", None),
    "KLMS": ("LMS", None),
    "KarrasDPM": ("DPM++ 2M", "Karras"),
    "LCM": ("LCM", None),
    "LMSDiscrete": ("LMS", None),
    "PNDM": ("PLMS", None),
    "UniPC": ("UniPC", None),
    "UniPCMultistep": ("UniPC", None),
}


def infotext(metadata: Metadata) -> str:
    """The text, of one line or more."""
    adapters = "".join(f" <lora:{lora.name}:{lora.scale}>" for lora in metadata.loras)
    lines = [printable(metadata.prompt) + adapters]
    if metadata.negative_prompt:
        lines.append(f"Negative prompt: {printable(metadata.negative_prompt)}")
    lines.append(", ".join(f"{name}: {_quoted(printable(value))}" for name, value in _parameters(metadata)))
    return "\n".join(lines).strip()


def _parameters(metadata: Metadata) -> Iterator[tuple[str, str]]:
    model = metadata.provenance
    # Readers look for the line that begins with it.
    if metadata.num_inference_steps is not None:
        yield "Steps", str(metadata.num_inference_steps)
    if metadata.scheduler is not None:
        name = metadata.scheduler
        sampler, levels = _SAMPLERS.get(name.removesuffix("Scheduler"), (name, None))
        yield "Sampler", sampler
        if levels:
            yield "Schedule type", levels
    if metadata.guidance_scale is not None:
        yield "CFG scale", str(metadata.guidance_scale)
    yield "Seed", str(metadata.seed)
    yield "Size", f"{metadata.width}x{metadata.height}"
    if model.digest:
        yield "Model hash", model.digest[:10]
    yield "Model", model.model
    if metadata.strength is not None:
        yield "Denoising strength", str(metadata.strength)
    # The noise is drawn on the CPU, whatever computes; there, that is an option.
    yield "RNG", "CPU"
    if hashes := ", ".join(f"{lora.name}: {lora.sha256[:10]}" for lora in metadata.loras if lora.sha256):
        yield "Lora hashes", hashes
    yield "Version", f"Darkroom {model.versions.get('darkroom', '')}".rstrip()


def _quoted(value: str) -> str:
    # One that begins with a quotation mark is read as such a string, too.
    return json.dumps(value, ensure_ascii=False) if re.search(r'[,:\n]|^\s*"', value) else value

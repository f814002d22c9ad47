"""What is drawn in a measurement: a model, a size, a number of steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Workload:
    """A model and the request that it is measured with.

    Attributes:
        model: its name in `WORKLOADS`.
        size: width and height, in pixels.
        steps: denoising steps of a picture.
        least_steps: where steps are mixed, each request has from so many up to `steps`.
        guidance: how closely to follow the prompt.
        scheduler: asked for by name; `None` is the model's own.
        half: the half precision that a stock pipeline of it is run in.
        folder: where the pipeline lies in this repository; `None`: `bench.models` builds it.
        go_fast: whether steps that change little may be worked out in part.
    """

    model: str
    size: int
    steps: int
    least_steps: int
    guidance: float
    scheduler: str | None = None
    half: str = "float16"
    folder: Path | None = None
    go_fast: bool = False

    def resized(self, size: int | None, steps: int | None) -> Workload:
        """The same with another size or number of steps, where given."""
        steps = steps or self.steps
        return replace(self, size=size or self.size, steps=steps, least_steps=min(self.least_steps, steps))

    def request(self, number: int, *, mixed: bool = False) -> dict[str, Any]:
        """The inputs of the request with that number: the same each time, and no two with the same prompt or seed.

        Args:
            number: from 0.
            mixed: whether step counts differ.
        """
        random = Random(number)
        inputs = {
            # Repeated prompts would be encoded once only, where encodings are kept.
            "prompt": f"{random.choice(_LOOKS)} {random.choice(_THINGS)} on a {random.choice(_PLACES)}, take {number}",
            "seed": number,
            "width": self.size,
            "height": self.size,
            "num_inference_steps": random.randint(self.least_steps, self.steps) if mixed else self.steps,
            "guidance_scale": self.guidance,
        }
        if self.scheduler:
            inputs["scheduler"] = self.scheduler
        if self.go_fast:
            inputs["go_fast"] = True
        return inputs


WORKLOADS = {
    workload.model: workload
    for workload in (
        Workload("sd21", 768, steps=50, least_steps=20, guidance=7.5, scheduler="DPMSolverMultistep"),
        Workload("sdxl", 1024, steps=30, least_steps=15, guidance=5.0),
        Workload("flux", 1024, steps=28, least_steps=14, guidance=3.5, half="bfloat16"),
        Workload("emoji", 192, steps=20, least_steps=8, guidance=4.0, folder=ROOT / "models" / "emoji"),
        Workload("emoji-fast", 192, steps=8, least_steps=4, guidance=1.0, folder=ROOT / "models" / "emoji-fast"),
    )
}

_LOOKS = ("a red", "a blue", "a small golden", "an old wooden", "a shiny green", "a pale pink")
_THINGS = ("apple", "rocket", "penguin", "butterfly", "robot", "guitar", "slice of pizza", "castle")
_PLACES = ("white background", "table", "hill in the evening", "beach", "map of the world")

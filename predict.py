"""What this server makes: pictures from text, with any text-to-image model of the Diffusers library.

Another model needs one change, here or in the environment: MODEL_ID, a folder or an id on the Hugging Face Hub.
"""

import asyncio
import os
import pathlib
import secrets
from contextlib import aclosing

from cog import BasePredictor, Input, Path, concurrent, current_scope

from server.diffusion import Engine, OutputFolders, TextToImage, data_url, save

MODEL_ID = os.environ.get("MODEL_ID") or str(pathlib.Path(__file__).parent / "models" / "emoji")
MODEL_REVISION = os.environ.get("MODEL_REVISION") or None
COMPILE = os.environ.get("COMPILE") or "background"
CACHE = pathlib.Path(os.environ.get("COMPILE_CACHE") or pathlib.Path.home() / ".cache" / "darkroom")


class Predictor(BasePredictor):
    def setup(self) -> None:
        """Load the model once, onto the GPU where there is one."""
        self.engine = Engine(MODEL_ID, MODEL_REVISION, compile=COMPILE, cache=CACHE)
        self.outputs = OutputFolders()
        # Adapters and other changes of self.engine.pipeline belong here, before the first picture.
        self.engine.warm_up()
        print(f"Ready: {self.engine}")

    @concurrent(max=16)
    async def predict(
        self,
        prompt: str = Input(
            description="What the picture should show, in English. Name the thing first, then how it looks and what is "
            'around it: "a red apple on a blue background".',
            max_length=10_000,
        ),
        negative_prompt: str | None = Input(
            description='What the picture should not show, as plain words: "text, frame". Leave it out unless '
            "something keeps turning up that you do not want. Some models cannot take one.",
            default=None,
            max_length=10_000,
        ),
        width: int | None = Input(
            description="Width in pixels. Left out, it is the size that the model was trained for, which looks best; "
            "stay within half and one and a half times of that. Most models need a multiple of 8, some of 16 or 32.",
            default=None,
            ge=64,
            le=2048,
        ),
        height: int | None = Input(description="Height in pixels; see width.", default=None, ge=64, le=2048),
        num_outputs: int = Input(
            description="How many pictures to make, each another take on the same prompt. The time grows with them.",
            default=1,
            ge=1,
            le=4,
        ),
        num_inference_steps: int | None = Input(
            description="In how many steps the picture is worked out of noise. More steps take longer and bring finer "
            "detail, up to a point: 20 to 50 suit most models, 1 to 8 those named turbo, lightning or schnell. Left "
            "out, it is the model's own number.",
            default=None,
            ge=1,
            le=500,
        ),
        guidance_scale: float | None = Input(
            description="How strictly to follow the prompt. Low values give freer, softer pictures, high ones harsh "
            "colours; 3 to 8 suit most models, 0 or 1 turns it off for models that need none. Left out, it is the "
            "model's own.",
            default=None,
            ge=0,
            le=50,
        ),
        scheduler: str | None = Input(
            description="The method that leads from noise to the picture. Left out, it is the model's own, mostly the "
            "best choice. K_EULER_ANCESTRAL gives more varied pictures; DPMSolverMultistep and UniPC are good in few "
            "steps. One that the model cannot use is refused with the names of those that it can.",
            default=None,
            choices=[
                "DDIM",
                "DPMSolverMultistep",
                "HeunDiscrete",
                "K_EULER",
                "K_EULER_ANCESTRAL",
                "KLMS",
                "KarrasDPM",
                "PNDM",
                "UniPC",
            ],
        ),
        seed: int | None = Input(
            description="The number that the noise is made from: the same seed with the same inputs makes the same "
            "picture again. Left out, it is drawn at random; the response's metrics tell it. With several pictures "
            "the second is that of seed + 1, and so on (0 comes after the greatest), so that each can be made alone.",
            default=None,
            ge=0,
            le=4294967295,
        ),
        output_format: str = Input(
            description="The kind of file: webp is smallest, jpg is known everywhere, png loses nothing.",
            default="webp",
            choices=["webp", "jpg", "png"],
        ),
        output_quality: int = Input(
            description="How much of the detail webp and jpg keep, from 0 (smallest file) to 100 (best); 80 to 95 is "
            "hard to tell from the original. png always keeps all and takes no notice of this.",
            default=90,
            ge=0,
            le=100,
        ),
        preview_interval: int = Input(
            description="After how many steps each there is a small preview of the picture, as the metric `preview`, "
            "for those who follow the prediction by its stream or ask for it meanwhile. 0 is none.",
            default=0,
            ge=0,
            le=500,
        ),
    ) -> list[Path]:
        """Make pictures of what the prompt says."""
        request = TextToImage(
            prompt=prompt,
            negative_prompt=negative_prompt,
            width=width,
            height=height,
            num_outputs=num_outputs,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            scheduler=scheduler,
            seed=secrets.randbits(32) if seed is None else seed,
        )
        scope = current_scope()
        scope.record_metric("seed", request.seed)
        pictures = self.engine.generate(
            request,
            on_progress=lambda done, total: scope.record_metric("progress", round(done / total, 4)),
            on_preview=lambda index, image: scope.record_metric("preview", {"index": index, "image": data_url(image)}),
            preview_interval=preview_interval,
        )
        paths: list[Path] = []
        with self.outputs.new() as folder:
            async with aclosing(pictures):
                async for picture in pictures:
                    path = folder / f"out-{len(paths)}.{output_format}"
                    await asyncio.to_thread(save, picture.image, path, output_quality)
                    paths.append(Path(path))
        if preview_interval:
            scope.metrics.delete("preview")
        return paths

"""What this server makes: pictures, with any model of the Diffusers library that makes them from text or from pictures.

Another model needs one change, here or in the environment: MODEL_ID, a folder or an id on the Hugging Face Hub. What a
model cannot honour of the inputs below is not offered to those who ask for it (`narrow_inputs`), and is refused.
"""

import asyncio
import os
import pathlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict

from cog import BasePredictor, Input, Path, concurrent, current_scope

from server.diffusion import Engine, LoraFiles, OutputFolders, PictureRequest, Warnings, data_url, save

MODEL_ID = os.environ.get("MODEL_ID") or str(pathlib.Path(__file__).parent / "models" / "emoji")
MODEL_REVISION = os.environ.get("MODEL_REVISION") or None
CONTROLNET_ID = os.environ.get("CONTROLNET_ID") or None
COMPILE = os.environ.get("COMPILE") or "background"
CACHE = pathlib.Path.home() / ".cache" / "darkroom"
QUANTIZE = os.environ.get("QUANTIZE") or "none"
COMPILE_CACHE = pathlib.Path(os.environ.get("COMPILE_CACHE") or CACHE)
LORA_CACHE = pathlib.Path(os.environ.get("LORA_CACHE") or CACHE / "loras")
STRICT = os.environ.get("STRICT") == "true"
REQUIRE_SAFETY_CHECKER = os.environ.get("REQUIRE_SAFETY_CHECKER") == "true"


class Predictor(BasePredictor):
    def setup(self) -> None:
        """Load the model once, onto the GPU where there is one."""
        self.engine = Engine(
            MODEL_ID,
            MODEL_REVISION,
            compile=COMPILE,
            quantize=QUANTIZE,
            cache=COMPILE_CACHE,
            controlnet=CONTROLNET_ID,
            lora_files=LoraFiles(LORA_CACHE),
            require_safety_checker=REQUIRE_SAFETY_CHECKER,
        )
        self.outputs = OutputFolders()
        # Adapters and other changes of self.engine.pipeline belong here, before the first picture.
        self.engine.warm_up()
        print(f"Ready: {self.engine}")

    def narrow_inputs(self) -> dict[str, dict[str, object] | str]:
        """Offer what the loaded model can honour, with its own defaults."""
        return self.engine.narrow_inputs()

    @concurrent(max=16)
    async def predict(
        self,
        prompt: str = Input(
            description="What the picture should show, in English. Name the thing first, then how it looks and what is "
            'around it: "a red apple on a blue background". For a model that edits pictures, what is to change.',
            max_length=100_000,
        ),
        negative_prompt: str | None = Input(
            description='What the picture should not show, as plain words: "text, frame". Leave it out unless '
            "something keeps turning up that you do not want.",
            default=None,
            max_length=10_000,
        ),
        image: Path | None = Input(
            description="A picture to begin with, or to edit: JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP or TIFF. Its "
            "shape is kept. Where it is transparent and there is no mask, that part is painted anew.",
            default=None,
        ),
        mask: Path | None = Input(
            description="Which part of image to paint anew: a picture that is white there and black where all stays. "
            "Draw it a little larger than what is to go. The prompt describes the whole picture.",
            default=None,
        ),
        prompt_strength: float | None = Input(
            description="How much of image may change: 0 leaves it as it is, 1 keeps next to nothing. 0.5 to 0.8 keeps "
            "the composition and changes the style; with a mask 0.8 to 1 is best. Left out, it is the model's own.",
            default=None,
            ge=0,
            le=1,
        ),
        keep_unmasked: bool = Input(
            description="Whether what the mask leaves black comes back exactly as it was sent. Turned off, it may "
            "change a little, and a hard edge may be softer.",
            default=True,
        ),
        reference_images: list[Path] = Input(
            description="Further pictures to edit from, for models that take several: name them in the prompt as the "
            "first, the second and so on, image being the first.",
            default=[],
        ),
        controlnet_image: Path | None = Input(
            description="The picture that the loaded ControlNet follows: lines, depth or a pose.",
            default=None,
        ),
        controlnet_conditioning_scale: float | None = Input(
            description="How strictly to follow controlnet_image. 0.5 to 1 suits most; more looks stiff.",
            default=None,
            ge=0,
            le=4,
        ),
        controlnet_start: float | None = Input(
            description="From which part of the steps on to follow controlnet_image: 0 is the first.",
            default=None,
            ge=0,
            le=1,
        ),
        controlnet_end: float | None = Input(
            description="Until which part of the steps to follow it: 1 is the last. Less leaves detail to the model.",
            default=None,
            ge=0,
            le=1,
        ),
        aspect_ratio: str | None = Input(
            description="The shape of the picture, width to height. Left out, it is that of image, or the model's own. "
            "custom takes width and height as they are.",
            default=None,
            choices=[
                "1:1",
                "16:9",
                "21:9",
                "3:2",
                "2:3",
                "4:5",
                "5:4",
                "3:4",
                "4:3",
                "9:16",
                "9:21",
                "match_input_image",
                "custom",
            ],
        ),
        megapixels: float | None = Input(
            description="How large the picture is: 1 is 1024x1024. Left out, it is the size that the model was trained "
            "for, which looks best; much more than that repeats things.",
            default=None,
            ge=0.01,
            le=4,
        ),
        width: int | None = Input(
            description="Width in pixels, in place of aspect_ratio and megapixels; it is rounded to what the model "
            "can make. Stay within half and one and a half times of its own.",
            default=None,
            ge=64,
            le=2048,
        ),
        height: int | None = Input(description="Height in pixels; see width.", default=None, ge=64, le=2048),
        resize_mode: str | None = Input(
            description="What becomes of an image of another shape than asked for: cover cuts off its edges, fit keeps "
            "all of it and fills up the rest, stretch squeezes it. Left out, it is cover.",
            default=None,
            choices=["cover", "fit", "stretch"],
        ),
        num_outputs: int = Input(
            description="How many pictures to make, each another take on the same prompt. The time grows with them.",
            default=1,
            ge=1,
            le=200,
        ),
        prompt_delimiter: str | None = Input(
            description="Makes several prompts of one text: what stands between two of them, such as | or \\n for a "
            "new line. Left out, all of it is one prompt. A request may ask for 200 pictures in all.",
            default=None,
            max_length=20,
        ),
        num_inference_steps: int | None = Input(
            description="In how many steps the picture is worked out of noise. More steps take longer and bring finer "
            "detail, up to a point: 20 to 50 suit most models, 1 to 8 those named turbo, lightning or schnell.",
            default=None,
            ge=1,
            le=500,
        ),
        guidance_scale: float | None = Input(
            description="How strictly to follow the prompt. Low values give freer, softer pictures, high ones harsh "
            "colours; 3 to 8 suit most models, 0 or 1 turns it off for models that need none.",
            default=None,
            ge=0,
            le=50,
        ),
        scheduler: str | None = Input(
            description="The method that leads from noise to the picture. Left out, it is the model's own, mostly the "
            "best choice. K_EULER_ANCESTRAL gives more varied pictures; DPMSolverMultistep, KarrasDPM and UniPC are "
            "good in few steps.",
            default=None,
            choices=[
                "DDIM",
                "DPMSolverMultistep",
                "ExponentialDPM",
                "HeunDiscrete",
                "K_EULER",
                "K_EULER_ANCESTRAL",
                "K_EULER_BETA",
                "K_EULER_EXPONENTIAL",
                "K_EULER_KARRAS",
                "KLMS",
                "KarrasDPM",
                "LCM",
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
        lora_weights: str | None = Input(
            description="A LoRA, which adds a style or a thing to the model: owner/name or owner/name/file.safetensors "
            "on the Hugging Face Hub, a page of CivitAI, or the URL of a .safetensors file. Use the words in the "
            "prompt that its author names.",
            default=None,
            max_length=100_000_000,
        ),
        lora_scale: float = Input(
            description="How strongly the LoRA works: 0 is not at all, 1 as it was trained. 0.6 to 1 suits most.",
            default=1.0,
            ge=-4,
            le=4,
        ),
        extra_lora: str | None = Input(
            description="A second LoRA beside the first; lower both scales where the picture gets harsh.",
            default=None,
            max_length=100_000_000,
        ),
        extra_lora_scale: float = Input(description="How strongly the second LoRA works.", default=1.0, ge=-4, le=4),
        output_format: str = Input(
            description="The kind of file: webp is small, avif smallest, jpg is known everywhere, png loses nothing.",
            default="webp",
            choices=["webp", "jpg", "png", "avif"],
        ),
        output_quality: int = Input(
            description="How much of the detail webp, jpg and avif keep, from 0 (smallest file) to 100 (best); 80 to "
            "95 is hard to tell from the original. png always keeps all.",
            default=90,
            ge=0,
            le=100,
        ),
        embed_metadata: bool = Input(
            description="Whether the file tells how it was made: prompt, seed and all else that makes it again. "
            "Turned off, nothing of it is in the file.",
            default=True,
        ),
        go_fast: bool = Input(
            description="Whether to save time where two steps hardly differ, by doing most of the second from what the "
            "first has left. The picture comes out a little different; metrics.go_fast tells how much was saved.",
            default=False,
        ),
        disable_safety_checker: bool = Input(
            description="Whether to show pictures that the model's own safety checker would black out.", default=False
        ),
        preview_interval: int = Input(
            description="After how many steps each there is a small preview of the picture, as the metric `preview`, "
            "for those who follow the prediction by its stream or ask for it meanwhile. 0 is none.",
            default=0,
            ge=0,
            le=500,
        ),
        strict: bool = Input(
            description="Whether to refuse what would otherwise be done with a warning in metrics.warnings: a rounded "
            "size, a prompt cut short, an input without effect.",
            default=False,
        ),
    ) -> AsyncIterator[Path]:
        """Make pictures of what the prompt says."""
        inputs = {name: value for name, value in locals().items() if name != "self"}
        scope, warnings = current_scope(), Warnings(strict or STRICT)
        request = PictureRequest.from_inputs(inputs, warnings, tell=embed_metadata)
        scope.record_metric("seed", request.seed)
        pictures = self.engine.generate(
            request,
            warnings=warnings,
            on_progress=lambda done, total: scope.record_metric("progress", round(done / total, 4)),
            on_preview=lambda index, image: scope.record_metric("preview", {"index": index, "image": data_url(image)}),
            preview_interval=preview_interval,
        )
        try:
            with self.outputs.new() as folder:
                async with aclosing(pictures):
                    count = 0
                    async for picture in pictures:
                        path = folder / f"out-{count}.{output_format}"
                        await asyncio.to_thread(save, picture.image, path, output_quality, picture.metadata, warnings)
                        for name, value in asdict(picture.reuse).items() if picture.reuse else ():
                            scope.record_metric(f"go_fast.{name}", value, "increment")
                        yield Path(path)
                        count += 1
        finally:
            if warnings.to_list():
                scope.record_metric("warnings", warnings.to_list())
        if preview_interval:
            scope.metrics.delete("preview")

"""Makes pictures; one of 72 pixels in width finds a device that has failed for good."""

import os

from cog import BasePredictor, concurrent

from server.diffusion import Engine, PictureRequest


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.engine = Engine(os.environ["MODEL_ID"])
        self.engine.pipeline.unet.conv_in.register_forward_pre_hook(_lose)

    @concurrent(max=4)
    async def predict(self, width: int, steps: int) -> str:
        request = PictureRequest(prompt="a red apple", seed=7, width=width, height=64, num_inference_steps=steps)
        sizes = [str(picture.image.size) async for picture in self.engine.generate(request)]
        return sizes[0]


def _lose(module, given):
    if given[0].shape[-1] == 72 // 8:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

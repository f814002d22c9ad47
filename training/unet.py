"""Trains the UNet and the text encoder together: captions to latents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from training.budget import Budget, learning_rate
from training.device import mixed_precision, move, record, report
from training.latents import write_whole
from training.networks import Sizes, make_scheduler, make_text_encoder, make_unet
from training.tokenizer import draw_captions, empty_caption

_RATE = 8e-4
_WARM_UP = 300
_WITHOUT_CAPTION = 0.1
_MAX_SIGNAL_TO_NOISE = 5.0
_AVERAGED_EVERY = 4
_AVERAGE_DECAY = 0.9995**_AVERAGED_EVERY


@dataclass
class Denoiser:
    """The two networks that training changes, or their running average."""

    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel

    def parameters(self) -> list[nn.Parameter]:
        return [*self.unet.parameters(), *self.text_encoder.parameters()]

    def to(self, device: torch.device) -> Denoiser:
        move(self.unet, device)
        move(self.text_encoder, device)
        return self


def make_denoiser(sizes: Sizes, tokenizer: CLIPTokenizer) -> Denoiser:
    return Denoiser(make_unet(sizes), make_text_encoder(sizes, tokenizer))


class Objective:
    """What the UNet is trained on: v-prediction with the weight of its noise level.

    An error of the noise-free picture weighs min(SNR + 1, 6): as one of v does (Salimans and Ho, "Progressive
    Distillation for Fast Sampling of Diffusion Models", 2022), but with a bound for pictures almost without noise (Hang
    et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy", 2023).
    """

    def __init__(self, device: torch.device) -> None:
        self._signal = make_scheduler().alphas_cumprod.to(device)

    def draw_timesteps(self, count: int) -> Tensor:
        """A little more of the early ones, where the fine detail is decided."""
        return (1000 * torch.rand(count, device=self._signal.device) ** 1.1).long().clamp(0, 999)

    def loss(self, predict: Callable[[Tensor, Tensor], Tensor], latents: Tensor, timesteps: Tensor) -> Tensor:
        """The weighted mean squared error of `predict(noisy, timesteps)`."""
        signal = self._signal[timesteps][:, None, None, None]
        noise = torch.randn_like(latents)
        noisy = signal.sqrt() * latents + (1 - signal).sqrt() * noise
        velocity = signal.sqrt() * noise - (1 - signal).sqrt() * latents
        with mixed_precision(latents.device):
            made = predict(noisy.contiguous(memory_format=torch.channels_last), timesteps)
        # SNR + 1 is 1 / (1 - signal); v's squared error is the picture's times SNR + 1.
        weight = ((_MAX_SIGNAL_TO_NOISE + 1) * (1 - signal)).clamp(max=1.0)
        return (weight * (made.float() - velocity).square()).mean()


class UNetTraining:
    """A training run that can be saved and resumed; call `train`.

    The captions' tokens are those of the recipes, (recipes, captions, tokens); the latents may be filled in later, in
    place: compiling needs only their shape.
    """

    def __init__(
        self, denoiser: Denoiser, latents: Tensor, tokens: Tensor, tokenizer: CLIPTokenizer, batch: int, seed: int
    ) -> None:
        self.device = latents.device
        self.denoiser = denoiser.to(self.device)
        self.step_count = 0
        self.spent = 0.0
        self._latents, self._tokens, self._batch, self._seed = latents, tokens, batch, seed
        self._tokenizer = tokenizer
        self._empty = empty_caption(tokenizer).to(self.device)
        self._objective = Objective(self.device)
        self._parameters = denoiser.parameters()
        self._average = [parameter.detach().clone() for parameter in self._parameters]
        self._rate = torch.zeros((), device=self.device)
        self._loss = torch.zeros((), device=self.device)
        self._optimizer = torch.optim.AdamW(
            self._parameters,
            lr=self._rate,
            betas=(0.9, 0.99),
            weight_decay=0.01,
            fused=self.device.type == "cuda",
            capturable=self.device.type == "cuda",
        )
        self._unet: Callable[..., tuple[Tensor]] = denoiser.unet
        self._advance: Callable[[], None] = self._step

    def compile(self) -> None:
        """Compile the UNet and record a whole step as a CUDA graph, so that no time goes into launching kernels."""
        self._unet = torch.compile(self.denoiser.unet)
        self._advance = record(self._step, self._state)
        self._loss.zero_()

    def train(self, budget: Budget) -> bool:
        """Train until the budget is spent (True) or this run's time is up (False)."""
        if self.step_count == 0:
            torch.manual_seed(self._seed)
        budget.begin(self.spent)
        reported = self.step_count
        while (progress := budget.progress(self.step_count)) < 1 and not budget.interrupted():
            self._rate.fill_(_RATE * learning_rate(self.step_count, progress, _WARM_UP))
            self._advance()
            self.step_count += 1
            if self.step_count % _AVERAGED_EVERY == 0:
                # Less at first, or the average would long hold the untrained weights.
                decay = min(_AVERAGE_DECAY, (1 + self.step_count) / (40 + self.step_count))
                with torch.no_grad():
                    torch._foreach_lerp_(self._average, [p.detach() for p in self._parameters], 1 - decay)
            if self.step_count % 100 == 0 and self.device.type == "cuda":
                torch.cuda.synchronize()  # or the host runs ahead, and the clock with it
            if self.step_count % 1000 == 0:
                loss, speed = float(self._loss) / (self.step_count - reported), self.step_count / budget.elapsed
                report(f"UNet step {self.step_count}, loss {loss:.4f}, {speed:.1f} steps a second")
                self._loss.zero_()
                reported = self.step_count
        self.spent = budget.elapsed
        return progress >= 1

    def averaged(self) -> Denoiser:
        """The networks with the running average of their weights: what is kept in the end."""
        with torch.no_grad():
            for parameter, average in zip(self._parameters, self._average, strict=True):
                parameter.copy_(average)
        return self.denoiser

    def save(self, file: Path) -> None:
        """Write all that `load` needs to go on as if nothing had happened."""
        self._make_optimizer_state()
        random = torch.cuda.get_rng_state() if self.device.type == "cuda" else torch.get_rng_state()
        state = {
            "step": self.step_count,
            "spent": self.spent,
            "random": random,
            "tensors": [tensor.detach().cpu() for tensor in self._state()],
        }
        write_whole(state, file)

    def load(self, file: Path) -> None:
        """Go on from where `save` was called."""
        state = torch.load(file, weights_only=True)
        self.step_count, self.spent = state["step"], state["spent"]
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["random"])
        else:
            torch.set_rng_state(state["random"])
        self._make_optimizer_state()
        with torch.no_grad():
            for tensor, saved in zip(self._state(), state["tensors"], strict=True):
                tensor.copy_(saved)

    def _step(self) -> None:
        """One step, without a word from the host: it is recorded once and replayed."""
        self._optimizer.zero_grad(set_to_none=True)
        recipes = torch.randint(len(self._latents), (self._batch,), device=self.device)
        captions = draw_captions(self._tokens, recipes, self._tokenizer)
        without = torch.rand(self._batch, 1, device=self.device) < _WITHOUT_CAPTION
        tokens = torch.where(without, self._empty, captions)

        def predict(noisy: Tensor, timesteps: Tensor) -> Tensor:
            words = self.denoiser.text_encoder(tokens)[0]
            return self._unet(noisy, timesteps, words, return_dict=False)[0]

        latents, timesteps = self._latents[recipes].float(), self._objective.draw_timesteps(self._batch)
        loss = self._objective.loss(predict, latents, timesteps)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, 1.0, foreach=True)
        self._optimizer.step()
        self._loss += loss.detach()

    def _state(self) -> Iterator[Tensor]:
        """Every tensor that a step changes, always in the same order, those of the optimizer last."""
        yield from self._parameters
        yield from self._average
        for parameter in self._parameters:
            yield from (value for _, value in sorted(self._optimizer.state[parameter].items()))

    def _make_optimizer_state(self) -> None:
        """Adam makes its state at its first step; before that, make it of zeros, by a step that changes nothing."""
        if not self._optimizer.state[self._parameters[0]]:
            for parameter in self._parameters:
                parameter.grad = torch.zeros_like(parameter)
            self._rate.zero_()
            self._optimizer.step()
            for state in self._optimizer.state.values():
                for value in state.values():
                    value.zero_()

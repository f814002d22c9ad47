"""A classifier that names the concept of a picture: the score of the pipeline, which its training never uses."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, interpolate

from training.budget import Budget, learning_rate
from training.device import mixed_precision, move, report
from training.pack import Pack
from training.painting import Painter
from training.vocabulary import plain

PICTURE_SIZE = 96
"""Width and height of the pictures that it looks at, in pixels; others are scaled."""
_RECIPES = 200_000
_RATE = 2e-3


class Judge(nn.Module):
    """RGB of -1 to 1, (n, 3, h, w), to a score for each concept, (n, concepts); `labels` are their plain names."""

    def __init__(self, labels: Sequence[str], width: int = 40) -> None:
        super().__init__()
        self.labels = tuple(labels)
        channels = [3, width, 2 * width, 4 * width, 6 * width, 8 * width]
        stages: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(channels):
            stages += _convolution(inputs, outputs, stride=2), _convolution(outputs, outputs, stride=1)
        self.features = nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.concepts = nn.Linear(channels[-1], len(labels))

    def forward(self, pictures: Tensor) -> Tensor:
        scaled = interpolate(pictures, size=(PICTURE_SIZE, PICTURE_SIZE), mode="area")
        scores: Tensor = self.concepts(self.features(scaled))
        return scores


def train_judge(pack: Pack, budget: Budget, batch: int, seed: int, device: torch.device, compiled: bool) -> Judge:
    """Train on the pack's pictures: turned, moved, recoloured, blurred and noisy, on backgrounds of any colour.

    Nothing of this is shared with the painting that the pipeline learns from, but the pictures themselves.
    """
    torch.manual_seed(seed)
    recipes = _recipes(len(pack.items), _RECIPES, np.random.default_rng(seed))
    painter = Painter(pack.pictures(PICTURE_SIZE), recipes, device)
    items = torch.from_numpy(recipes["item"][:, 0].astype(np.int64)).to(device)
    concept_of = torch.tensor([item.concept for item in pack.items], device=device)
    judge = Judge([plain(concept.label) for concept in pack.concepts])
    move(judge, device)
    scores_of: Callable[[Tensor], Tensor] = torch.compile(judge) if compiled else judge
    optimizer = torch.optim.AdamW(judge.parameters(), weight_decay=0.02, fused=device.type == "cuda")
    step = 0
    budget.begin()
    while (progress := budget.progress(step)) < 1:
        optimizer.param_groups[0]["lr"] = _RATE * learning_rate(step, progress, warm_up=300)
        numbers = torch.randint(painter.count, (batch,), device=device)
        pictures = _disturbed(painter.paint(numbers)).contiguous(memory_format=torch.channels_last)
        with mixed_precision(device):
            loss = cross_entropy(scores_of(pictures).float(), concept_of[items[numbers]], label_smoothing=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        step += 1
        if step % 500 == 0:
            report(f"Judge step {step}, loss {loss:.4f}")
    judge.eval()
    report(f"Judge after {step} steps: {_accuracy(judge, painter, concept_of[items]):.1%} of disturbed pictures named")
    return judge


def write_judge(judge: Judge, file: Path) -> None:
    """In float16, with the labels beside the weights, so that a score needs no pack."""
    weights = {name: tensor.contiguous().cpu() for name, tensor in judge.state_dict().items()}
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    save_file(halved, file, {"labels": json.dumps(judge.labels)})


def read_judge(file: Path) -> Judge:
    """Read what `write_judge` wrote, into float32."""
    with safe_open(file, "pt") as opened:
        judge = Judge(json.loads(opened.metadata()["labels"]))
    judge.load_state_dict(load_file(file))
    return judge.eval()


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _recipes(items: int, count: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """One thing each, of any size and hue, anywhere, on any colour."""
    nothing = np.full(count, -1)
    place = np.stack([random.uniform(0.7, 1.15, count), *random.uniform(-0.12, 0.12, (2, count))], -1)
    hue = np.where(random.random(count) < 0.3, random.random(count), 0.0)
    paint = np.stack([hue, random.uniform(0.6, 1.2, count)], -1)
    plain = random.uniform(0, 255, (count, 1, 3)).repeat(2, 1)
    plain[random.random(count) < 0.4] = 255
    return {
        "item": np.stack([random.integers(items, size=count), nothing], -1).astype(np.int32),
        "place": np.stack([place, place], 1).astype(np.float32),
        "paint": np.stack([paint, paint], 1).astype(np.float32),
        "tiles": np.ones(count, np.int64),
        "background": plain.astype(np.float32),
        "tokens": np.zeros((count, 1, 1), np.int16),
    }


def _disturbed(pictures: Tensor) -> Tensor:
    """Turned by up to 15 degrees, blurred by up to a third of the size, noisy."""
    count, device = len(pictures), pictures.device
    angle = torch.empty(count, device=device).uniform_(-math.pi / 12, math.pi / 12)
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    turn = torch.stack([torch.stack([cosine, -sine, zero], -1), torch.stack([sine, cosine, zero], -1)], 1)
    grid = affine_grid(turn, list(pictures.shape), align_corners=False)
    turned = grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    small = interpolate(turned, scale_factor=1 / 3, mode="area")
    blurred = interpolate(small, size=turned.shape[-2:], mode="bilinear", align_corners=False)
    mixed = torch.lerp(turned, blurred, torch.rand(count, 1, 1, 1, device=device) ** 2)
    return mixed + torch.randn_like(mixed) * torch.rand(count, 1, 1, 1, device=device) * 0.15


@torch.no_grad()
def _accuracy(judge: Judge, painter: Painter, concepts: Tensor, count: int = 4096) -> float:
    right = 0
    numbers = torch.randperm(painter.count, device=painter.device)[:count]
    for part in torch.split(numbers, 256):
        right += int((judge(_disturbed(painter.paint(part))).argmax(1) == concepts[part]).sum())
    return right / len(numbers)

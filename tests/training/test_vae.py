from __future__ import annotations

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from tests.training.conftest import SIZES
from training.budget import Budget
from training.decoder import sharpen_decoder
from training.latents import encode_recipes
from training.painting import Painter
from training.vae import crops, encode, peak_signal_to_noise, reconstruction_loss, train_vae


@pytest.fixture(scope="module")
def vae(painter: Painter) -> AutoencoderKL:
    return train_vae(painter, SIZES, Budget(0, steps=25), batch=8, seed=0, compiled=False)


def test_latents_have_mean_zero_and_deviation_one(vae: AutoencoderKL, painter: Painter) -> None:
    mean, _ = encode(vae, painter.paint(torch.arange(painter.count)))
    assert mean.shape == (painter.count, 4, 8, 8)
    assert mean.mean((0, 2, 3)).tolist() == pytest.approx([0] * 4, abs=0.1)
    assert mean.std((0, 2, 3)).tolist() == pytest.approx([1] * 4, abs=0.1)
    assert vae.config["scaling_factor"] == 1


def test_encodes_every_recipe_and_the_same_for_a_seed(vae: AutoencoderKL, painter: Painter) -> None:
    latents = encode_recipes(vae, painter, seed=1, batch=16)
    assert (latents.shape, latents.dtype) == ((painter.count, 4, 8, 8), torch.float16)
    assert torch.equal(latents, encode_recipes(vae, painter, seed=1, batch=16))
    assert not torch.equal(latents, encode_recipes(vae, painter, seed=2, batch=16))
    mean, log_variance = encode(vae, painter.paint(torch.arange(painter.count)))
    off = (latents.float() - mean) / torch.exp(0.5 * log_variance)
    assert float(off.detach().std()) == pytest.approx(1, abs=0.05)


def test_crops_are_of_one_size(painter: Painter) -> None:
    torch.manual_seed(0)
    pieces = crops(painter, 5)
    assert pieces.shape == (5, 3, 64, 64)
    assert float(pieces.abs().max()) <= 1


def test_loss_is_none_for_the_same_picture_and_more_for_a_false_edge() -> None:
    torch.manual_seed(0)
    true = torch.rand(1, 3, 16, 16)
    assert float(reconstruction_loss(true, true)) == 0
    # Off by 0.1 everywhere: absolute 0.1, areas half of it, squared half of 0.01, no edges.
    assert float(reconstruction_loss(true + 0.1, true)) == pytest.approx(0.1 + 0.05 + 0.005, abs=1e-4)
    stripes = true.clone()
    stripes[..., ::2] += 0.2
    assert float(reconstruction_loss(stripes, true)) > float(reconstruction_loss(true + 0.1, true))


def test_signal_to_noise_of_a_known_error(
    painter: Painter, vae: AutoencoderKL, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Decoded:
        sample = painter.paint(torch.arange(4)) * 0.9

    monkeypatch.setattr(vae, "decode", lambda _: Decoded)
    error = (0.1 * painter.paint(torch.arange(4)) / 2).square().mean((1, 2, 3))
    expected = float((-10 * error.log10()).mean())
    assert peak_signal_to_noise(vae, painter, count=4) == pytest.approx(expected, abs=1e-3)


def test_sharpening_changes_the_decoder_alone(vae: AutoencoderKL, painter: Painter) -> None:
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    sharp = sharpen_decoder(vae, painter, Budget(0, steps=3), batch=2, seed=0, compiled=False)
    changed = {name.split(".")[0] for name, value in sharp.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"decoder", "post_quant_conv"}

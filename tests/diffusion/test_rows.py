"""Calls of models seen as rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from transformers import DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPooling

from server.diffusion.interning import Interned
from server.diffusion.rows import NotRows, Rows, buffers, join, possible_counts, see_rows, split


@pytest.fixture
def interned() -> Interned:
    return Interned()


def rows(interned: Interned, layers: Any = None, **arguments: Any) -> Rows:
    seen = see_rows(arguments, interned, layers)
    assert seen is not None
    return seen


def unet_call(count: int, value: float, **more: Any) -> dict[str, Any]:
    return {
        "sample": torch.full((count, 4, 2, 2), value),
        "timestep": torch.tensor(int(value)),
        "encoder_hidden_states": torch.full((count, 3, 8), value),
        **more,
    }


def test_a_pass_has_the_rows_of_its_calls_in_order(interned: Interned) -> None:
    calls = [rows(interned, **unet_call(count, value)) for count, value in ((2, 7), (1, 30), (3, 999))]
    assert len({call.key for call in calls}) == 1
    joined = join(calls)
    values = torch.tensor([7.0, 7, 30, 999, 999, 999])
    assert list(joined) == ["sample", "timestep", "encoder_hidden_states"]
    assert torch.equal(joined["sample"], values.view(-1, 1, 1, 1).expand(6, 4, 2, 2))
    assert torch.equal(joined["timestep"], values)
    assert torch.equal(joined["encoder_hidden_states"][:, 0, 0], values)
    results = split(DecoderOutput(sample=joined["sample"] * 2), [2, 1, 3])
    assert [result.sample[:, 0, 0, 0].tolist() for result in results] == [[14, 14], [60], [1998, 1998, 1998]]


@pytest.mark.parametrize(
    "timestep",
    [5, 5.0, torch.tensor(5), torch.tensor(5.0), torch.tensor([5]), torch.tensor([5, 5]), torch.tensor(5).short()],
    ids=str,
)
def test_timesteps_meet_however_a_scheduler_counts(timestep: Any, interned: Interned) -> None:
    call = rows(interned, **unet_call(2, 0) | {"timestep": timestep})
    other = rows(interned, **unet_call(1, 8))
    assert call.key == other.key
    assert join([call, other])["timestep"].tolist() == [5, 5, 8]


@pytest.mark.parametrize(
    "change",
    [
        {"sample": torch.zeros(2, 4, 2, 4)},
        {"encoder_hidden_states": torch.zeros(2, 4, 8)},
        {"encoder_hidden_states": torch.zeros(2, 3, 8, dtype=torch.float64)},
        {"encoder_attention_mask": torch.ones(2, 3)},
        {"return_dict": False},
        {"guess_mode": 1},
        {"guess_mode": 1.0},
        {"cross_attention_kwargs": {"scale": 0.5}},
        {"added_cond_kwargs": {"time_ids": torch.zeros(2, 6)}},
        {"unknown": object()},
    ],
    ids=lambda given: " ".join(given),
)
def test_what_computes_something_else_does_not_meet(change: dict[str, Any], interned: Interned) -> None:
    call, other = rows(interned, **unet_call(2, 0)), rows(interned, **unet_call(2, 0) | change)
    assert call.key != other.key
    assert other.key != rows(interned, **unet_call(2, 0) | {"guess_mode": True}).key


def test_calls_through_other_layers_do_not_meet(interned: Interned) -> None:
    assert rows(interned, (), **unet_call(1, 0)).key != rows(interned, ("lora",), **unet_call(1, 0)).key


def test_nested_arguments_are_joined_row_by_row(interned: Interned) -> None:
    def call(count: int, value: float) -> Rows:
        residuals = [torch.full((count, 4), value), torch.full((count, 2, 2), value)]
        added = {"text_embeds": torch.full((count, 8), value), "time_ids": torch.full((count, 6), value)}
        return rows(
            interned,
            **unet_call(count, value),
            added_cond_kwargs=added,
            down_block_additional_residuals=residuals,
            mid_block_additional_residual=residuals[1],
        )

    # Two rows and two residuals: the list is one of batches all the same.
    joined = join([call(2, 1), call(2, 5)])
    assert joined["added_cond_kwargs"]["time_ids"][:, 0].tolist() == [1, 1, 5, 5]
    assert [residual.shape for residual in joined["down_block_additional_residuals"]] == [(4, 4), (4, 2, 2)]
    assert joined["mid_block_additional_residual"][:, 0, 0].tolist() == [1, 1, 5, 5]


def test_a_row_for_all_becomes_one_for_each(interned: Interned) -> None:
    call = rows(interned, **unet_call(2, 1), guidance=torch.tensor([3.5]), mask=torch.ones(1, 3))
    other = rows(interned, **unet_call(1, 1), guidance=torch.tensor([7.0]), mask=torch.zeros(1, 3))
    joined = join([call, other])
    assert joined["guidance"].tolist() == [3.5, 3.5, 7]
    assert joined["mask"].tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0]]


def test_positions_have_to_be_equal_and_are_not_joined(interned: Interned) -> None:
    def call(positions: torch.Tensor) -> Rows:
        return rows(interned, hidden_states=torch.zeros(2, 4, 8), img_ids=positions)

    one, same, other = call(torch.zeros(4, 3)), call(torch.zeros(4, 3)), call(torch.ones(4, 3))
    assert one.key == same.key != other.key
    assert join([one, same])["img_ids"].shape == (4, 3)
    # As many positions as rows are positions all the same.
    square = rows(interned, hidden_states=torch.zeros(4, 4, 8), img_ids=torch.zeros(4, 3))
    assert join([square, square])["img_ids"].shape == (4, 3)


def test_lists_of_rows_are_joined_whatever_their_lengths(interned: Interned) -> None:
    """As Z-Image takes them: a picture each, and captions of any length."""

    def call(*captions: int) -> Rows:
        pictures = [torch.full((16, 1, 2, 2), float(length)) for length in captions]
        return rows(
            interned,
            x=pictures,
            t=torch.arange(len(captions)),
            cap_feats=[torch.full((length, 8), float(length)) for length in captions],
        )

    calls = [call(3, 5), call(9)]
    assert calls[0].key == calls[1].key
    joined = join(calls)
    assert [len(caption) for caption in joined["cap_feats"]] == [3, 5, 9]
    assert [picture[0, 0, 0, 0].item() for picture in joined["x"]] == [3, 5, 9]
    assert joined["t"].tolist() == [0, 1, 0]
    other = rows(interned, x=[torch.zeros(16, 1, 4, 2)], t=torch.zeros(1), cap_feats=[torch.zeros(9, 8)])
    assert other.key != calls[0].key


def test_lists_of_plain_values_are_repeated_for_each_row(interned: Interned) -> None:
    """As Qwen-Image takes its shapes."""

    def call(count: int, side: int) -> Rows:
        shapes = [[(1, side, side)]] * count
        return rows(interned, hidden_states=torch.zeros(count, 4, 8), img_shapes=shapes)

    assert call(1, 4).key == call(2, 4).key != call(2, 8).key
    assert join([call(1, 4), call(2, 4)])["img_shapes"] == [[(1, 4, 4)]] * 3


@pytest.mark.parametrize("first", [None, "text", 3, torch.tensor(3), [], ["text"]], ids=str)
def test_what_does_not_begin_with_a_batch_is_made_alone(first: Any, interned: Interned) -> None:
    assert see_rows({"first": first, "second": torch.zeros(2)}, interned) is None
    assert see_rows({}, interned) is None


def test_what_is_known_by_its_identity_alone_does_not_last(interned: Interned) -> None:
    generator = torch.Generator()
    call = rows(interned, x=torch.zeros(1, 3), generator=generator)
    assert not call.lasting
    assert call.key == rows(interned, x=torch.zeros(1, 3), generator=generator).key
    assert call.key != rows(interned, x=torch.zeros(1, 3), generator=torch.Generator()).key
    assert rows(interned, x=torch.zeros(1, 3), img_ids=torch.zeros(3)).lasting


def test_what_counts_the_rows_of_its_call_is_not_joined(interned: Interned) -> None:
    """OmniGen is told by the number of the row where its pictures go; joined, those of the second would go nowhere."""

    def call(sizes: dict[int, list[list[int]]]) -> Rows:
        pictures = [torch.zeros(1, 4, 8, 8) for _ in sizes]
        return rows(interned, hidden_states=torch.zeros(3, 4, 8, 8), latents=pictures, sizes=sizes)

    one, other = call({0: [[1, 5]], 1: [[1, 5]]}), call({0: [[1, 5]], 1: [[1, 5]]})
    assert one.key != other.key
    assert call({}).key == call({}).key


def test_outputs_of_every_kind_are_split() -> None:
    values = torch.arange(3.0).view(3, 1).expand(3, 8)
    encoded = AutoencoderKLOutput(latent_dist=DiagonalGaussianDistribution(values))
    parts = split(encoded, [1, 2])
    assert [type(part) for part in parts] == [AutoencoderKLOutput] * 2
    assert torch.equal(parts[1].latent_dist.mean, encoded.latent_dist.mean[1:])
    texts = BaseModelOutputWithPooling(last_hidden_state=values, pooler_output=values, hidden_states=(values, values))
    second: Any = split(texts, [1, 2])[1]
    assert torch.equal(second.pooler_output, values[1:])
    assert [len(state) for state in second.hidden_states] == [2, 2]
    assert second.attentions is None
    assert type(second) is BaseModelOutputWithPooling
    assert split({"a": (values, None)}, [1, 2])[0]["a"][1] is None


def test_residuals_are_batches_however_many_there_are() -> None:
    """A ControlNet returns a list of them, in passes of fewer, of as many and, padded, of more rows."""
    for used, made in ((3, 3), (12, 12), (2, 2), (3, 4), (9, 12)):
        residuals = [torch.arange(made).view(-1, 1) + 100 * layer for layer in range(12)]
        expected = [torch.tensor([[0]]), torch.arange(1, used).view(-1, 1)]
        for (layers, middle), numbers in zip(
            split((residuals, residuals[0]), [1, used - 1], made), expected, strict=True
        ):
            assert torch.equal(middle, numbers)
            assert len(layers) == 12
            assert all(torch.equal(part, numbers + 100 * layer) for layer, part in enumerate(layers))


def test_pictures_in_a_list_are_rows_even_if_they_are_as_many_as_their_channels() -> None:
    pictures = [torch.full((16, 1, 2, 2), float(index)) for index in range(16)]
    first, second = split((pictures,), [4, 12], lists=True)
    assert [picture[0, 0, 0, 0].item() for picture in first[0]] == list(range(4))
    assert [picture.shape for picture in second[0]] == [(16, 1, 2, 2)] * 12


@pytest.mark.parametrize(
    "result", [torch.zeros(4, 2), torch.tensor(1.0), object(), DynamicCache()], ids=lambda result: type(result).__name__
)
def test_what_has_not_a_row_for_each_is_refused(result: Any) -> None:
    with pytest.raises(NotRows, match=type(result).__name__):
        split((result,), [1, 2])


def test_buffers_are_as_the_example_is() -> None:
    example = rows(
        Interned(), sample=torch.randn(2, 4, 3, 3).to(memory_format=torch.channels_last), timestep=torch.tensor([5, 6])
    )
    sample, timestep = buffers(example, 3)
    assert sample.shape == (3, 4, 3, 3)
    assert sample.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(sample, example.tensors[0][:1].expand(3, -1, -1, -1))
    assert timestep.tolist() == [5, 5, 5]
    sample.zero_()
    assert example.tensors[0].any()


def test_the_numbers_of_rows_that_passes_can_have() -> None:
    ladder = (1, 2, 3, 4, 6, 8, 12)
    assert possible_counts(ladder, 1, 12) == list(ladder)
    assert possible_counts(ladder, 2, 12) == [2, 4, 6, 8, 12]
    assert possible_counts(ladder, 4, 8) == [4, 8]
    assert possible_counts(ladder, 5, 8) == [6]
    assert possible_counts(ladder, 1, 1) == [1]
    # A call that has more rows than a pass may have is made all the same.
    assert possible_counts(ladder, 4, 1) == [4]

"""Equal tensors found under one identity."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
import torch

from server.diffusion.interning import Interned


def test_equal_contents_are_one_tensor_which_is_not_the_callers() -> None:
    interned = Interned()
    one, other = torch.arange(6), torch.arange(6)
    found = interned.find(one)
    assert interned.find(other) is found
    assert found is not one
    one += 1
    assert torch.equal(found, torch.arange(6))


def test_what_differs_in_contents_type_or_shape_is_not_one() -> None:
    interned = Interned()
    zeros = torch.zeros(4)
    different = [zeros, torch.ones(4), zeros.double(), zeros.reshape(2, 2), zeros.int()]
    found = [interned.find(tensor) for tensor in different]
    assert len(set(map(id, found))) == len(different)
    for tensor, original in zip(different, found, strict=True):
        assert (original.dtype, original.shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(original, tensor)


def test_a_tensor_that_was_written_to_is_looked_at_again() -> None:
    interned = Interned()
    tensor = torch.zeros(4)
    zeros = interned.find(tensor)
    tensor[2] = 5
    assert interned.find(tensor) is not zeros
    assert interned.find(tensor)[2] == 5
    tensor[2] = 0
    assert interned.find(tensor) is zeros


def test_a_forgotten_one_is_never_taken_for_another() -> None:
    """Memory of what was forgotten is used again, and so are the ids of objects."""
    for _ in range(50):
        interned = Interned(most=1)
        first = torch.tensor([1.0])
        interned.find(first)
        for value in range(2, 6):
            interned.find(torch.tensor([float(value)]))
        assert interned.find(first).item() == 1


@pytest.mark.parametrize("again", [lambda tensor: tensor, torch.clone], ids=["the same", "an equal one"])
def test_the_least_recently_found_is_forgotten_first(again: Callable[[torch.Tensor], torch.Tensor]) -> None:
    interned = Interned(most=2)
    one, two, three = (torch.tensor([value]) for value in (1, 2, 3))
    found_one, found_two = interned.find(one), interned.find(two)
    interned.find(again(one))
    interned.find(three)
    assert interned.find(one) is found_one
    assert interned.find(two) is not found_two
    assert torch.equal(interned.find(two), two)


def test_large_ones_make_room_for_each_other() -> None:
    interned = Interned(most_bytes=1000)
    found = [weakref.ref(interned.find(torch.full((100,), float(value)))) for value in range(4)]
    assert [one() is not None for one in found] == [False, False, True, True]
    larger = torch.zeros(2000)
    alone = interned.find(larger)
    assert [one() is not None for one in found] == [False] * 4
    assert interned.find(larger) is alone
    interned.find(torch.full((100,), 1.0))
    assert interned._bytes == 400


def test_nothing_is_remembered_of_tensors_that_are_gone() -> None:
    interned = Interned(most=4)
    for value in range(100):
        interned.find(torch.tensor([value % 3]))
    gc.collect()
    assert not interned._known
    assert len(interned._originals) == 3


def test_tensors_of_the_inference_mode_are_found_by_contents_each_time() -> None:
    """They count no versions, so that a change of one cannot be seen but by looking."""
    interned = Interned()
    with torch.inference_mode():
        tensor = torch.zeros(4)
        zeros = interned.find(tensor)
        tensor[0] = 1
        assert interned.find(tensor)[0] == 1
    assert interned.find(torch.zeros(4)) is zeros
    assert not zeros.is_inference()

"""What is learnt about memory from passes that were made, or failed."""

from __future__ import annotations

import pytest
import torch

from server.diffusion.memory import Memory, is_shortage


def test_a_shortage_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as caught:
        # More than the address space, so that no machine has it.
        torch.empty(2**62, dtype=torch.uint8)
    assert is_shortage(caught.value)
    assert is_shortage(torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(RuntimeError) as caught:
        torch.zeros(2) @ torch.zeros(3)
    assert not is_shortage(caught.value)
    assert not is_shortage(MemoryError())


def test_without_experience_there_is_no_limit_but_the_given_one() -> None:
    memory = Memory(torch.device("cpu"))
    with memory.measured("kind", 4):
        pass
    assert memory.limit("kind", 1, 32) == 32


def test_half_of_what_was_too_much_is_allowed_for_that_kind_alone() -> None:
    memory = Memory(torch.device("cpu"))
    memory.shrink("large", 16)
    assert memory.limit("large", 1, 32) == 8
    assert memory.limit("small", 1, 32) == 32
    memory.shrink("large", 8)
    assert memory.limit("large", 1, 32) == 4
    assert memory.limit("large", 1, 2) == 2


def test_a_call_is_always_allowed_by_itself() -> None:
    memory = Memory(torch.device("cpu"))
    memory.shrink("kind", 1)
    assert memory.limit("kind", 1, 32) == 1
    assert memory.limit("kind", 6, 32) == 6


@pytest.mark.gpu
def test_what_a_pass_has_needed_bounds_the_next_ones() -> None:
    device = torch.device("cuda")
    memory = Memory(device)
    free, _ = torch.cuda.mem_get_info()
    with memory.measured("huge", 1):
        held = torch.empty(free // 4, dtype=torch.uint8, device=device)
        del held
    torch.cuda.empty_cache()
    # A quarter of what was free a row, and not all of what is free is counted upon.
    assert memory.limit("huge", 1, 32) == 3
    assert memory.limit("huge", 4, 32) == 4

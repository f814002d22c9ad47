"""What torch keeps for a thread, kept for each of those that take turns on it."""

from __future__ import annotations

import pytest
import torch
from greenlet import greenlet

from server.diffusion.threadstate import Randomness, ThreadState


def seen() -> tuple[bool, bool, bool, torch.dtype]:
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_autocast_dtype("cpu"),
    )


def test_contexts_that_overlap_undo_only_what_is_their_own() -> None:
    """One enters its context while the other is within its own, and leaves later: ends in another order than nested."""
    before = seen()
    log: list[tuple[str, tuple[bool, bool, bool, torch.dtype]]] = []

    def first() -> None:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            log.append(("first", seen()))
            hub.switch()
            log.append(("first", seen()))
        log.append(("first", seen()))
        hub.switch()

    def second() -> None:
        log.append(("second", seen()))
        with torch.inference_mode():
            log.append(("second", seen()))
            hub.switch()
            assert torch.zeros(1).is_inference()
            log.append(("second", seen()))
        log.append(("second", seen()))
        hub.switch()

    hub = greenlet.getcurrent()
    turns = [(greenlet(first), ThreadState()), (greenlet(second), ThreadState())]
    for _ in range(2):
        for work, state in turns:
            with state:
                work.switch()
            assert seen() == before
    grad, _, _, dtype = before
    casting = (False, False, True, torch.bfloat16)
    inferring = (False, True, False, dtype)
    assert log == [
        ("first", casting),
        ("second", before),
        ("second", inferring),
        ("first", casting),
        ("first", before),
        ("second", inferring),
        ("second", before),
    ]
    assert grad


def test_a_state_can_be_entered_again_and_again_elsewhere() -> None:
    """As a call's is, which is made alone after it has failed in company."""
    with torch.inference_mode(), torch.autocast("cpu", torch.float16):
        state = ThreadState()
        expected = seen()
    before = seen()
    for _ in range(2):
        with state:
            assert seen() == expected
        assert seen() == before


def test_an_error_within_leaves_the_thread_as_it_was() -> None:
    def fail() -> None:
        torch.set_autocast_enabled("cpu", True)
        raise ValueError("within")

    before = seen()
    with pytest.raises(ValueError, match="within"), ThreadState(gradients=False):
        fail()
    assert seen() == before


def test_states_are_equal_if_passes_in_them_compute_the_same() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        casting = ThreadState(gradients=False)
        assert ThreadState(gradients=False) == casting
    with torch.autocast("cpu", torch.float16):
        assert ThreadState(gradients=False) != casting
    with torch.inference_mode():
        assert ThreadState() != ThreadState(inference=False)
        assert ThreadState().plain
    assert not casting.plain
    assert not ThreadState(gradients=True).plain


def test_random_numbers_of_each_are_those_that_it_would_draw_alone() -> None:
    expected = {}
    for seed in (1, 2):
        torch.manual_seed(seed)
        expected[seed] = torch.rand(6)
    torch.manual_seed(0)
    own = torch.rand(4)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(2), own[:2])
    one, other = Randomness(1), Randomness(2)
    drawn: dict[int, list[torch.Tensor]] = {1: [], 2: []}
    for _ in range(3):
        with one:
            drawn[1].append(torch.rand(2))
        with other:
            drawn[2].append(torch.rand(2))
    for seed, parts in drawn.items():
        assert torch.equal(torch.cat(parts), expected[seed])
    assert torch.equal(torch.rand(2), own[2:])

from __future__ import annotations

import asyncio

import pytest

from server.errors import AtCapacity, QueueFull
from server.service.slots import Place, Slots


async def has_turn(slots: Slots, place: Place) -> bool:
    turn = asyncio.create_task(slots.turn(place))
    await asyncio.sleep(0)
    if not turn.done():
        turn.cancel()
        return False
    return True


async def test_as_many_run_as_there_are_slots() -> None:
    slots = Slots(lambda: 2, queue_size=10)
    first, second, third = slots.enter(), slots.enter(), slots.enter()
    assert [await has_turn(slots, place) for place in (first, second, third)] == [True, True, False]
    assert slots.busy
    assert slots.waiting == 1
    slots.leave(second)
    assert await has_turn(slots, third)
    assert slots.busy
    slots.leave(first)
    assert not slots.busy


async def test_the_queue_is_first_in_first_out() -> None:
    slots = Slots(lambda: 1, queue_size=100)
    running, *waiting = [slots.enter() for _ in range(51)]
    for number, place in enumerate(waiting):
        assert slots.ahead(place) == number
    for place in list(waiting):
        slots.leave(running)
        assert [await has_turn(slots, other) for other in waiting] == [other is place for other in waiting]
        running, waiting = place, waiting[1:]


async def test_nobody_overtakes_the_queue_when_a_slot_is_freed() -> None:
    slots = Slots(lambda: 1, queue_size=10)
    running, waiting = slots.enter(), slots.enter()
    slots.leave(running)
    late = slots.enter()
    assert await has_turn(slots, waiting)
    assert not await has_turn(slots, late)


async def test_who_leaves_the_queue_moves_the_others_up() -> None:
    slots = Slots(lambda: 1, queue_size=10)
    running, first, second, third = [slots.enter() for _ in range(4)]
    slots.leave(second)
    assert [slots.ahead(place) for place in (running, first, second, third)] == [None, 0, None, 1]
    slots.leave(running)
    slots.leave(first)
    assert await has_turn(slots, third)


async def test_leaving_twice_frees_one_slot_only() -> None:
    slots = Slots(lambda: 1, queue_size=10)
    first, second, third = slots.enter(), slots.enter(), slots.enter()
    slots.leave(first)
    slots.leave(first)
    assert await has_turn(slots, second)
    assert not await has_turn(slots, third)


async def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    slots = Slots(lambda: 1, queue_size=2)
    places = [slots.enter() for _ in range(3)]
    with pytest.raises(QueueFull, match="2 predictions are waiting") as refused:
        slots.enter()
    assert refused.value.retry_after >= 1
    slots.leave(places[2])
    assert slots.ahead(slots.enter()) == 1


async def test_without_a_queue_a_busy_server_refuses() -> None:
    slots = Slots(lambda: 1, queue_size=0)
    place = slots.enter()
    with pytest.raises(AtCapacity, match=r"^At capacity - all prediction slots busy$"):
        slots.enter()
    slots.leave(place)
    assert await has_turn(slots, slots.enter())


async def test_a_worker_that_can_do_more_is_given_more() -> None:
    capacity = 1
    slots = Slots(lambda: capacity, queue_size=10)
    places = [slots.enter() for _ in range(3)]
    capacity = 3
    slots.leave(places[0])
    assert [await has_turn(slots, place) for place in places[1:]] == [True, True]

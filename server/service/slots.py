"""Admission: who may run now, who waits and in which order, and who is turned away."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from server.errors import AtCapacity, QueueFull

_NEWEST_SHARE = 0.2
"""How much the newest prediction weighs in the running mean of how long a slot is held."""


class Place:
    """One prediction's place: in the queue, then in a slot. `Slots` makes it and takes it back."""

    def __init__(self) -> None:
        self._admitted = asyncio.Event()
        self._since = 0.0


class Slots:
    """As many slots as predictions can run at once, and one bounded queue, first in, first out.

    Args:
        capacity: tells how many predictions may run at once; whoever makes that change calls `admit`.
        queue_size: how many may wait beyond those.

    Attributes:
        queue_size: as given.
    """

    def __init__(self, capacity: Callable[[], int], queue_size: int) -> None:
        self.queue_size = queue_size
        self._capacity = capacity
        self._holding: set[Place] = set()
        # A dict, for its order and because anyone may leave from the middle.
        self._waiting: dict[Place, None] = {}
        self._mean_seconds = 1.0

    @property
    def capacity(self) -> int:
        """How many predictions may run at once now."""
        return self._capacity()

    @property
    def running(self) -> int:
        """How many have a slot."""
        return len(self._holding)

    @property
    def busy(self) -> bool:
        """Whether every slot is taken."""
        return self.running >= self.capacity

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._waiting)

    def enter(self) -> Place:
        """Take a place: in a slot if one is free, else at the end of the queue. Give it back with `leave`.

        Raises:
            AtCapacity: no slot is free and there is no queue.
            QueueFull: no slot is free and the queue is full.
        """
        if self.busy and self.waiting >= self.queue_size:
            if self.queue_size == 0:
                raise AtCapacity("At capacity - all prediction slots busy")
            raise QueueFull(self.waiting, retry_after=self._seconds_to_next())
        place = Place()
        self._waiting[place] = None
        self.admit()
        return place

    async def turn(self, place: Place) -> None:
        """Wait until the place is in a slot. Whoever stops waiting must still `leave`."""
        await place._admitted.wait()

    def leave(self, place: Place) -> None:
        """Give up the slot, or the wait for one; the next in the queue moves up. Harmless when repeated."""
        self._waiting.pop(place, None)
        if place in self._holding:
            self._holding.remove(place)
            self._mean_seconds += _NEWEST_SHARE * (time.monotonic() - place._since - self._mean_seconds)
        self.admit()

    def ahead(self, place: Place) -> int | None:
        """How many in the queue come before; `None` once the place has had its slot."""
        return next((number for number, waiting in enumerate(self._waiting) if waiting is place), None)

    def admit(self) -> None:
        """Let the first in the queue move up where there are free slots; for when there may be more of them."""
        while self._waiting and not self.busy:
            place = next(iter(self._waiting))
            del self._waiting[place]
            self._holding.add(place)
            place._since = time.monotonic()
            place._admitted.set()

    def _seconds_to_next(self) -> int:
        return max(1, math.ceil(self._mean_seconds / max(1, self.capacity)))

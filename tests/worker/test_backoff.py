from __future__ import annotations

from itertools import islice

from server.worker.backoff import LONGEST, Backoff


def test_the_first_try_is_at_once_and_the_others_ever_later() -> None:
    backoff = Backoff()
    delays = list(islice(iter(backoff.next, None), 9))
    assert delays == [0, 1, 2, 4, 8, 16, 32, LONGEST, LONGEST]


def test_a_reset_begins_anew() -> None:
    backoff = Backoff()
    for _ in range(1000):
        backoff.next()
    backoff.reset()
    assert backoff.next() == 0

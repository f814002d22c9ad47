"""One prediction, as the child sees it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from server.worker.messages import Predict


@dataclass(eq=False)
class Job:
    """A prediction that the parent asked for and that has not ended.

    Attributes:
        command: what was asked.
        canceled: whether the parent has canceled it; never taken back.
        interrupted: whether its code has been told so; that happens once.
        task: what runs it, where the predictor is asynchronous and it has begun.
    """

    command: Predict
    canceled: bool = False
    interrupted: bool = False
    task: asyncio.Task[None] | None = None

    @property
    def id(self) -> str:
        """The prediction's id."""
        return self.command.id

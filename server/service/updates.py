"""What happens to one prediction, told to any number of readers while it happens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from server.prediction import Prediction
from server.worker.messages import Log, LogSource, Metric, MetricMode, Output, PredictionEvent

# How far the slowest reader may fall behind the prediction where the history is shorter.
_LAG = 1024


@dataclass(frozen=True, slots=True)
class Started:
    """The prediction runs."""

    event: ClassVar = "start"
    id: str

    def data(self) -> dict[str, Any]:
        """JSON, as Cog's stream shows it."""
        return {"id": self.id, "status": "processing"}


@dataclass(frozen=True, slots=True)
class Logged:
    """The model wrote text."""

    event: ClassVar = "log"
    text: str
    source: LogSource

    def data(self) -> dict[str, Any]:
        """JSON, as Cog's stream shows it."""
        return {"data": self.text, "source": self.source.value}


@dataclass(frozen=True, slots=True)
class Recorded:
    """The model recorded a metric; `value` is what it recorded, not the sum."""

    event: ClassVar = "metric"
    name: str
    value: Any
    mode: MetricMode

    def data(self) -> dict[str, Any]:
        """JSON, as Cog's stream shows it: a metric that is deleted is replaced by nothing."""
        if self.mode is MetricMode.DELETE:
            return {"name": self.name, "value": None, "mode": MetricMode.REPLACE.value}
        return {"name": self.name, "value": self.value, "mode": self.mode.value}


@dataclass(frozen=True, slots=True)
class Chunk:
    """The model put out a piece of its output; `index` counts them from 0."""

    event: ClassVar = "output"
    value: Any
    index: int

    def data(self) -> dict[str, Any]:
        """JSON, as Cog's stream shows it."""
        return {"chunk": self.value, "index": self.index}


@dataclass(frozen=True, slots=True)
class Completed:
    """The prediction has ended. Always the last update; `state` is the whole prediction."""

    event: ClassVar = "completed"
    state: dict[str, Any]

    def data(self) -> dict[str, Any]:
        """JSON, as Cog's stream shows it."""
        return self.state


@dataclass(frozen=True, slots=True)
class Truncated:
    """The reader missed updates that are no longer kept; nothing follows. `skipped` is how many."""

    event: ClassVar = "error"
    skipped: int

    def data(self) -> dict[str, Any]:
        """JSON, as Cog's stream shows it."""
        return {"error": "SSE stream replay truncated; events were dropped", "skipped": self.skipped}


Update = Started | Logged | Recorded | Chunk | Completed | Truncated


def pieces(output: Output) -> list[Any]:
    """What a stream or a webhook tells of an output, piece by piece.

    Like Cog, a list that is returned at once is told item by item, and `None` not at all.
    """
    if output.index is not None:
        return [output.value]
    match output.value:
        case None:
            return []
        case list(items):
            return items
        case value:
            return [value]


class Updates:
    """The updates of one prediction.

    Telling never waits: a reader that is too slow loses its place, and the others notice nothing.

    Args:
        history: how many updates are kept for readers that come later; 0 keeps none, so that each reader sees only
            what happens from then on.

    Attributes:
        readers: how many there are now.
    """

    def __init__(self, history: int = 1024) -> None:
        self.readers = 0
        self._history = history
        self._kept: deque[Update] = deque(maxlen=max(history, _LAG))
        self._told = 0
        self._chunks = 0
        self._ended = False
        self._changed = asyncio.Event()

    def start(self, prediction: Prediction) -> None:
        """Tell that it is the prediction's turn; comes before anything else, and not at all where it never is."""
        self._tell(Started(prediction.id))

    def notify(self, prediction: Prediction, event: PredictionEvent) -> None:
        """Tell what the worker said and the prediction took in.

        Args:
            prediction: as it is after `event`.
            event: in which outputs are published already.
        """
        match event:
            case Log(text=text, source=source):
                self._tell(Logged(text, source))
            case Metric(name=name, value=value, mode=mode):
                self._tell(Recorded(name, value, mode))
            case Output():
                for piece in pieces(event):
                    self._tell(Chunk(piece, self._chunks))
                    self._chunks += 1
            case _:
                self._ended = True
                self._tell(Completed(prediction.to_dict()))

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Read along, from the first update that is kept to the last, and then live.

        Where some were told that are kept no longer, the reader gets one `Truncated` and nothing else.
        """
        gone = max(0, self._told - self._history) if self._history else 0
        self.readers += 1
        try:
            yield Reader(self, Truncated(gone) if gone else None, 0 if self._history else self._told)
        finally:
            self.readers -= 1

    def _tell(self, update: Update) -> None:
        self._kept.append(update)
        self._told += 1
        # Each reader waits for the event that it saw; a new one for each update needs no clearing.
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Reader(AsyncIterator[Update]):
    """One reader's place in the `Updates` that made it. Waiting for the next update may be canceled and tried again."""

    def __init__(self, updates: Updates, truncated: Truncated | None, place: int) -> None:
        self._updates = updates
        self._truncated = truncated
        self._place = place
        self._done = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Update:
        updates = self._updates
        while not self._done:
            oldest = updates._told - len(updates._kept)
            if self._truncated is None and self._place < oldest:
                self._truncated = Truncated(oldest - self._place)
            if self._truncated is not None:
                self._done = True
                return self._truncated
            if self._place < updates._told:
                self._place += 1
                return updates._kept[self._place - 1 - oldest]
            if updates._ended:
                break
            await updates._changed.wait()
        raise StopAsyncIteration

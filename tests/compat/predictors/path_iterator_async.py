"""An asynchronous generator of files."""

import tempfile
from collections.abc import AsyncIterator

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    async def predict(self, count: int) -> AsyncIterator[Path]:
        for number in range(count):
            path = Path(tempfile.mkdtemp()) / "frame.txt"
            path.write_text(f"frame {number}")
            yield path


REQUESTS = [{"input": {"count": 2}}]

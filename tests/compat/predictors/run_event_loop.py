"""A synchronous `predict` runs event loops of its own."""

import asyncio

from cog import BasePredictor


async def later(text: str) -> str:
    await asyncio.sleep(0)
    return text


class Predictor(BasePredictor):
    def predict(self, kind: str) -> str:
        if kind == "run":
            return asyncio.run(later("run"))
        if kind == "new loop":
            loop = asyncio.new_event_loop()
            try:
                return loop.run_until_complete(later("new loop"))
            finally:
                loop.close()
        try:
            asyncio.get_running_loop()
        except RuntimeError as error:
            return str(error)
        return "a loop runs"


REQUESTS = [
    {"input": {"kind": "run"}},
    {"input": {"kind": "run"}},
    {"input": {"kind": "new loop"}},
    {"input": {"kind": "running"}},
]

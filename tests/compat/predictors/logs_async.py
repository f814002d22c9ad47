"""Logs of an asynchronous `predict`, its tasks and its threads."""

import asyncio
import logging

from cog import BasePredictor


class Predictor(BasePredictor):
    async def predict(self) -> str:
        print("before")
        await asyncio.create_task(self._say("task"))
        await asyncio.to_thread(print, "thread")
        logging.warning("logged")
        print("after")
        return "done"

    async def _say(self, text: str) -> None:
        await asyncio.sleep(0)
        print(text)


REQUESTS = [{"input": {}}]

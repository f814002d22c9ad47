"""Metrics from threads and tasks that the model starts, and after the prediction."""

import asyncio
import contextvars
import threading

from cog import BasePredictor, current_scope


class Predictor(BasePredictor):
    async def predict(self, kind: str) -> str:
        scope = current_scope()
        if kind == "task":
            await asyncio.create_task(self._record("task"))
        elif kind == "executor":
            context = contextvars.copy_context()
            await asyncio.get_running_loop().run_in_executor(
                None, context.run, lambda: current_scope().record_metric("executor", 1)
            )
        elif kind == "to_thread":
            await asyncio.to_thread(lambda: current_scope().record_metric("to_thread", 1))
        elif kind == "scope in thread":
            thread = threading.Thread(target=lambda: scope.record_metric("held", 1))
            thread.start()
            thread.join()
        return kind

    async def _record(self, name: str) -> None:
        current_scope().record_metric(name, 1)


REQUESTS = [
    {"input": {"kind": "task"}},
    {"input": {"kind": "executor"}},
    {"input": {"kind": "to_thread"}},
    {"input": {"kind": "scope in thread"}},
]

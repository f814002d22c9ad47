"""A model that uses alarms of its own."""

import signal

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> str:
        def handler(*_: object) -> None:
            raise TimeoutError("alarm")

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            while True:
                pass
        except TimeoutError as error:
            return str(error)


REQUESTS = [
    {
        "input": {},
        "ours": {"status": "succeeded", "error": ..., "output": "alarm"},
        "because": "MAIN_THREAD",
    }
]

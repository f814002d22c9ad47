"""File inputs that cannot be had fail the prediction; `predict` does not run."""

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, file: Path) -> str:
        print("predict runs")
        return "done"


REQUESTS = [
    {
        "input": {"file": "data:text/plain;base64,not base64!"},
        "ours": {
            "error": "Input validation error: file: data:text/plain;base64,not base64!: the data URL is not valid base64: Incorrect padding."
        },
        "because": "FETCH_ERRORS",
    },
    {
        "input": {"file": "data:nothing"},
        "ours": {
            "error": "Input validation error: file: data:nothing: the data URL has no comma. Write data:<media type>;base64,<data>."
        },
        "because": "FETCH_ERRORS",
    },
    {
        "input": {"file": "http://127.0.0.1:1/refused"},
        "ours": {
            "error": "Input validation error: file: http://127.0.0.1:1/refused: it could not be fetched (All connection attempts failed)."
        },
        "because": "FETCH_ERRORS",
    },
    {
        "input": {"file": "http://"},
        "ours": {"error": "Input validation error: file: http://: it names no host."},
        "because": "FETCH_ERRORS",
    },
    {
        "input": {"file": "https://[bad/"},
        "ours": {"error": "Input validation error: file: https://[bad/: Invalid IPv6 URL."},
        "because": "FETCH_ERRORS",
    },
]

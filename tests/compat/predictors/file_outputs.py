"""Open files as output, on disk and in memory."""

import io
import tempfile
from pathlib import Path as PlainPath
from typing import Any

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, kind: str) -> Any:
        path = PlainPath(tempfile.mkdtemp()) / "a.txt"
        path.write_text("content")
        match kind:
            case "binary":
                return path.open("rb")
            case "text":
                return path.open()
            case "half read":
                file = path.open("rb")
                file.read(3)
                return file
            case "bytes":
                return io.BytesIO(b"in memory")
            case "half read bytes":
                file = io.BytesIO(b"in memory")
                file.read(3)
                return file
            case "named bytes":
                file = io.BytesIO(b"in memory")
                file.name = "a.png"
                return file
            case "temporary":
                file = tempfile.NamedTemporaryFile(suffix=".png")
                file.write(b"temporary")
                file.flush()
                return file
            case "string":
                return io.StringIO("text")
            case "closed":
                file = path.open("rb")
                file.close()
                return file
            case "written":
                file = path.open("w+b")
                file.write(b"just written")
                return file
            case "in a list":
                return [path.open("rb"), io.BytesIO(b"x")]
            case "in a dict":
                return {"a": path.open("rb"), "b": io.BytesIO(b"x")}


REQUESTS = [
    {"input": {"kind": "binary"}},
    {
        "input": {"kind": "text"},
        "ours": {"status": "succeeded", "error": ..., "output": "data:text/plain;base64,Y29udGVudA=="},
        "because": "MORE_OUTPUTS",
    },
    {"input": {"kind": "half read"}},
    {"input": {"kind": "bytes"}},
    {"input": {"kind": "half read bytes"}},
    {"input": {"kind": "named bytes"}},
    {
        "input": {"kind": "temporary"},
        "ours": {"status": "succeeded", "error": ..., "output": "data:image/png;base64,dGVtcG9yYXJ5"},
        "because": "MORE_OUTPUTS",
    },
    {
        "input": {"kind": "string"},
        "ours": {
            "error": "Prediction failed: Failed to serialize output: TypeError: Object of type StringIO holds text, not bytes; return a Path or a str"
        },
        "because": "OUTPUT_ERRORS",
    },
    {
        "input": {"kind": "closed"},
        "ours": {"error": "Prediction failed: Failed to serialize output: ValueError: I/O operation on closed file"},
        "because": "OUTPUT_ERRORS",
    },
    {"input": {"kind": "written"}},
    {"input": {"kind": "in a list"}},
    {"input": {"kind": "in a dict"}},
]

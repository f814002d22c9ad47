"""A `Path` as output that is no file."""

from pathlib import Path as PlainPath
from typing import Any

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, kind: str) -> Any:
        match kind:
            case "missing":
                return Path("missing.png")
            case "folder":
                PlainPath("folder").mkdir(exist_ok=True)
                return Path("folder")
            case "in a list":
                return [Path("missing.png")]
            case "in a dict":
                return {"file": Path("missing.png")}
            case "deleted":
                path = Path("deleted.txt")
                path.write_text("gone")
                path.unlink()
                return path
            case "empty":
                path = Path("empty.txt")
                path.touch()
                return path
            case "relative":
                path = Path("relative.txt")
                path.write_text("relative")
                return path
            case "text":
                return "relative.txt"
            case "link":
                link = Path("link.txt")
                link.symlink_to("relative.txt")
                return link
            case "input":
                return Path("https://example.com/a.png")


REQUESTS = [
    {
        "input": {"kind": "missing"},
        "ours": {
            "status": "failed",
            "error": "Prediction failed: Failed to process output: FileNotFoundError: [Errno 2] No such file or directory: 'missing.png'",
            "output": ...,
        },
        "because": "MISSING_FILES",
    },
    {
        "input": {"kind": "folder"},
        "ours": {
            "status": "failed",
            "error": "Prediction failed: Failed to process output: OSError: [Errno 22] Not a file; return the path of one: 'folder'",
            "output": ...,
        },
        "because": "MISSING_FILES",
    },
    {
        "input": {"kind": "in a list"},
        "ours": {
            "status": "failed",
            "error": "Prediction failed: Failed to process output: FileNotFoundError: [Errno 2] No such file or directory: 'missing.png'",
            "output": ...,
        },
        "because": "MISSING_FILES",
    },
    {"input": {"kind": "in a dict"}},
    {
        "input": {"kind": "deleted"},
        "ours": {
            "status": "failed",
            "error": "Prediction failed: Failed to process output: FileNotFoundError: [Errno 2] No such file or directory: 'deleted.txt'",
            "output": ...,
        },
        "because": "MISSING_FILES",
    },
    {"input": {"kind": "empty"}},
    {"input": {"kind": "relative"}},
    {"input": {"kind": "text"}},
    {"input": {"kind": "link"}},
    {
        "input": {"kind": "input"},
        "ours": {
            "status": "failed",
            "error": "Prediction failed: Failed to process output: FileNotFoundError: [Errno 2] No such file or directory: 'https:/example.com/a.png'",
            "output": ...,
        },
        "because": "MISSING_FILES",
    },
]

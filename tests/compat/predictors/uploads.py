"""Files that come out are put to a URL; what its server answers as their place comes back."""

import io
from pathlib import Path as PlainPath
from typing import Any

from cog import BaseModel, BasePredictor, Path


class Output(BaseModel):
    file: Path


def made(name: str, content: str) -> Path:
    path = Path(name)
    path.write_text(content)
    return path


class Predictor(BasePredictor):
    def predict(self, kind: str) -> Any:
        match kind:
            case "png":
                return made("a.png", "one")
            case "no type":
                return made("unheard of", "one")
            case "plain":
                return PlainPath(made("a.txt", "one"))
            case "list":
                return [made("only.txt", "one")]
            case "mixed":
                return ["text", made("a.txt", "one"), 3]
            case "empty":
                return made("empty.txt", "")
            case "open":
                return made("open.txt", "one").open("rb")
            case "bytes":
                return io.BytesIO(b"one")
            case "dict":
                return {"file": made("a.txt", "one")}
            case "model":
                return Output(file=made("a.txt", "one"))
            case "text":
                return "no file"
            case "unicode":
                return made("é #?%.txt", "one")
            case "failed":
                made("a.txt", "one")
                raise ValueError("on purpose")


UPLOAD_URL = "{host}/stored/"

REQUESTS = [
    {"input": {"kind": "png"}},
    {"input": {"kind": "no type"}},
    {"input": {"kind": "plain"}},
    {"input": {"kind": "list"}},
    {
        "input": {"kind": "mixed"},
        "ours": {"output": ["text", "{host}/stored/a.txt/3-text-plain", 3]},
        "because": "UPLOADS",
    },
    {"input": {"kind": "empty"}},
    {
        "input": {"kind": "open"},
        "ours": {"output": "{host}/stored/open.txt/3-text-plain"},
        "because": "UPLOADS",
    },
    {
        "input": {"kind": "bytes"},
        "ours": {"output": "{host}/stored/output/3-application-octet-stream"},
        "because": "UPLOADS",
    },
    {"input": {"kind": "dict"}},
    {"input": {"kind": "model"}},
    {"input": {"kind": "text"}},
    {
        "input": {"kind": "unicode"},
        "ours": {"output": "{host}/stored/%C3%A9%20%23%3F%25.txt/3-text-plain"},
        "because": "UPLOADS",
    },
    {"input": {"kind": "failed"}},
]

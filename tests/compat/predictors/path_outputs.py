"""Files in lists, dicts, models and iterators."""

import tempfile
from pathlib import Path as PlainPath
from typing import Any

from cog import BaseModel, BasePredictor, Path
from pydantic import BaseModel as Pydantic


class Output(BaseModel):
    file: Path
    files: list[Path]
    note: str


class PydanticOutput(Pydantic):
    file: PlainPath


def made(name: str, content: str) -> Path:
    path = Path(tempfile.mkdtemp()) / name
    path.write_text(content)
    return path


class Predictor(BasePredictor):
    def predict(self, kind: str) -> Any:
        match kind:
            case "list":
                return [made("a.txt", "one"), made("a.txt", "two")]
            case "dict":
                return {"file": made("a.png", "one"), "deep": {"er": [made("b.png", "two")]}}
            case "model":
                return Output(file=made("a.txt", "one"), files=[made("b.txt", "two")], note="n")
            case "pydantic":
                return PydanticOutput(file=made("a.txt", "one"))
            case "mixed":
                return [1, made("a.txt", "one"), None]
            case "tuple":
                return (made("a.txt", "one"),)
            case "same twice":
                path = made("a.txt", "one")
                return [path, path]


REQUESTS = [
    {"input": {"kind": "list"}},
    {"input": {"kind": "dict"}},
    {"input": {"kind": "model"}},
    {"input": {"kind": "pydantic"}},
    {"input": {"kind": "mixed"}},
    {"input": {"kind": "tuple"}},
    {"input": {"kind": "same twice"}},
]

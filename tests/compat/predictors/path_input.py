"""A `Path` as input: data URLs, http URLs, and text that is no URL."""

import os
import pathlib
import re
import tempfile

from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def predict(self, file: Path = Input(description="A file")) -> dict:
        if not isinstance(file, pathlib.Path):
            return {"type": type(file).__name__, "text": file}
        return {
            "type": type(file).__name__,
            "name": re.sub("^tmp[a-z0-9_]{8}", "tmp", file.name),
            "exists": file.exists(),
            "content": file.read_bytes().hex(),
            "temporary": os.path.realpath(file).startswith(os.path.realpath(tempfile.gettempdir())),
            "absolute": file.is_absolute(),
        }


REQUESTS = [
    {"input": {"file": "data:text/plain;base64,aGVsbG8="}},
    {"input": {"file": "data:text/plain,hello%20there"}},
    {"input": {"file": "data:,"}},
    {"input": {"file": "data:image/png;base64,aGVsbG8="}},
    {"input": {"file": "data:image/jpeg;base64,aGVsbG8="}},
    {"input": {"file": "data:application/octet-stream;base64,AAEC"}},
    {"input": {"file": "data:text/plain;charset=utf-8;base64,w6k="}},
    {"input": {"file": "data:audio/x-unheard-of;base64,aGVsbG8="}},
    {"input": {"file": "data:;base64,aGVsbG8="}},
    {"input": {"file": "{host}/hello.txt"}},
    {"input": {"file": "{host}/hello.txt?query=a/b#fragment"}},
    {"input": {"file": "{host}/a%20file.txt"}},
    {"input": {"file": "{host}/to/hello.txt"}},
    {"input": {"file": "{host}/empty"}},
    {"input": {"file": "{host}/folder/"}},
    {"input": {"file": "{host}/nothing.txt"}},
    {"input": {"file": "{host}/status/500"}},
    {"input": {"file": "{host}/status/403"}},
    {"input": {"file": "just/text.txt"}},
    {"input": {"file": ""}},
    {"input": {"file": "/etc/hostname"}},
    {"input": {"file": "file:///etc/hostname"}},
    {"input": {"file": "ftp://127.0.0.1/x"}},
    {"input": {"file": 3}},
    {"input": {"file": None}},
    {"input": {"file": ["data:,a"]}},
    {"input": {}},
]

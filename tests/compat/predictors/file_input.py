"""A `File` as input: something to read from."""

from cog import BasePredictor, File


class Predictor(BasePredictor):
    def predict(self, file: File, more: list[File] | None = None, describe: bool = False) -> dict:
        if describe:
            return {"type": type(file).__name__, "can seek": file.seekable(), "has a name": hasattr(file, "name")}
        return {
            "first": file.read(2).hex(),
            "content": file.read().hex(),
            "rest": file.read().hex(),
            "more": [each.read().hex() for each in more or []],
        }


REQUESTS = [
    {"input": {"file": "data:text/plain;base64,aGVsbG8="}},
    {"input": {"file": "data:text/plain,hello"}},
    {"input": {"file": "{host}/hello.txt"}},
    {"input": {"file": "data:,a", "more": ["data:,b", "{host}/hello.txt"]}},
    {"input": {"file": "no URL"}},
    {"input": {}},
    {
        "input": {"file": "data:,a", "describe": True},
        "ours": {"output": {"type": "BufferedReader", "can seek": True, "has a name": True}},
        "because": "FILE_INPUTS",
    },
    {
        "input": {"file": "{host}/nothing.txt"},
        "ours": {"error": "Input validation error: 404 Client Error: Not Found for url: {host}/nothing.txt"},
        "because": "FILE_INPUTS",
    },
]

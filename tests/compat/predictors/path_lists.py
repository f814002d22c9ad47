"""Lists of files as input."""

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, files: list[Path], maybe: list[Path] | None = None, single: Path | None = None) -> list[str]:
        return [
            *(path.read_text() for path in files),
            f"{maybe and [path.suffix for path in maybe]}",
            f"{single and single.read_text()}",
        ]


REQUESTS = [
    {"input": {"files": ["data:text/plain,one", "{host}/hello.txt"]}},
    {"input": {"files": []}},
    {"input": {"files": ["data:,a"], "maybe": ["data:image/png;base64,AAEC"], "single": "data:,s"}},
    {"input": {"files": ["data:,a", "{host}/nothing.txt"]}},
    {"input": {"files": ["data:,a", 3]}},
    {"input": {"files": "data:,a"}},
    {"input": {"files": ["data:,a"], "single": None}},
]

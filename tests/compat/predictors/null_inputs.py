"""An explicit `null`, for inputs of every kind that may have no value, and for some that may not."""

from typing import Any, Optional

from cog import BasePredictor, Input, Path, Secret


class Predictor(BasePredictor):
    def predict(
        self,
        text: str | None = Input(default=None),
        old: Optional[str] = Input(default="old"),
        whole: int | None = Input(default=None, ge=1, le=5),
        number: float | None = Input(default=0.5),
        flag: bool | None = Input(default=True),
        choice: str | None = Input(default=None, choices=["a", "b"]),
        chosen: str | None = Input(default="b", choices=["a", "b"]),
        rank: int | None = Input(default=2, choices=[1, 2]),
        length: str | None = Input(default="ab", min_length=2, max_length=3),
        path: Path | None = Input(default=None),
        secret: Secret | None = Input(default=None),
        texts: list[str] | None = Input(default=None),
        filled: list[str] | None = Input(default=["a"]),
        paths: list[Path] | None = Input(default=None),
        table: dict | None = Input(default=None),
        anything: Any = Input(default={"a": 1}),
        either: int | str | None = Input(default="either"),
        bare: str | None = "bare",
        never: str | None = None,
        plain: str = "plain",
        choices: str = Input(default="b", choices=["a", "b"]),
        items: list[str] = Input(default=["a"]),
    ) -> str:
        values = dict(locals())
        del values["self"]
        return repr(values)


REQUESTS = [
    {"input": {}},
    {"input": {"text": None}},
    {"input": {"old": None}},
    {"input": {"whole": None}},
    {"input": {"number": None}},
    {"input": {"flag": None}},
    {"input": {"choice": None}},
    {"input": {"chosen": None}},
    {"input": {"rank": None}},
    {"input": {"length": None}},
    {"input": {"path": None}},
    {"input": {"secret": None}},
    {"input": {"texts": None}},
    {"input": {"filled": None}},
    {"input": {"paths": None}},
    {"input": {"paths": [None]}},
    {"input": {"table": None}},
    {"input": {"anything": None}},
    {"input": {"either": None}},
    {"input": {"bare": None}},
    {"input": {"never": None}},
    {"input": {"plain": None}},
    {"input": {"choices": None}},
    {"input": {"items": None}},
    {"input": {"items": [None]}},
    {"input": {"text": None, "whole": None, "choice": None, "path": None, "texts": None, "plain": None}},
    {"input": {"nothing": None}},
]

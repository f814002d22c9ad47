"""Defaults of every type, in both notations."""

from cog import BasePredictor, Input, Path, Secret


class Predictor(BasePredictor):
    def predict(
        self,
        bare_text: str = "bare",
        bare_int: int = 7,
        bare_float: float = 1,
        bare_bool: bool = True,
        bare_none: str | None = None,
        text: str = Input(default="described", description="A text"),
        whole: int = Input(default=3, ge=1, le=5),
        number: float = Input(default=2),
        flag: bool = Input(default=False),
        texts: list[str] = Input(default=["a", "b"]),
        empty: list[int] = Input(default=[]),
        choice: str = Input(default="b", choices=["a", "b"]),
        optional_path: Path | None = Input(default=None),
        optional_paths: list[Path] | None = Input(default=None),
        optional_secret: Secret | None = Input(default=None),
        optional_number: float | None = Input(default=0.5),
        either: int | str = Input(default="either"),
        change: bool = False,
    ) -> str:
        values = dict(locals())
        del values["self"]
        shown = repr(values)
        if change:
            texts.append("changed")
        return shown


REQUESTS = [
    {"input": {}},
    {"input": {"optional_number": None}},
    {"input": {"bare_none": "given", "either": 3}},
    {"input": {"either": 1.5}},
    {"input": {"change": True}},
    {
        "input": {},
        "ours": {
            "output": "{'bare_text': 'bare', 'bare_int': 7, 'bare_float': 1, 'bare_bool': True, 'bare_none': None, "
            "'text': 'described', 'whole': 3, 'number': 2, 'flag': False, 'texts': ['a', 'b'], 'empty': [], "
            "'choice': 'b', 'optional_path': None, 'optional_paths': None, 'optional_secret': None, "
            "'optional_number': 0.5, 'either': 'either', 'change': False}"
        },
        "because": "FRESH_DEFAULTS",
    },
]

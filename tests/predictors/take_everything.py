"""Takes an input of every kind, with every constraint, and returns the names of those it was given."""

from typing import Any

from cog import BasePredictor, File, Input, Path, Secret


class Predictor(BasePredictor):
    def predict(
        self,
        z_required: str = Input(description="Required, and last in the alphabet"),
        required: int = Input(description="Required too"),
        text: str = Input(min_length=2, max_length=4, regex="^[a-z]+$", default="abc"),
        letter: str = Input(min_length=1, max_length=1, default="a"),
        digits: str = Input(regex=r"^\d+\s[\w.$]$", default="1 a"),
        steps: int = Input(ge=1, le=10, default=3),
        scale: float = Input(ge=0.5, le=2, default=1.5),
        flag: bool = False,
        size: str = Input(choices=["small", "großé"], default="small"),
        width: int = Input(choices=[128, 256], default=128),
        zoom: float = Input(choices=[0.5, 1, 1e-7], default=1),
        numbers: list[int] = Input(default=[1]),
        words: list[str] = Input(default=["a"]),
        grid: list[list[int]] = Input(default=[[1]]),
        tags: list[str] = Input(choices=["a", "b"], default=["a"]),
        either: int | str | None = Input(default=None),
        one_or_many: int | list[int] = Input(default=1),
        maybe: int | None = Input(default=None),
        anything: Any = Input(default={}),
        options: dict = Input(default={}),
        image: Path | None = Input(default=None),
        images: list[Path] | None = Input(default=None),
        file: File | None = Input(default=None),
        token: Secret = Input(default=None),
    ) -> str:
        del self
        return ", ".join(sorted(locals()))

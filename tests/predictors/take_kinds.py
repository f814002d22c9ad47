"""Returns how Python sees inputs of each kind, among them those that the request leaves out."""

from cog import BasePredictor, File, Input, Path, Secret


class Predictor(BasePredictor):
    def predict(
        self,
        path: Path = Input(description="A file, or any text"),
        plain: int = 7,
        described: str = Input(default="described"),
        paths: list[Path] | None = Input(default=None),
        file: File | None = Input(default=None),
        secret: Secret | None = Input(default=None),
        numbers: list[int] = Input(default=[1]),
        optional: str | None = None,
        either: int | str = Input(default="either"),
    ) -> dict[str, str]:
        numbers.append(2)
        return {
            "path": f"{type(path).__name__} {path.read_text() if isinstance(path, Path) else path}",
            "plain": repr(plain),
            "described": repr(described),
            "paths": repr(paths and [path.read_text() for path in paths]),
            "file": repr(file and file.read()),
            "secret": f"{secret} {secret and secret.get_secret_value()}",
            "numbers": repr(numbers),
            "optional": repr(optional),
            "either": repr(either),
        }

"""Modules beside the predictor's own can be imported, early and late, and so can the predictor's own again."""

from pathlib import Path

Path("early.py").write_text("NAME = 'early'\n")
Path("package").mkdir(exist_ok=True)
Path("package/__init__.py").write_text("from package.inner import NAME\n")
Path("package/inner.py").write_text("NAME = 'inner'\n")

import early  # noqa: E402
from cog import BasePredictor  # noqa: E402


class Predictor(BasePredictor):
    def predict(self) -> list[str]:
        import package

        Path("late.py").write_text("NAME = 'late'\n")
        import importlib

        importlib.invalidate_caches()
        import late

        return [early.NAME, package.NAME, late.NAME]


REQUESTS = [{"input": {}}]

"""A predictor, and the requests that are sent to it, from one file of `tests/compat/predictors`.

Beside the predictor, and perhaps a trainer, such a file may hold literals: `REQUESTS`, a list of the arguments of
`Request`; `ENVIRONMENT`, variables for both servers; `UPLOAD_URL`, where both put the files that come out; `MODE`, what
both run with as --x-mode. In all of their texts `{host}` stands
for the URL of the test's own web server.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path
from types import EllipsisType
from typing import Any

from tests.compat.deviations import Deviation

PREDICTORS = Path(__file__).parent / "predictors"

_LITERALS = {"REQUESTS", "ENVIRONMENT", "UPLOAD_URL", "MODE"}
_SERVED = ("Predictor", "Runner", "predict", "run")
_TRAINERS = ("Trainer", "train")


@dataclass(frozen=True)
class Request:
    """What both servers are asked, and where their answers may differ.

    Attributes:
        input: what is POSTed to /predictions as `{"input": ...}`.
        body: the whole JSON body instead; none is sent unless one of the two is given.
        ours: keys of the JSON answer in which Darkroom differs on purpose, with its values; `...` for one it has not.
        because: the `Deviation`; in a file its name.
        cog_hangs: whether it is not sent to Cog, which would never answer again; then `ours` is the whole answer.
    """

    input: Any = None
    body: Any = None
    method: str = "POST"
    path: str = "/predictions"
    headers: dict[str, str] = field(default_factory=dict)
    ours: dict[str, Any | EllipsisType] = field(default_factory=dict)
    because: Deviation | None = None
    cog_hangs: bool = False


@dataclass(frozen=True)
class Case:
    """One file.

    Attributes:
        path: where it is.
        reference: the name in it that predicts.
        trainer: the name in it that trains, if there is one.
        requests: in order.
        environment: variables for both servers.
        upload_url: where both put the files that come out; inside the answers unless given.
        mode: what both servers run, "predict" or "train".
    """

    path: Path
    reference: str
    requests: tuple[Request, ...]
    environment: dict[str, str]
    upload_url: str | None
    trainer: str | None = None
    mode: str = "predict"

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.stem


def load_case(path: Path) -> Case:
    """Read a file without running it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]
    literals = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    values = {name: ast.literal_eval(literals[name]) for name in _LITERALS & literals.keys()}
    requests = tuple(map(_request, values.get("REQUESTS", ())))
    reference = next((name for name in _SERVED if name in names), _SERVED[0])
    trainer = next((name for name in _TRAINERS if name in names), None)
    environment = values.get("ENVIRONMENT", {})
    return Case(
        path, reference, requests, environment, values.get("UPLOAD_URL"), trainer, values.get("MODE", "predict")
    )


def load_cases() -> list[Case]:
    """Read all of them."""
    return [load_case(path) for path in sorted(PREDICTORS.glob("*.py"))]


def _request(arguments: dict[str, Any]) -> Request:
    because = arguments.get("because")
    return Request(**arguments | {"because": Deviation[because] if because else None})

"""openapi-python-client makes a client of `/openapi.json` without a warning, and the client predicts."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from openapi_python_client import generate
from openapi_python_client.config import Config, ConfigFile, MetaType

from server.schema.inspect import inspect_predictor
from server.schema.openapi import openapi_document
from tests.conftest import PREDICTORS, ROOT, Serve, Server
from tests.schema.conftest import loading

SCHEMAS = sorted((ROOT / "tests" / "schemas").glob("*.py"))

# The generator knows enumerations of text and of integers, and compares a default with the enumeration as it is.
NOT_UNDERSTOOD = {
    "list_choices": "Cannot convert ['a'] to enum",
    "take_everything": "Enum values must all be the same type",
}


@pytest.fixture(scope="module")
def server(serve_module: Serve) -> Server:
    return serve_module("draw_quickly")


@pytest.fixture(scope="module")
def package(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of the package that was made for `server`."""
    folder = tmp_path_factory.mktemp("generated")
    programs = Path(sys.executable).parent
    options = ["--fail-on-warning", "--meta", "none", "--output-path", str(folder / "made_client")]
    made = subprocess.run(
        [programs / "openapi-python-client", "generate", "--url", f"{server.url}/openapi.json", *options],
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
    )
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.split() == ["Generating", str(folder / "made_client")]
    sys.path.insert(0, str(folder))
    yield "made_client"
    sys.path.remove(str(folder))


def operation(package: str, name: str) -> ModuleType:
    return importlib.import_module(f"{package}.api.default.{name}")


def test_a_prediction(server: Server, package: str) -> None:
    models = importlib.import_module(f"{package}.models")
    predict = operation(package, "predict_predictions_post")
    input = models.Input(prompt="a red apple", num_outputs=2, output_format=models.OutputFormat.PNG)
    with importlib.import_module(package).Client(base_url=server.url) as client:
        prediction = predict.sync(client=client, body=models.PredictionRequest(input_=input))
    assert type(prediction) is models.PredictionResponse
    assert prediction.status is models.PredictionResponseStatus.SUCCEEDED
    assert prediction.output == ["data:image/webp;base64,UklGRg=="] * 2
    assert prediction.metrics.predict_time >= 0


def test_an_input_that_breaks_its_rule(server: Server, package: str) -> None:
    models = importlib.import_module(f"{package}.models")
    predict = operation(package, "predict_predictions_post")
    body = models.PredictionRequest(input_=models.Input(prompt="a", num_outputs=201))
    with importlib.import_module(package).Client(base_url=server.url) as client:
        answer = predict.sync_detailed(client=client, body=body)
    assert answer.status_code == 422
    assert type(answer.parsed) is models.HTTPValidationError
    (violation,) = answer.parsed.detail
    assert violation.loc == ["body", "input", "num_outputs"]
    assert violation.msg == "201 is greater than the maximum of 200"


async def test_one_that_is_polled(server: Server, package: str) -> None:
    models = importlib.import_module(f"{package}.models")
    once = operation(package, "predict_idempotent_predictions_prediction_id_put").asyncio
    get = operation(package, "get_predictions_prediction_id_get").asyncio
    page = operation(package, "list_predictions_get").asyncio
    body = models.PredictionOnceRequest(input_=models.Input(prompt="a", seed=7))
    async with importlib.import_module(package).Client(base_url=server.url) as client:
        begun = await once(prediction_id="p", client=client, body=body, prefer="respond-async")
        assert type(begun) is models.PredictionResponse
        while (state := await get(prediction_id="p", client=client)).status.value in ("starting", "processing"):
            pass
        assert (state.input_.prompt, state.input_.seed) == ("a", 7)
        assert state.completed_at >= state.created_at
        assert [listed.id for listed in (await page(client=client, limit=1)).results] == ["p"]
        unknown = await get(prediction_id="q", client=client)
    assert type(unknown) is models.Error
    assert "'q'" in unknown.error


@pytest.mark.parametrize("file", [*SCHEMAS, PREDICTORS / "take_everything.py"], ids=lambda file: file.stem)
def test_every_kind_of_predictor(file: Path, tmp_path: Path) -> None:
    with loading() as load:
        document = openapi_document(inspect_predictor(load(file)))
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document))
    made = tmp_path / "made_client"
    config = Config.from_sources(ConfigFile(post_hooks=[]), MetaType.NONE, path, "utf-8", False, made)
    warnings = generate(config=config)
    if expected := NOT_UNDERSTOOD.get(file.stem):
        assert any(expected in f"{warning.header} {warning.detail}" for warning in warnings)
    else:
        assert not warnings

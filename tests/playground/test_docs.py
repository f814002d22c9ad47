"""The page at `/docs`, with the model that ships inside: its first example runs as it stands. Nobody else is asked."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.conftest import ROOT, Server
from tests.playground.conftest import Desk, Shared


@pytest.fixture(scope="module")
def server(shared: Shared) -> Server:
    return shared(ROOT)


def test_the_example_runs(desk: Desk) -> None:
    page = desk.page
    page.goto(f"{desk.server.url}/docs")
    operation = page.locator("#operations-default-predict_predictions_post")
    operation.locator(".opblock-summary").click()
    body = operation.locator("textarea.body-param__text")
    expect(body).to_have_value('{\n  "input": {\n    "prompt": "a red apple"\n  }\n}')
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table .response").first
    expect(answer.locator(".response-col_status")).to_have_text("200")
    expect(answer).to_contain_text('"status": "succeeded"')

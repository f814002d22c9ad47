"""What the page shows while the model loads, cannot be loaded, is busy, is gone, or wants to know who asks."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from tests.conftest import Serve
from tests.playground.conftest import Desk, Shared


def test_the_setup_and_its_log_are_seen_while_it_goes_on(context: BrowserContext, serve: Serve, tmp_path: Path) -> None:
    go = tmp_path / "go"
    desk = Desk(context, serve("wait_in_setup", ready=False, env={"GO": str(go)}))
    page = desk.page
    page.goto(desk.server.url)
    notice = page.get_by_role("status").filter(has_text="The model is being loaded")
    notice.get_by_text("Setup log").click()
    expect(page.get_by_label("Setup log")).to_contain_text("setup waits")
    go.touch()
    page.get_by_label("Text", exact=True).fill("ready")
    expect(notice).to_have_count(0)
    desk.run()
    desk.ends("succeeded")
    assert desk.complaints == []


def test_a_setup_that_failed_says_why(context: BrowserContext, serve: Serve) -> None:
    server = serve("raise_in_setup", ready=False)
    server.wait_for_health("SETUP_FAILED")
    page = Desk(context, server).page
    page.goto(server.url)
    expect(page.get_by_role("alert")).to_contain_text("The model could not be loaded")
    expect(page.get_by_label("Setup log")).to_contain_text("RuntimeError: the weights are gone")


def test_inputs_that_setup_took_away_are_gone(context: BrowserContext, shared: Shared) -> None:
    desk = Desk(context, shared("repeat_back"))
    page = desk.page

    def narrow(route: Route) -> None:
        answer = route.fetch()
        document = answer.json()
        del document["components"]["schemas"]["Input"]["properties"]["n"]
        route.fulfill(response=answer, json=document)

    page.route("**/openapi.json", narrow)
    desk.open()
    assert page.locator("[data-input]").count() == 2
    desk.run()
    desk.ends("succeeded")


def test_a_place_in_the_queue_is_told(context: BrowserContext, serve: Serve, tmp_path: Path) -> None:
    desk = Desk(context, serve("wait_for_file"))
    for name in "ab":
        body = {"input": {"folder": str(tmp_path), "name": name}}
        desk.server.client.post("/predictions", json=body, headers={"Prefer": "respond-async"})
    page = desk.open()
    expect(page.get_by_text("Busy")).to_be_visible()
    page.get_by_label("Folder", exact=True).fill(str(tmp_path))
    page.get_by_label("Name", exact=True).fill("c")
    desk.run()
    expect(page.get_by_text("Number 2 in the queue")).to_be_visible()
    (tmp_path / "a.go").touch()
    expect(page.get_by_text("Next in the queue")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    desk.ends("canceled")
    (tmp_path / "b.go").touch()
    assert desk.complaints == []


def test_a_full_queue_says_when_to_come_again(context: BrowserContext, serve: Serve, tmp_path: Path) -> None:
    desk = Desk(context, serve("wait_for_file", queue_size=1))
    for name in "ab":
        body = {"input": {"folder": str(tmp_path), "name": name}}
        desk.server.client.post("/predictions", json=body, headers={"Prefer": "respond-async"})
    page = desk.open()
    page.get_by_label("Folder", exact=True).fill(str(tmp_path))
    page.get_by_label("Name", exact=True).fill("c")
    desk.run()
    desk.ends("refused")
    expect(page.locator(".reason")).to_contain_text("Try again in")
    desk.forgive("429")


@pytest.mark.parametrize("remembers", [True, False])
def test_a_lost_server_is_noticed_and_found_again(
    context: BrowserContext, serve: Serve, tmp_path: Path, remembers: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    first = serve("wait_for_file", port=port, data_dir=tmp_path / "data")
    desk = Desk(context, first)
    page = desk.open()
    page.get_by_label("Folder", exact=True).fill(str(tmp_path))
    page.get_by_label("Name", exact=True).fill("a")
    desk.run()
    page.get_by_text("Running…").wait_for()
    first.process.kill()
    expect(page.get_by_text("The connection is lost. Trying again…")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")
    expect(page.get_by_role("button", name="Cancel")).to_be_enabled()
    serve("wait_for_file", port=port, data_dir=tmp_path / ("data" if remembers else "other"))
    desk.ends("failed")
    expect(page.locator(".reason")).to_contain_text("The server stopped" if remembers else "is not known")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled()
    desk.forgive("net::ERR_")
    if not remembers:
        desk.forgive("404")
    assert desk.complaints == []


def test_what_runs_on_a_lost_server_can_be_given_up(context: BrowserContext, serve: Serve, tmp_path: Path) -> None:
    desk = Desk(context, serve("wait_for_file"))
    page = desk.open()
    page.get_by_label("Folder", exact=True).fill(str(tmp_path))
    page.get_by_label("Name", exact=True).fill("a")
    desk.run()
    page.get_by_text("Running…").wait_for()
    desk.server.process.kill()
    page.get_by_text("The connection is lost. Trying again…").wait_for()
    page.get_by_role("button", name="Cancel").click()
    desk.ends("canceled")


def test_a_token_is_asked_for_and_sent(context: BrowserContext, shared: Shared) -> None:
    desk = Desk(context, shared("repeat_back"))
    page = desk.page

    def guard(route: Route) -> None:
        allowed = route.request.header_value("authorization") == "Bearer sesame"
        route.continue_() if allowed else route.fulfill(status=401, json={"error": "no"})

    for path in ("**/health-check*", "**/openapi.json", "**/predictions"):
        page.route(path, guard)
    page.goto(desk.server.url)
    token = page.get_by_label("Token, as whoever runs the server gave it to you")
    token.fill("wrong")
    token.press("Enter")
    expect(page.get_by_role("dialog").get_by_text("The last one was not taken.")).to_be_visible()
    token.fill("sesame")
    token.press("Enter")
    page.get_by_label("Text", exact=True).fill("open")
    desk.run()
    desk.ends("succeeded")
    page.get_by_role("tab", name="API").click()
    expect(page.get_by_label("Request: curl")).to_contain_text("Authorization: Bearer …")
    page.get_by_role("button", name="Copy", exact=True).click()
    assert "Authorization: Bearer sesame" in page.evaluate("navigator.clipboard.readText()")
    desk.forgive("401")

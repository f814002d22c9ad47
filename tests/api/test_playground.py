from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from server.api.playground import PLAYGROUND
from tests.conftest import ROOT, Serve, Server

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
LOOSE = r"<script(?! type=\"module\" src=)|<style| on\w+=\"| style=\"|\beval\(|innerHTML"
FILES = sorted(str(path.relative_to(PLAYGROUND)) for path in PLAYGROUND.rglob("*") if path.is_file())
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}


@pytest.fixture(scope="module")
def server(serve_module: Serve) -> Server:
    return serve_module("repeat_back")


@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/json"])
def test_the_page_is_at_playground_for_everyone(server: Server, accept: str) -> None:
    response = server.client.get("/playground", headers={"Accept": accept})
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert response.content == (PLAYGROUND / "index.html").read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_served_as_what_it_is(server: Server, name: str) -> None:
    response = server.client.get(f"/playground/{name}")
    assert (response.status_code, response.content) == (200, (PLAYGROUND / name).read_bytes())
    assert response.headers["content-type"].partition(";")[0] == TYPES[Path(name).suffix]
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/playground", "/playground/app.js"])
def test_what_a_browser_has_already_is_not_sent_again(server: Server, path: str) -> None:
    first = server.client.get(path, headers=BROWSER)
    assert first.headers["cache-control"] == "no-cache"
    second = server.client.get(path, headers={**BROWSER, "If-None-Match": first.headers["etag"]})
    assert (second.status_code, second.content) == (304, b"")
    assert server.client.get(path, headers={**BROWSER, "If-None-Match": '"another"'}).status_code == 200
    assert server.client.head(path, headers=BROWSER).content == b""


def test_at_the_root_it_depends_on_what_is_accepted(server: Server) -> None:
    page, document = server.client.get("/", headers=BROWSER), server.client.get("/")
    assert (page.headers["vary"], document.headers["vary"]) == ("Accept", "Accept")
    assert document.headers["content-type"] == "application/json"
    # An ETag of the page says nothing of the document.
    both = server.client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert (both.status_code, both.json()["openapi_url"]) == (200, "/openapi.json")


def policy(server: Server) -> dict[str, list[str]]:
    header = server.client.get("/", headers=BROWSER).headers["content-security-policy"]
    return {name: sources for name, *sources in (part.split() for part in header.split(";"))}


def test_the_policy_lets_nothing_in_from_elsewhere(server: Server) -> None:
    assert policy(server) == {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "connect-src": ["'self'"],
        "img-src": ["'self'", "data:", "blob:"],
        "media-src": ["data:", "blob:"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    }


def test_pictures_may_come_from_where_outputs_are_uploaded(serve: Serve) -> None:
    found = policy(serve("repeat_back", upload_url="https://user:secret@files.example:8443/outputs"))
    assert found["img-src"] == ["'self'", "data:", "blob:", "https://files.example:8443"]
    assert found["media-src"] == ["data:", "blob:", "https://files.example:8443"]
    assert found["connect-src"] == ["'self'"]


def test_nothing_in_it_needs_another_host_or_a_looser_policy() -> None:
    for name in FILES:
        if name.startswith("vendor/") or name.endswith(".svg"):
            continue
        text = (PLAYGROUND / name).read_text()
        assert not re.findall(r"https?://\w[^\s\"'`]*", text), name
        assert not re.findall(LOOSE, text), name


@pytest.mark.parametrize(
    "path",
    ["/playground/", "/playground/nope.js", "/playground/..%2fapp.py", "/playground/%2e%2e/cli.py", "/playground/%00"],
)
def test_another_path_is_404(server: Server, path: str) -> None:
    assert server.client.get(path).status_code == 404


def test_what_is_vendored_has_its_licence() -> None:
    names = {path.name for path in (PLAYGROUND / "vendor").iterdir()}
    assert {"NOTICE.txt", "preact-LICENSE.txt", "htm-LICENSE.txt"} < names
    notice = (PLAYGROUND / "vendor" / "NOTICE.txt").read_text()
    assert {name for name in names if name.endswith(".js")} == set(re.findall(r"^\S+\.js", notice, re.MULTILINE))


def test_the_page_is_in_the_wheel(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(ROOT / "server", project / "server", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, project)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(project)], check=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    assert {f"server/playground/{name}" for name in FILES} <= packed

"""Weights from the web, which is a stand-in on this machine."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from server.diffusion import ModelError
from server.diffusion import model_downloads as downloads
from server.diffusion.model_downloads import download, kept, public
from tests.diffusion.web import Page, Web, serve_web

BODY = save({"weight": torch.arange(1_000_000, dtype=torch.float32)})
DIGEST = sha256(BODY).hexdigest()
TAG = {"ETag": '"first"'}


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server."""
    with serve_web() as web:
        yield web


@pytest.fixture
def civitai(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """CivitAI, which sends those who download to a store of another name."""
    with serve_web("localhost") as site, serve_web() as store:
        monkeypatch.setattr(downloads, "CIVITAI", site.url)
        monkeypatch.delenv("CIVITAI_API_TOKEN", raising=False)
        site.pages["/api/download/models/12"] = Page(location=f"{store.url}/b2/8f3a?signature=s")
        disposition = 'attachment; filename="dream.safetensors"'
        store.pages["/b2/8f3a"] = Page(BODY, {**TAG, "Content-Disposition": disposition})
        files = [
            {"name": "dream_pruned.safetensors", "hashes": {"SHA256": "0" * 64}},
            {"name": "dream.safetensors", "hashes": {"SHA256": DIGEST.upper()}},
        ]
        site.add_json("/api/v1/model-versions/12", {"id": 12, "files": files})
        # Both are one web for the tests.
        site.pages["store"] = store.pages["/b2/8f3a"]
        site.asked = store.asked = []
        yield site


def test_a_file_is_fetched_once(web: Web, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    url = f"{web.url}/some/model.safetensors"
    web.pages["/some/model.safetensors"] = Page(BODY)
    assert kept(url, tmp_path) is None
    file = download(url, tmp_path)
    assert file.name == "model.safetensors"
    assert file.read_bytes() == BODY
    assert "100%" in capfd.readouterr().err
    assert kept(url, tmp_path) == download(url, tmp_path) == file
    assert len(web.asked) == 1


def test_what_was_cut_off_is_gone_on_with(web: Web, tmp_path: Path) -> None:
    web.pages["/m.safetensors"] = page = Page(BODY, TAG, breaks_at=2_500_000)
    with pytest.raises(ModelError, match="What came is kept; run the same command again to go on from there"):
        download(f"{web.url}/m.safetensors", tmp_path)
    assert kept(f"{web.url}/m.safetensors", tmp_path) is None
    assert download(f"{web.url}/m.safetensors", tmp_path).read_bytes() == page.body
    [(_, first, _), (_, second, _)] = web.asked
    assert (first, second > 0) == (0, True)


def test_what_has_changed_meanwhile_is_fetched_anew(web: Web, tmp_path: Path) -> None:
    web.pages["/m.safetensors"] = Page(BODY, TAG, breaks_at=2_500_000)
    with pytest.raises(ModelError):
        download(f"{web.url}/m.safetensors", tmp_path)
    newer = save({"weight": torch.zeros(1_000_000)})
    web.pages["/m.safetensors"] = Page(newer, {"ETag": '"second"'})
    assert download(f"{web.url}/m.safetensors", tmp_path).read_bytes() == newer


def test_what_nobody_can_tell_the_state_of_is_fetched_anew(web: Web, tmp_path: Path) -> None:
    web.pages["/m.safetensors"] = Page(BODY, {"ETag": 'W/"weak"'}, breaks_at=2_500_000)
    with pytest.raises(ModelError):
        download(f"{web.url}/m.safetensors", tmp_path)
    assert download(f"{web.url}/m.safetensors", tmp_path).read_bytes() == BODY
    assert [start for _, start, _ in web.asked] == [0, 0]


def test_a_file_that_came_whole_before_the_end_is_not_fetched_again(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.pages["/m.safetensors"] = Page(BODY, TAG)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    check = downloads._check_format
    monkeypatch.setattr(downloads, "_check_format", interrupt)
    with pytest.raises(KeyboardInterrupt):
        download(f"{web.url}/m.safetensors", tmp_path)
    monkeypatch.setattr(downloads, "_check_format", check)
    assert download(f"{web.url}/m.safetensors", tmp_path).read_bytes() == BODY
    assert [start for _, start, _ in web.asked] == [0, len(BODY)]


def test_a_digest_in_the_url_is_verified(web: Web, tmp_path: Path) -> None:
    web.pages["/m.safetensors"] = Page(BODY, TAG)
    assert download(f"{web.url}/m.safetensors#sha256={DIGEST.upper()}", tmp_path).read_bytes() == BODY
    with pytest.raises(ModelError, match=f"came damaged: its SHA-256 is {DIGEST}, not {'0' * 64}"):
        download(f"{web.url}/m.safetensors#sha256={'0' * 64}", tmp_path)
    assert kept(f"{web.url}/m.safetensors#sha256={'0' * 64}", tmp_path) is None


def test_a_file_of_civitai_is_verified_and_the_token_stays_there(
    civitai: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVITAI_API_TOKEN", "secret")
    civitai.pages["/api/download/models/12"].token = "secret"
    file = download(f"{civitai.url}/api/download/models/12?type=Model&format=SafeTensor", tmp_path)
    assert (file.name, file.read_bytes()) == ("dream.safetensors", BODY)
    assert civitai.asked == [
        ("/api/download/models/12", 0, "Bearer secret"),
        ("/b2/8f3a", 0, None),
        ("/api/v1/model-versions/12", 0, "Bearer secret"),
    ]
    assert "secret" not in "".join(path.read_text() for path in tmp_path.rglob("*.json"))


def test_a_damaged_file_of_civitai_is_refused(civitai: Web, tmp_path: Path) -> None:
    page = civitai.pages["store"]
    page.body = BODY[:-1] + b"\x01"
    with pytest.raises(ModelError, match=r"dream\.safetensors came damaged: .* Run the same command again"):
        download(f"{civitai.url}/api/download/models/12", tmp_path)
    page.body = BODY
    assert download(f"{civitai.url}/api/download/models/12", tmp_path).read_bytes() == BODY


def test_the_page_of_a_version_leads_to_its_file(civitai: Web, tmp_path: Path) -> None:
    assert download(f"{civitai.url}/models/7/dream?modelVersionId=12", tmp_path).read_bytes() == BODY
    with pytest.raises(ModelError, match="is the page of a model with several versions"):
        download(f"{civitai.url}/models/7/dream", tmp_path)


def test_a_file_behind_a_login_is_told(civitai: Web, web: Web, tmp_path: Path) -> None:
    civitai.pages["/api/download/models/12"].token = "secret"
    with pytest.raises(ModelError, match=r"status 401\)\. Set CIVITAI_API_TOKEN to an API key"):
        download(f"{civitai.url}/api/download/models/12", tmp_path)
    web.pages["/m"] = Page(b"<html>Log in</html>", {"Content-Type": "text/html; charset=utf-8"})
    with pytest.raises(ModelError, match="is a web page, and no file of weights: perhaps one to log in at"):
        download(f"{web.url}/m", tmp_path)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.com/m.safetensors", "on the way, others could change it. Give an https:// URL"),
        ("https://host:port/", "is no URL"),
        ("https://example.com/m.safetensors#main", "After the # of https://example.com/m.safetensors, there may be"),
        ("https://example.com/m.safetensors#sha256=12", "64 hexadecimal digits"),
    ],
)
def test_a_url_that_cannot_be_is_refused(url: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        download(url, tmp_path)


@pytest.mark.parametrize("name", ["m.ckpt", "m.pt", "m.PTH", "pytorch_model.bin"])
def test_a_format_that_may_run_code_is_not_fetched(name: str, web: Web, tmp_path: Path) -> None:
    web.pages["/get"] = Page(BODY, {"Content-Disposition": f"attachment; filename={name}"})
    with pytest.raises(ModelError, match=f"{name} may run code when it is read, so it is never loaded"):
        download(f"{web.url}/get", tmp_path)


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="../../../etc/m.safetensors"', "m.safetensors"),
        (r'attachment; filename="..\..\m.safetensors"', "m.safetensors"),
        ("attachment; filename*=UTF-8''caf%C3%A9%2Fm.safetensors", "m.safetensors"),
        ("attachment; filename=m.safetensors; size=3", "m.safetensors"),
        ("inline", "get.safetensors"),
        ('attachment; filename=".."', "...safetensors"),
    ],
)
def test_a_name_does_not_lead_out_of_the_cache(disposition: str, name: str, web: Web, tmp_path: Path) -> None:
    web.pages["/get"] = Page(BODY, {"Content-Disposition": disposition})
    file = download(f"{web.url}/get", tmp_path / "cache")
    assert file.name == name
    assert file.resolve().is_relative_to(tmp_path / "cache")


@pytest.mark.parametrize(
    "body", [b"", b"nothing", BODY[:-4], b"\xff" * 64], ids=["empty", "text", "cut off", "other bytes"]
)
def test_what_is_no_whole_file_of_weights_is_refused(body: bytes, web: Web, tmp_path: Path) -> None:
    web.pages["/m.safetensors"] = Page(body, TAG)
    with pytest.raises(ModelError, match=r"is no whole \.safetensors file"):
        download(f"{web.url}/m.safetensors", tmp_path)
    web.pages["/m.safetensors"] = Page(BODY, TAG)
    assert download(f"{web.url}/m.safetensors", tmp_path).read_bytes() == BODY


def test_a_server_that_is_not_there_or_refuses_is_told(web: Web, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"/nope could not be fetched: the server answers 404\. Check the URL"):
        download(f"{web.url}/nope?key=secret", tmp_path)
    with pytest.raises(ModelError, match="could not be fetched: ConnectError") as caught:
        download("http://127.0.0.1:9/m.safetensors?key=secret", tmp_path)
    assert "secret" not in str(caught.value)


def test_what_may_be_secret_in_a_url_is_left_out() -> None:
    assert public("https://host/a/b.safetensors?token=secret#sha256=0") == "https://host/a/b.safetensors"

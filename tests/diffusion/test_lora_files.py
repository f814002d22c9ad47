"""The files of LoRAs: from the Hub's stand-in, from servers that answer badly, and from this disk."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import pickle
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save

from server.diffusion import InputError, LoraFiles
from server.diffusion import downloads as downloads_module
from server.diffusion.downloads import Limits
from tests.diffusion.hub import Hub, serve_hub
from tests.service.peer import Peer, Request, running_peer

HERE = Limits(http=True, private_addresses=True)


def weights(seed: int, numbers: int = 64) -> bytes:
    values = np.random.default_rng(seed).normal(size=(numbers,)).astype(np.float32)
    return save({"unet.conv_in.lora_A.weight": values}, {"format": "pt"})


async def fetch(files: LoraFiles, text: str) -> bytes:
    async with files.open(text, "lora_weights") as file:
        contents = file.path.read_bytes()
        assert file.digest == hashlib.sha256(contents).hexdigest()
        assert file.size == len(contents)
        return contents


async def refusal(files: LoraFiles, text: str) -> str:
    with pytest.raises(InputError, match=r"^lora_weights: ") as refused:
        await fetch(files, text)
    assert refused.value.input == "lora_weights"
    return str(refused.value)


def left(folder: Path) -> list[Path]:
    return sorted((folder / "files").glob("*")) if (folder / "files").exists() else []


@dataclass
class Site:
    """A web server whose answers a test chooses, by path."""

    peer: Peer
    answers: dict[str, bytes | Callable[[Request], bytes]] = field(default_factory=dict)

    def put(self, path: str, body: bytes, status: str = "200 OK", **headers: str) -> str:
        lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        if "Content_Length" not in headers:
            lines.append(f"Content-Length: {len(body)}")
        self.answers[path] = "\r\n".join([*lines, "", ""]).encode() + body
        return f"{self.peer.url}{path}"

    def asked(self) -> list[str]:
        return [request.target for request in self.peer.requests]


@pytest.fixture
async def site() -> Any:
    answers: dict[str, bytes | Callable[[Request], bytes]] = {}

    async def handle(request: Request, writer: asyncio.StreamWriter) -> None:
        answer = answers.get(request.target.partition("?")[0])
        writer.write(
            answer(request) if callable(answer) else answer or b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        )
        await writer.drain()
        writer.close()

    async with running_peer(handle) as peer:
        yield Site(peer, answers)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve_hub() as stand_in:
        monkeypatch.setattr(constants, "ENDPOINT", stand_in.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", stand_in.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield stand_in


@pytest.fixture
def files(tmp_path: Path) -> LoraFiles:
    return LoraFiles(tmp_path / "cache", limits=HERE)


@pytest.mark.parametrize(
    "text",
    [
        "owner/style",
        "owner/style/pytorch_lora_weights.safetensors",
        "huggingface.co/owner/style",
        "https://huggingface.co/owner/style",
        "https://huggingface.co/owner/style/blob/main/pytorch_lora_weights.safetensors",
        "https://huggingface.co/owner/style/resolve/main/pytorch_lora_weights.safetensors?download=true",
        "https://hf.co/owner/style/tree/main",
    ],
)
async def test_of_the_hub(text: str, hub: Hub, tmp_path: Path) -> None:
    # Even where no address of this machine may be reached: the Hub's endpoint is the operator's choice.
    files = LoraFiles(tmp_path / "cache")
    hub.push(
        "owner/style", {"README.md": b"-", "pytorch_lora_weights.safetensors": weights(1), "a.safetensors": weights(2)}
    )
    assert await fetch(files, text) == weights(1)
    assert await fetch(files, text) == weights(1)
    assert hub.fetched == [("pytorch_lora_weights.safetensors", 0)]


async def test_the_only_file_or_one_that_is_named(hub: Hub, files: LoraFiles) -> None:
    hub.push("owner/one", {"style/v1.safetensors": weights(1), "weights.bin": b"-"})
    assert await fetch(files, "owner/one") == weights(1)
    assert await fetch(files, "owner/one/style") == weights(1)
    hub.push("owner/two", {"a.safetensors": weights(1), "deep/b.safetensors": weights(2)})
    assert await fetch(files, "owner/two/deep/b.safetensors") == weights(2)
    assert "2 files of weights: a.safetensors, deep/b.safetensors. Name one" in await refusal(files, "owner/two")


async def test_what_the_hub_does_not_give(hub: Hub, files: LoraFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.push("owner/style", {"a.safetensors": weights(1)})
    hub.push("owner/old", {"pytorch_lora_weights.bin": b"-"})
    hub.push("owner/gated", {"a.safetensors": weights(1)})
    hub.repositories["owner/gated"].gated = True
    assert "has no file 'b.safetensors'; look at" in await refusal(files, "owner/style/b.safetensors")
    assert "has no model 'owner/none'; check" in await refusal(files, "owner/none")
    assert "no .safetensors file, only pytorch_lora_weights.bin. Other formats" in await refusal(files, "owner/old")
    assert "no .safetensors file. Other formats" in await refusal(files, "owner/old/pytorch_lora_weights.bin")
    assert "no revision 'v9'" in await refusal(files, "https://huggingface.co/owner/style/blob/v9/a.safetensors")
    assert "HF_TOKEN" in await refusal(files, "owner/gated/a.safetensors")
    monkeypatch.setenv("HF_TOKEN", "hf_open")
    assert await fetch(files, "owner/gated/a.safetensors") == weights(1)


async def test_a_newer_file_of_the_hub_is_noticed(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.push("owner/style", {"a.safetensors": weights(1)})
    files = LoraFiles(tmp_path / "cache", fresh_seconds=0)
    assert await fetch(files, "owner/style") == weights(1)
    assert await fetch(files, "owner/style") == weights(1)
    assert len(hub.fetched) == 1
    hub.push("owner/style", {"a.safetensors": weights(2)})
    assert await fetch(files, "owner/style") == weights(2)
    # What is here is used where nobody answers.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert await fetch(files, "owner/style") == weights(2)
    assert "offline" in await refusal(files, "owner/other/a.safetensors")


async def test_from_any_url(site: Site, files: LoraFiles) -> None:
    file = site.put("/lora.safetensors", weights(1))
    there = site.put("/there", b"", "302 Found", Location="/lora.safetensors")
    assert await fetch(files, file) == weights(1)
    assert await fetch(files, there) == weights(1)
    assert await fetch(files, file) == weights(1)
    assert site.asked() == ["/lora.safetensors", "/there", "/lora.safetensors"]


async def test_a_file_is_asked_for_again_by_its_etag(site: Site, tmp_path: Path) -> None:
    files = LoraFiles(tmp_path / "cache", limits=HERE, fresh_seconds=0)
    url = site.put("/lora", weights(1), ETag='"one"')
    assert await fetch(files, url) == weights(1)

    def unchanged(request: Request) -> bytes:
        assert request.headers["if-none-match"] == '"one"'
        return b'HTTP/1.1 304 Not Modified\r\nETag: "one"\r\n\r\n'

    site.answers["/lora"] = unchanged
    assert await fetch(files, url) == weights(1)
    site.put("/lora", weights(2), ETag='"two"')
    assert await fetch(files, url) == weights(2)
    site.put("/lora", b"", "503 Service Unavailable")
    assert await fetch(files, url) == weights(2)
    site.put("/lora", b"", "404 Not Found")
    assert "has no such file (status 404)" in await refusal(files, url)


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"<!DOCTYPE html><html>Sign in</html>", "a web page"),
        (b"  <HTML><body>No</body></HTML>", "a web page"),
        (b'{"error": "no such thing, sorry"}', "JSON"),
        (b"PK\x03\x04" + bytes(100), "a pickle of PyTorch"),
        (pickle.dumps({"a": 1}), "a pickle of PyTorch"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a picture"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "the pointer of a Git LFS file"),
        (bytes(100), "not in the safetensors format"),
        (b"abc", "not in the safetensors format"),
        (b"", "it is empty"),
        (weights(1)[:-9], "no whole safetensors file"),
        (weights(1) + b"more", "no whole safetensors file"),
        ((1 << 40).to_bytes(8, "little") + b"{" + bytes(100), "not in the safetensors format"),
        ((64).to_bytes(8, "little") + b"{" + b"x" * 63, "no whole safetensors file"),
    ],
)
async def test_what_is_no_safetensors_file(
    body: bytes, rule: str, site: Site, files: LoraFiles, tmp_path: Path
) -> None:
    assert rule in await refusal(files, site.put("/file.safetensors", body))
    data = base64.b64encode(body).decode()
    assert rule in await refusal(files, f"data:application/octet-stream;base64,{data}")
    (tmp_path / "file.safetensors").write_bytes(body)
    local = LoraFiles(tmp_path / "other", folders=[tmp_path])
    assert rule in await refusal(local, str(tmp_path / "file.safetensors"))
    assert left(tmp_path / "cache") == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418, 429, 500, 503])
async def test_refusals_of_the_server(status: int, site: Site, files: LoraFiles) -> None:
    assert f"status {status}" in await refusal(files, site.put("/file", b"", f"{status} No"))


async def test_what_is_too_large(site: Site, tmp_path: Path) -> None:
    files = LoraFiles(tmp_path / "cache", limits=Limits(1000, True, True), folders=[tmp_path])
    large = weights(1, 1000)
    assert "larger than the 1000 bytes" in await refusal(files, site.put("/told", large))
    # A server that does not tell, and goes on for as long as anybody reads.
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + large
    site.answers["/untold"] = endless
    assert "larger than the 1000 bytes" in await refusal(files, f"{site.peer.url}/untold")
    assert "larger than the 1000 bytes" in await refusal(files, "data:;base64," + base64.b64encode(large).decode())
    (tmp_path / "large.safetensors").write_bytes(large)
    assert "larger than the 1000 bytes" in await refusal(files, str(tmp_path / "large.safetensors"))
    assert left(tmp_path / "cache") == []


async def test_bad_connections_leave_nothing(site: Site, files: LoraFiles, tmp_path: Path) -> None:
    cut = site.put("/cut", weights(1)[:200], Content_Length=str(len(weights(1))))
    assert "could not be fetched from 127.0.0.1" in await refusal(files, cut)
    round_and_round = site.put("/loop", b"", "302 Found", Location="/loop")
    assert "redirects more than 10 times" in await refusal(files, round_and_round)
    elsewhere = site.put("/elsewhere", b"", "302 Found", Location="ftp://127.0.0.1/file")
    assert await refusal(files, elsewhere)
    packed = site.put("/packed", weights(1), Content_Encoding="gzip")
    assert "compressed" in await refusal(files, packed)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    assert "could not be fetched from 127.0.0.1" in await refusal(files, f"http://127.0.0.1:{port}/file")
    assert left(tmp_path / "cache") == []


async def test_asked_for_at_the_same_time_it_is_fetched_once(site: Site, files: LoraFiles) -> None:
    url = site.put("/lora", weights(1))
    assert set(await asyncio.gather(*(fetch(files, url) for _ in range(5)))) == {weights(1)}
    assert site.asked() == ["/lora"]


async def test_a_download_ends_with_the_last_who_waits(files: LoraFiles, tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def never_end(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + weights(1))
        await writer.drain()
        await writer.wait_closed()

    async def watch(request: Request, writer: asyncio.StreamWriter) -> None:
        try:
            await never_end(request, writer)
        finally:
            gone.set()

    async with running_peer(watch) as peer:
        first, second = (asyncio.create_task(fetch(files, f"{peer.url}/lora")) for _ in range(2))
        await peer.wait_for(1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not second.done()
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert len(peer.requests) == 1
    assert left(tmp_path / "cache") == []


async def test_addresses_of_this_network_are_refused(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = LoraFiles(tmp_path / "cache", limits=Limits(http=True))
    url = site.put("/lora", weights(1))
    port = url.split(":")[2].split("/")[0]
    for host in (
        "127.0.0.1",
        "localhost",
        "[::1]",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ):
        assert "which requests may not reach" in await refusal(files, f"http://{host}:{port}/lora"), host

    async def resolve(url: Any) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr(downloads_module, "_resolve", resolve)
    assert "which requests may not reach" in await refusal(files, f"http://innocent.example:{port}/lora")
    assert site.asked() == []


async def test_a_redirect_into_this_network_is_refused(site: Site, hub: Hub, tmp_path: Path) -> None:
    # CivitAI is trusted where the operator says it is, what it redirects to is not.
    files = LoraFiles(tmp_path / "cache", civitai=site.peer.url, limits=Limits(http=True))
    site.put("/api/download/models/5", b"", "302 Found", Location=f"{hub.url.replace('127.0.0.1', '127.0.0.2')}/x")
    assert "127.0.0.2 is an address of this machine" in await refusal(
        files, "https://civitai.com/api/download/models/5"
    )


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
async def test_https_connects_to_the_address_that_was_checked_by_the_name_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    options = "-x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 2 -subj /CN=lora.example"
    names = f"-addext subjectAltName=DNS:lora.example -out {certificate} -keyout {key}"
    command = ["openssl", "req", *options.split(), *names.split()]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    hosts = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        hosts.append(next(line for line in head.decode().split("\r\n") if line.lower().startswith("host:")))
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + weights(1))
        writer.close()

    async def resolve(url: Any) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr(downloads_module, "_resolve", resolve)
    monkeypatch.setattr(downloads_module, "_is_public", lambda *_, **__: True)
    files = LoraFiles(tmp_path / "cache")
    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        assert await fetch(files, f"https://lora.example:{port}/a.safetensors") == weights(1)
        assert hosts == [f"Host: lora.example:{port}"]
        refused = await refusal(files, f"https://other.example:{port}/a.safetensors")
        assert "certificate" in refused.lower()


async def test_plain_http_is_refused(tmp_path: Path) -> None:
    files = LoraFiles(tmp_path / "cache")
    assert "only https URLs are" in await refusal(files, "http://example.com/lora.safetensors")


async def test_of_civitai(site: Site, tmp_path: Path) -> None:
    files = LoraFiles(tmp_path / "cache", civitai=site.peer.url, civitai_token="secret", fresh_seconds=0)
    site.put("/api/v1/models/7", json.dumps({"modelVersions": [{"id": 12}, {"id": 11}]}).encode())
    site.put("/api/download/models/11", weights(11))
    site.put("/api/download/models/12", weights(12))
    for text, seed in (
        ("civitai.com/models/7", 12),
        ("https://civitai.com/models/7/a-style", 12),
        ("https://civitai.com/models/7/a-style?modelVersionId=11", 11),
        ("https://civitai.com/api/download/models/11", 11),
        ("https://civitai.com/api/download/models/11?type=Model&token=mine", 11),
    ):
        assert await fetch(files, text) == weights(seed)
    assert all(request.headers["authorization"] == "Bearer secret" for request in site.peer.requests)
    # A version never changes, so one that is here is not asked for again.
    assert site.asked().count("/api/download/models/11") == 1
    assert site.asked()[-1] == "/api/download/models/11?type=Model"
    assert "is no model of CivitAI" in await refusal(files, "https://civitai.com/images/7")
    site.put("/api/v1/models/8", b"{}")
    assert "names no version" in await refusal(files, "civitai.com/models/8")


async def test_civitai_asks_to_sign_in(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIVITAI_API_TOKEN", raising=False)
    files = LoraFiles(tmp_path / "cache", civitai=site.peer.url)
    site.put("/api/download/models/1", b"", "401 Unauthorized")
    site.put("/api/download/models/2", b"", "302 Found", Location="/login")
    site.put("/login", b"<!DOCTYPE html>")
    for version in (1, 2):
        url = f"https://civitai.com/api/download/models/{version}"
        assert "has to set CIVITAI_API_TOKEN" in await refusal(files, url)
    monkeypatch.setenv("CIVITAI_API_TOKEN", "secret")
    files = LoraFiles(tmp_path / "cache", civitai=site.peer.url)
    assert "the account of CIVITAI_API_TOKEN may not" in await refusal(files, "civitai.com/api/download/models/1")


async def test_secrets_stay_with_the_server_they_are_for(site: Site, hub: Hub, tmp_path: Path) -> None:
    files = LoraFiles(
        tmp_path / "cache", civitai=site.peer.url.replace("127.0.0.1", "localhost"), civitai_token="secret", limits=HERE
    )
    site.put("/api/download/models/1", b"", "302 Found", Location=f"{site.peer.url}/stored")
    site.put("/stored", weights(1))
    assert await fetch(files, "civitai.com/api/download/models/1") == weights(1)
    assert ["authorization" in request.headers for request in site.peer.requests] == [True, False]
    assert not any(b"secret" in path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    url = site.put("/gone", b"", "404 Not Found") + "?token=mine"
    assert "mine" not in await refusal(files, url)


async def test_of_a_data_url(files: LoraFiles, tmp_path: Path) -> None:
    url = "data:application/octet-stream;base64," + base64.b64encode(weights(1)).decode()
    assert await fetch(files, url) == weights(1)
    assert await fetch(files, url) == weights(1)
    assert len(left(tmp_path / "cache")) == 1
    assert "no comma" in await refusal(files, "data:base64")
    assert "not valid base64" in await refusal(files, "data:;base64,abc")
    assert len(await refusal(files, "data:;base64," + "A" * 100_001)) < 500


async def test_paths_are_taken_from_given_folders_only(tmp_path: Path, hub: Hub) -> None:
    inside, outside = tmp_path / "loras", tmp_path / "secret"
    for folder in (inside / "style", outside):
        folder.mkdir(parents=True)
        (folder / "a.safetensors").write_bytes(weights(1))
    (inside / "link.safetensors").symlink_to(outside / "a.safetensors")
    files = LoraFiles(tmp_path / "cache", folders=[inside])
    for text in (str(inside / "style" / "a.safetensors"), "style/a.safetensors", str(inside / "style"), "style"):
        assert await fetch(files, text) == weights(1)
    for text in (
        str(outside / "a.safetensors"),
        str(outside / "none.safetensors"),
        "../secret/a.safetensors",
        str(inside / "link.safetensors"),
        "/etc/passwd",
        "~/a.safetensors",
    ):
        said = await refusal(files, text)
        assert f"that a request may name. Paths may be below {inside}" in said
    assert "Give owner/repo" in await refusal(LoraFiles(tmp_path / "cache"), str(inside / "style"))
    assert await refusal(files, "style/b.safetensors")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "style",
        "ftp://example.com/a.safetensors",
        "a b/c",
        "https://",
        "owner/../x",
        "https://[/x",
        "http://a:b@example.com/x",
        "https://huggingface.co/owner",
        "owner/\0",
    ],
)
async def test_what_names_no_lora(text: str, files: LoraFiles) -> None:
    assert await refusal(files, text)


async def test_what_was_not_used_for_longest_leaves(site: Site, tmp_path: Path) -> None:
    size = len(weights(1))
    files = LoraFiles(tmp_path / "cache", max_bytes=2 * size + 10, limits=HERE)
    urls = [site.put(f"/{seed}", weights(seed)) for seed in range(3)]
    for number, url in enumerate((urls[0], urls[1], urls[0])):
        await fetch(files, url)
        # Clocks of file systems may stand still between two uses.
        for path in left(tmp_path / "cache"):
            status = path.stat()
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 10**9 * (3 - number)))
    await fetch(files, urls[2])
    assert {path.stem for path in left(tmp_path / "cache")} == {
        hashlib.sha256(weights(seed)).hexdigest() for seed in (0, 2)
    }
    async with files.open(urls[0], "lora_weights") as held:
        await fetch(files, urls[1])
        # One in use stays, whatever its turn.
        await fetch(files, urls[2])
        assert held.path.exists()
    assert await fetch(files, urls[1]) == weights(1)
    assert sum(path.stat().st_size for path in left(tmp_path / "cache")) <= 2 * size + 10

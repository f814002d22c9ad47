"""Inputs without files and secrets."""

import base64
import hashlib
import json
from pathlib import Path

import pytest

import server.cog
from server.diffusion import record_inputs
from server.diffusion.digests import file_digest
from server.diffusion.redaction import without_secrets

HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
"""The SHA-256 of `hello`, as `sha256sum` has it."""


def test_json_stays_as_it_is() -> None:
    inputs = {
        "prompt": "a: b?c=d",
        "seed": 7,
        "scale": 1.5,
        "on": True,
        "none": None,
        "list": ["a", 1],
        "map": {"a": 1},
    }
    assert record_inputs(inputs) == inputs


def test_files_are_known_by_their_digest(tmp_path: Path) -> None:
    (tmp_path / "secret-name.png").write_bytes(b"hello")
    file = server.cog.Path(tmp_path / "secret-name.png")
    assert file_digest(file) == HELLO
    assert record_inputs({"image": file, "images": [file, file]}) == {
        "image": {"$sha256": HELLO},
        "images": [{"$sha256": HELLO}, {"$sha256": HELLO}],
    }


@pytest.mark.parametrize(
    "url",
    [
        f"data:image/png;base64,{base64.b64encode(b'hello').decode()}",
        "data:;base64,aGVsbG8%3D",
        "data:text/plain,hello",
        "data:,h%65llo",
    ],
)
def test_data_urls_are_known_by_the_digest_of_what_is_in_them(url: str) -> None:
    assert record_inputs({"lora": url}) == {"lora": {"$sha256": HELLO}}


@pytest.mark.parametrize("url", ["data:", "data:x", "data:;base64,a", "data:;base64,\ud800", "data:,\ud800"])
def test_no_data_url_is_kept_however_malformed(url: str) -> None:
    [record] = record_inputs({"lora": url}).values()
    assert record.keys() == {"$sha256"}
    assert len(record["$sha256"]) == len(hashlib.sha256().hexdigest())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:password@example.com/a", "https://example.com/a"),
        ("https://example.com/a?token=x", "https://example.com/a"),
        ("https://example.com/a?type=Model&key=x", "https://example.com/a"),
        ("https://bucket.s3.amazonaws.com/a?X-Amz-Signature=x&X-Amz-Credential=y", "https://bucket.s3.amazonaws.com/a"),
        ("https://example.com/a#token=x", "https://example.com/a"),
        ("https://example.com/a?tokenwithoutname", "https://example.com/a"),
        ("http://[x", "http://"),
    ],
)
def test_secrets_in_urls_are_withheld(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
    assert record_inputs({"lora_weights": url}) == {"lora_weights": {"$withheld": shown}}


@pytest.mark.parametrize(
    "text",
    [
        "https://huggingface.co/owner/repo/resolve/main/a.safetensors?download=true",
        "https://civitai.com/api/download/models/1?type=Model&format=SafeTensor&size=full&fp=fp16",
        "owner/repo",
        "a picture of https://example.com/?token=x",
    ],
)
def test_what_holds_no_secret_is_kept(text: str) -> None:
    assert record_inputs({"lora_weights": text}) == {"lora_weights": text}


def test_secrets_are_withheld() -> None:
    record = record_inputs({"token": server.cog.Secret("hunter2"), "tokens": [server.cog.Secret("hunter2")]})
    assert record == {"token": {"$withheld": None}, "tokens": [{"$withheld": None}]}
    assert "hunter2" not in json.dumps(record)


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(TypeError, match="of the type set, which a picture cannot tell"):
        record_inputs({"a": {1}})

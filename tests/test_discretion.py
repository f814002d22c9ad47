from __future__ import annotations

import pytest

from server.discretion import Redactor, shown, without_secrets


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a red apple", "a red apple"),
        ("https://host/path?token=secret#part", "https://host/..."),
        ("http://user:pass@host:8080", "http://host:8080/..."),
        ("http://user:p@ss@host", "http://host/..."),
        ('[{"url": "s3://key:secret@host/x", "n": 1}]', '[{"url": "s3://host/...", "n": 1}]'),
        ("see https://a/b and HTTP://c@d/e", "see https://a/... and HTTP://d/..."),
        ("data:image/png;base64,AAAA", "data:image/png,..."),
        ("data:,secret", "data:,..."),
        ("x" * 1000, "x" * 1000),
        ("x" * 1001, "x" * 1000 + "... (1001 characters)"),
        ("data:image/png;base64," + "A" * 5000, "data:image/png,...... (5022 characters)"),
        ("\ud800", "\ud800"),
    ],
)
def test_texts_without_secrets(text: str, told: str) -> None:
    assert without_secrets(text) == told


def test_a_long_text_that_might_be_a_url_takes_no_time() -> None:
    assert without_secrets("a+" * (1 << 20)).endswith("(2097152 characters)")


def test_values_are_told_in_their_shape() -> None:
    value = {"n": 1, "none": None, "list": list(range(25)), "deep": [{"url": "https://h/secret"}], "x" * 1001: True}
    assert shown(value) == {
        "n": 1,
        "none": None,
        "list": [*range(20), "... (25 items)"],
        "deep": [{"url": "https://h/..."}],
        "x" * 1000 + "... (1001 characters)": True,
    }
    assert len(shown({str(n): n for n in range(30)})) == 21


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ValueError: cannot draw 'a cat on a mat'", "ValueError: cannot draw '...'"),
        ("no Catfish here, of 1024", "no ... here, of 1024"),
        ("CUDA out of memory. Tried to allocate 20 MiB", "CUDA out of memory. Tried to allocate 20 MiB"),
        ("key t0-k1-x9 is refused for prompt", "key ... is refused for prompt"),
        ("in the list: deeply and inside", "in the list: ... and ..."),
        ("", ""),
    ],
)
def test_texts_without_what_an_input_says(text: str, told: str) -> None:
    given = {
        "prompt": "a cat on a mat",
        "negative": "catfish",
        "key": "t0-k1-x9",
        "list": [{"deeply": ["inside"]}, 1, None],
        "image": "data:image/png;base64," + "A" * (2 << 20),
    }
    assert Redactor(given).redact(text) == told

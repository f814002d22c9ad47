from __future__ import annotations

from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from training.pack import Pack
from training.tokenizer import train_tokenizer


def test_numbers_tokens_as_clip_does(tokenizer: CLIPTokenizer) -> None:
    vocabulary = tokenizer.get_vocab()
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
    assert all(0 <= vocabulary[letter] < 256 for letter in "aez!09")
    assert all(256 <= vocabulary[f"{letter}</w>"] < 512 for letter in "aez!09")
    assert tokenizer.bos_token_id == len(vocabulary) - 2
    assert tokenizer.eos_token_id == tokenizer.pad_token_id == len(vocabulary) - 1
    assert tokenizer.model_max_length == 77


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a red apple", "a red apple"),
        ("A  Red\nAPPLE", "a red apple"),
        ("a person with beard, flat design", "a person with beard, flat design"),
        ("zyzzyva", "zyzzyva"),
        ("crème brûlée 42", "crème brûlée 4 2"),
        ("苹果", "苹果"),
    ],
)
def test_reads_back_what_it_is_given(tokenizer: CLIPTokenizer, text: str, read: str) -> None:
    ids = tokenizer(text)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert ids[-1] == tokenizer.eos_token_id
    decoded = tokenizer.decode(ids, skip_special_tokens=True)
    assert isinstance(decoded, str)
    assert decoded.replace(" ,", ",").split() == read.split()


def test_words_of_the_captions_are_whole_tokens(tokenizer: CLIPTokenizer) -> None:
    for word in ("apple", "cat", "unicorn", "background", "photo"):
        assert len(tokenizer(word)["input_ids"]) == 3, word


def test_is_the_same_every_time(pack: Pack, tokenizer_folder: Path, tmp_path: Path) -> None:
    """Many of these few words are equally frequent, and the library counts in no fixed order."""
    train_tokenizer(pack, tmp_path)
    for file in tokenizer_folder.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()
